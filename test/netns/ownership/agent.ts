/**
 * A process inside a network namespace that drives forwarding ownership for a test. Reads one JSON request a line
 * from standard input ({ id, target, call, args }) and answers with one line each. Target 0 is the addon; what it opens
 * gets the numbers that follow.
 */
import { createInterface } from "node:readline";
import { loadNative } from "../../../src/native.js";

type Target = Readonly<Record<string, (...args: unknown[]) => unknown>>;
const addon = loadNative();
const targets: Target[] = [addon as unknown as Target];
const write = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);

for await (const line of createInterface({ input: process.stdin })) {
  const { id, target, call, args } = JSON.parse(line) as {
    id: number;
    target: number;
    call: string;
    args: unknown[];
  };
  try {
    const result = targets[target]?.[call]?.(...args);
    const opens = call === "openOwnership" || call === "adoptOwnership";
    write({ id, result: opens ? targets.push(result as Target) - 1 : (result ?? null) });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    write({ id, error: { code, message } });
  }
}
