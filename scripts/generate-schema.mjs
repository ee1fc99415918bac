// Writes the JSON Schema that editors use, beside the compiled package.
import { writeFileSync } from "node:fs";
import { configJsonSchema } from "../dist/config/json-schema.js";

const file = new URL("../dist/firsthop.schema.json", import.meta.url);
writeFileSync(file, `${JSON.stringify(configJsonSchema(), null, 2)}\n`);
