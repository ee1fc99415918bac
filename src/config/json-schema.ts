/** The configuration's JSON Schema, for editors; made from the one schema that checks it. */
import { z } from "zod";
import { configSchema } from "./schema.js";

/** JSON Schema (2020-12) of what people write. Rules between several keys are not in it; `firsthop check` has them. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(configSchema, { io: "input" });
  return { ...schema, title: "firsthop configuration" };
}
