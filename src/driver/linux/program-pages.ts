/** Node's program has some 40 MB of code, most of which only a start runs through. */
import { loadNative } from "../../native.js";

/** What is used again comes back from the page cache, in microseconds, for JavaScript alone. */
export function dropProgramPages(): void {
  loadNative().dropProgramPages();
}
