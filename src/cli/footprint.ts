/**
 * How much memory a daemon's JavaScript takes. A daemon lives for months and does next to nothing in JavaScript, yet
 * V8 sizes its heap by the first second, in which configuration and automata are made. These settings are read by V8
 * whenever they matter, so they may be changed while it runs.
 */
import { setFlagsFromString } from "node:v8";

/** Before anything big is loaded. What runs once is not worth optimised machine code, nor a large nursery. */
export function startSmall(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--optimize-for-size");
  setFlagsFromString("--no-opt");
}

/** The start is over: what is hot from now on stays so. */
export function settle(): void {
  setFlagsFromString("--opt");
}
