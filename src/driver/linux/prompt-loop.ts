/** What trackers find goes through JavaScript, on a machine that has much else to do. */
import { loadNative } from "../../native.js";

/** Lets the event loop run before ordinary processes, where it may; for a daemon whose process is its own. */
export function runPromptly(): void {
  loadNative().runPromptly();
}
