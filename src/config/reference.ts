/** docs/configuration.md, from the schema: each key with its values, default and meaning. */
import { AT_START, keyInFile, LIVE } from "./diff.js";
import { configJsonSchema } from "./json-schema.js";

interface Property {
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Property[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: Property;
  readonly properties?: Readonly<Record<string, Property>>;
  readonly required?: readonly string[];
}

const EXAMPLE = `virtualRouters:
  - interface: eth0
    vrid: 10
    priority: 150
    addresses: [192.0.2.1/24]
    advertisementInterval: 100ms
  - interface: eth0
    vrid: 10
    priority: 150
    addresses: [fe80::1/64, "2001:db8::1/64"]
    advertisementInterval: 100ms
`;

/** "`a`, `b` and `c`" */
function named(keys: Iterable<string>): string {
  const all = [...keys].map((key) => `\`${key}\``);
  return `${all.slice(0, -1).join(", ")} and ${all.at(-1)}`;
}

/** The whole page. */
export function configurationPage(): string {
  const schema = configJsonSchema() as Property;
  return [
    "# Configuration",
    "",
    "<!-- Generated from src/config/schema.ts by `npm run docs`; a test compares. -->",
    "",
    "One YAML file (JSON is YAML), by default `/etc/firsthop/firsthop.yaml`. `firsthop check -c FILE` names every problem",
    "with its line and what would be right. Durations are written `500us`, `10ms`, `1.5s` or `2m`. Unknown keys are errors;",
    "anchors and `<<` may be used for what several virtual routers share.",
    "Editors complete and check the file with the JSON Schema that the package ships: put",
    "`# yaml-language-server: $schema=<path>/firsthop.schema.json` on its first line.",
    "",
    "```yaml",
    EXAMPLE.trimEnd(),
    "```",
    "",
    ...sections("Top level", "", schema),
    "## What a reload changes",
    "",
    `${named([...LIVE].map(keyInFile))} are taken over by a running`,
    "virtual router; but `priority` not to or from 255. Any other change makes it leave (priority 0) and start again; a",
    "virtual router that did not change notices nothing. Trackers, sync groups, the mask table and `ownershipLimit` are",
    `taken over as well; ${named([...AT_START].map(keyInFile))} are in force from the next start on, or from an exchange`,
    "of processes (`run --handover`). A file with a problem changes nothing at all.",
    "",
  ].join("\n");
}

/** A block of keys, and then the blocks inside it. */
function sections(title: string, path: string, block: Property): string[] {
  const keys = Object.entries(block.properties ?? {});
  const rows = keys.map(([key, one]) => {
    const cells = [`\`${key}\``, valuesOf(one), defaultOf(key, one, block), examplesOf(one)];
    return `| ${cells.join(" | ")} | ${one.description ?? ""} |`;
  });
  const inner = keys.flatMap(([key, one]) => {
    if (one.properties) return sections(`${path}${key}`, `${path}${key}.`, one);
    if (one.items?.properties) return sections(`${path}${key}[]`, `${path}${key}[].`, one.items);
    return [];
  });
  const head = ["| key | values | default | example | meaning |", "| --- | --- | --- | --- | --- |"];
  return [`## ${title}`, "", ...head, ...rows, "", ...inner];
}

function defaultOf(key: string, property: Property, block: Property): string {
  if (block.required?.includes(key)) return "**needed**";
  if (property.default === undefined || property.properties) return "";
  return `\`${inYaml(property.default)}\``;
}

function examplesOf({ examples = [] }: Property): string {
  return examples.map((one) => `\`${inYaml(one)}\``).join(", ");
}

/** As people write it, without quotes. */
function inYaml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inYaml).join(", ")}]`;
  if (typeof value !== "object" || value === null) return String(value);
  const pairs = Object.entries(value).map(([key, one]) => `${key}: ${inYaml(one)}`);
  return `{ ${pairs.join(", ")} }`;
}

function valuesOf(property: Property): string {
  if (property.enum) return property.enum.map((one) => `\`${one}\``).join(", ");
  if (property.const !== undefined) return `\`${property.const}\``;
  if (property.anyOf) return property.anyOf.map(valuesOf).join(", ");
  switch (property.type) {
    case "integer":
      return `${property.minimum} to ${property.maximum}`;
    case "array": {
      if (property.title) return property.title;
      const of = property.items?.title;
      return of ? `list of ${of}` : "list, see below";
    }
    case "object":
      return "see below";
    case "boolean":
      return "`true`, `false`";
    default:
      return property.title ?? "text";
  }
}
