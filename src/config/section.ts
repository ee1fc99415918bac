/** What a key of the top level brings along: its schema, the checks that a schema can't do, its engine's form. */
import type { z } from "zod";

/** Keys and indices from the top: ["virtualRouters", 0, "vrid"]. */
export type Path = readonly (string | number)[];

/** Something that is wrong or worth knowing. */
export interface Finding {
  readonly severity: "error" | "warning";
  readonly path: Path;
  readonly message: string;
  /** The other place that the message is about, where there is one. */
  readonly other?: Path;
}

export type Report = (severity: Finding["severity"], path: Path, message: string, other?: Path) => void;

export interface Section<S extends z.ZodType, C extends object> {
  readonly schema: S;
  /**
   * Finds what does not fit together. It gets the section as written, whether or not it passed the schema, so that
   * all problems are told at once: what is of the wrong shape was reported already and is to be passed over.
   * `document` is the whole configuration as written, for references to other sections.
   */
  readonly check?: (written: unknown, report: Report, document: Readonly<Record<string, unknown>>) => void;
  /**
   * This section's part of `Config`; only called when there are no errors. `document` is the whole configuration as
   * checked, for references to other sections.
   */
  readonly normalize: (checked: z.output<S>, document: Readonly<Record<string, unknown>>) => C;
}

/** Infers the types of a section. */
export function section<S extends z.ZodType, C extends object>(one: Section<S, C>): Section<S, C> {
  return one;
}

export function isBlock(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value when it passes a schema, with its default where it is left out; undefined otherwise. */
export function valid<S extends z.ZodType>(schema: S, value: unknown): z.output<S> | undefined {
  const result = schema.safeParse(value);
  return result.success ? result.data : undefined;
}
