// Writes docs/configuration.md from the schema and docs/firsthop.8 from the commands: `npm run docs`.
import { writeFileSync } from "node:fs";
import { manualPage } from "../dist/cli/manual.js";
import { configurationPage } from "../dist/config/reference.js";

const docs = new URL("../docs/", import.meta.url);
writeFileSync(new URL("configuration.md", docs), configurationPage());
writeFileSync(new URL("firsthop.8", docs), await manualPage());
