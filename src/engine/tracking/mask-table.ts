/**
 * The mask table at run time: what the configuration says, and what was added and lifted since. The latter lives until
 * the daemon ends; a reload changes only what the configuration says.
 */
import { type MaskEntry, type MaskLookup, maskLookup, parseMaskEntry } from "../../core/tracking/mask.js";
import { FirsthopError } from "../../errors.js";
import type { MaskStatus } from "../status.js";

export const MASK_MAX = 4000;

/** JSON. Canonical text. */
export interface MaskRecord {
  readonly added: readonly string[];
  readonly lifted: readonly string[];
}

export class MaskTable {
  readonly #onChange: (what: string | null) => void;
  #configured: ReadonlyMap<string, MaskEntry> = new Map();
  readonly #added = new Map<string, MaskEntry>();
  readonly #lifted = new Set<string>();
  #lookup: MaskLookup = () => null;
  #namesMacs = false;

  /** `onChange`: the table is another one; what was done by hand, in words. */
  constructor(onChange: (what: string | null) => void) {
    this.#onChange = onChange;
  }

  /** Takes over a configuration. */
  configure(entries: readonly MaskEntry[]): void {
    this.#configured = new Map(entries.map((one) => [one.text, one]));
    this.#changed(null);
  }

  /** What was done by hand, for the process that goes on with it. */
  record(): MaskRecord {
    return { added: [...this.#added.keys()], lifted: [...this.#lifted] };
  }

  inherit({ added, lifted }: MaskRecord): void {
    for (const text of added) this.#added.set(text, parsed(text));
    for (const text of lifted) this.#lifted.add(text);
    this.#changed(null);
  }

  /** The entry that keeps checks from a neighbour, in canonical text. */
  maskedBy(address: string | null, mac: string | null): string | null {
    return this.#lookup(address, mac)?.text ?? null;
  }

  /** Whether it takes a MAC address to know who is masked. */
  get namesMacs(): boolean {
    return this.#namesMacs;
  }

  list(): readonly MaskStatus[] {
    const configured = [...this.#configured.keys()].map((text) => ({
      entry: text,
      origin: "configuration" as const,
      inForce: !this.#lifted.has(text),
    }));
    const added = [...this.#added.keys()]
      .filter((text) => !this.#isConfigured(text))
      .map((text) => ({ entry: text, origin: "runtime" as const, inForce: true }));
    return [...configured, ...added];
  }

  /** @throws FirsthopError USAGE for what is no entry, or one too many */
  add(text: string): MaskStatus {
    const entry = parsed(text);
    if (this.#added.size >= MASK_MAX)
      throw new FirsthopError("USAGE", `the mask table is full (${MASK_MAX})`);
    this.#lifted.delete(entry.text);
    if (!this.#isConfigured(entry.text)) this.#added.set(entry.text, entry);
    this.#changed(`${entry.text} is masked`);
    return this.#statusOf(entry.text);
  }

  /** @throws FirsthopError USAGE for what is no entry, NOT_FOUND when it is not in the table */
  del(text: string): MaskStatus {
    const entry = parsed(text);
    const added = this.#added.delete(entry.text);
    const configured = this.#isConfigured(entry.text) && !this.#lifted.has(entry.text);
    if (!added && !configured) throw new FirsthopError("NOT_FOUND", `${entry.text} is not in the mask table`);
    if (configured) this.#lifted.add(entry.text);
    this.#changed(`${entry.text} is not masked any more`);
    return { entry: entry.text, origin: configured ? "configuration" : "runtime", inForce: false };
  }

  #statusOf(text: string): MaskStatus {
    return this.list().find((one) => one.entry === text) as MaskStatus;
  }

  #isConfigured(text: string): boolean {
    return this.#configured.has(text);
  }

  #changed(what: string | null): void {
    const configured = [...this.#configured.values()].filter((one) => !this.#lifted.has(one.text));
    const inForce = [...configured, ...this.#added.values()];
    this.#lookup = maskLookup(inForce);
    this.#namesMacs = inForce.some((one) => one.kind === "mac");
    this.#onChange(what);
  }
}

function parsed(text: string): MaskEntry {
  const entry = parseMaskEntry(text);
  if (entry) return entry;
  const help = "write an IP prefix (192.0.2.128/25) or a MAC address (02:00:00:00:00:17)";
  throw new FirsthopError("USAGE", `${JSON.stringify(text)} is no mask entry: ${help}`);
}
