/** What is generated from the schema is up to date. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { configJsonSchema } from "../../../src/config/json-schema.js";
import { configurationPage } from "../../../src/config/reference.js";

describe("generated from the schema", () => {
  it("docs/configuration.md is what `npm run docs` writes", () => {
    const file = fileURLToPath(new URL("../../../docs/configuration.md", import.meta.url));
    expect(readFileSync(file, "utf8")).toBe(configurationPage());
  });

  it("the JSON Schema closes every object and describes every key", () => {
    const walk = (schema: Record<string, unknown>, path: string): void => {
      const properties = schema.properties as Record<string, Record<string, unknown>> | undefined;
      if (!properties) return;
      expect(schema.additionalProperties, path).toBe(false);
      for (const [key, property] of Object.entries(properties)) {
        expect(property.description, `${path}.${key}`).toBeTypeOf("string");
        walk(property, `${path}.${key}`);
        if (property.items) walk(property.items as Record<string, unknown>, `${path}.${key}[]`);
      }
    };
    walk(configJsonSchema(), "configuration");
  });
});
