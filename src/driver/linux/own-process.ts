/** What a daemon does with its process, which nobody else uses. */
import { loadNative } from "../../native.js";

/**
 * Node's program has some 40 MB of code, most of which only a start runs through. What is used again comes back from
 * the page cache, in microseconds, for JavaScript alone.
 */
export function dropProgramPages(): void {
  loadNative().dropProgramPages();
}

/**
 * Lets the event loop run before ordinary processes, where it may: what trackers find goes through it, on a machine that
 * has much else to do.
 */
export function runPromptly(): void {
  loadNative().runPromptly();
}
