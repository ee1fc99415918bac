/** A mistake in a configuration: it is found once, at its place, with words that help. */
import { expect } from "vitest";
import { parseConfig } from "../../../src/config/index.js";

/** Name, text, "line:column", what the message says. */
export type Mistake = readonly [name: string, text: string, place: string, message: RegExp];

export function expectMistake(text: string, place: string, message: RegExp): void {
  const { config, problems } = parseConfig(text);
  expect(config).toBeNull();
  const found = problems.map((one) => `${one.line}:${one.column} ${one.message}`);
  expect(
    found.filter((one) => one.startsWith(`${place} `) && message.test(one)),
    found.join("\n"),
  ).toHaveLength(1);
}
