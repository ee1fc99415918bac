/** docs/configuration.md, from the schema: each key with its values, default and meaning. */
import { configJsonSchema } from "./json-schema.js";

interface Property {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
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

/** The whole page. */
export function configurationPage(): string {
  const schema = configJsonSchema() as Property;
  return [
    "# Configuration",
    "",
    "<!-- Generated from src/config/schema.ts by `npm run docs`; a test compares. -->",
    "",
    "One YAML file (JSON is YAML), by default `/etc/firsthop/firsthop.yaml`. `firsthop check -c FILE` names every problem",
    "with its line and what would be right. Durations are written `10ms`, `1s`, `1.5s` or `2m`. Unknown keys are errors.",
    "Editors complete and check the file with the JSON Schema that the package ships: put",
    "`# yaml-language-server: $schema=<path>/firsthop.schema.json` on its first line.",
    "",
    "```yaml",
    EXAMPLE.trimEnd(),
    "```",
    "",
    ...section("Top level", schema),
    ...section("virtualRouters[]", schema.properties?.virtualRouters?.items),
    ...section(
      "virtualRouters[].authentication",
      schema.properties?.virtualRouters?.items?.properties?.authentication,
    ),
    ...section("virtualRouters[].unicast", schema.properties?.virtualRouters?.items?.properties?.unicast),
    ...section("control", schema.properties?.control),
    ...section("log", schema.properties?.log),
    "## What a reload changes",
    "",
    "`priority` (but not to or from 255), `preempt`, `preemptDelay` and `checksum` are taken over by a running virtual",
    "router. Any other change makes it leave (priority 0) and start again; a virtual router that did not change notices",
    "nothing. A file with a problem changes nothing at all.",
    "",
  ].join("\n");
}

function section(title: string, property: Property | undefined): string[] {
  if (!property?.properties) throw new Error(`the schema has no ${title}`);
  const rows = Object.entries(property.properties).map(([key, one]) => {
    const needed = property.required?.includes(key) ? "**needed**" : defaultOf(one);
    return `| \`${key}\` | ${valuesOf(one)} | ${needed} | ${one.description ?? ""} |`;
  });
  return [
    `## ${title}`,
    "",
    "| key | values | default | meaning |",
    "| --- | --- | --- | --- |",
    ...rows,
    "",
  ];
}

function defaultOf(property: Property): string {
  if (property.default === undefined || property.properties) return "";
  return `\`${typeof property.default === "string" ? property.default : JSON.stringify(property.default)}\``;
}

function valuesOf(property: Property): string {
  if (property.enum) return property.enum.map((one) => `\`${one}\``).join(", ");
  if (property.const !== undefined) return `\`${property.const}\``;
  if (property.anyOf) return property.anyOf.map(valuesOf).join(", ");
  switch (property.type) {
    case "integer":
      return `${property.minimum} to ${property.maximum}`;
    case "array":
      return "list";
    case "object":
      return "see below";
    case "boolean":
      return "`true`, `false`";
    default:
      return "text";
  }
}
