/** What `npm run vectors` starts. */
import { vectorsCommand } from "./command.js";

process.exitCode = vectorsCommand(process.argv.slice(2), {
  print: (line) => console.log(line),
  complain: (line) => console.error(line),
});
