// Writes docs/configuration.md from the schema: `npm run docs`.
import { writeFileSync } from "node:fs";
import { configurationPage } from "../dist/config/reference.js";

writeFileSync(new URL("../docs/configuration.md", import.meta.url), configurationPage());
