/** The layers of docs/architecture.md and the rules of docs/conventions.md, as far as a test can see them. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SRC = join(ROOT, "src");

interface SourceFile {
  readonly path: string;
  readonly text: string;
  /** Modules of this package by path below src, others by name; `type` for imports that vanish. */
  readonly imports: readonly { readonly target: string; readonly type: boolean }[];
}

function sources(folder: string): SourceFile[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = join(folder, entry.name);
    if (entry.isDirectory()) return sources(full);
    return entry.name.endsWith(".ts") ? [readSource(full)] : [];
  });
}

function readSource(full: string): SourceFile {
  const text = readFileSync(full, "utf8");
  const found = text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?"([^"]+)";/gms);
  const imports = [...found].map(([, type, from]) => ({
    target: from?.startsWith(".") ? relative(SRC, resolve(dirname(full), from)) : (from ?? ""),
    type: type !== undefined,
  }));
  return { path: relative(SRC, full), text, imports };
}

const FILES = sources(SRC);

/** Which targets the files below a folder may import; `types`: only as types. */
const LAYERS: readonly { folder: string; allowed: RegExp; types?: RegExp }[] = [
  { folder: "core/", allowed: /^core\// },
  { folder: "config/", allowed: /^(config|core)\/|^errors\.js$|^(zod|yaml)$|^node:/ },
  {
    folder: "engine/",
    allowed: /^(engine|core|config)\/|^(errors|shortage-advice)\.js$|^node:crypto$/,
    types: /^driver\/driver\.js$/,
  },
  { folder: "driver/simulated/", allowed: /^(driver|core)\/|^errors\.js$|^node:crypto$/ },
  {
    folder: "driver/linux/",
    allowed: /^(driver|core)\/|^(errors|native|make-directory|root-advice|shortage-advice)\.js$|^node:/,
    types: /^native\//,
  },
  { folder: "control/", allowed: /^control\/|^(errors|make-directory|root-advice)\.js$|^node:/ },
  {
    folder: "lab/",
    allowed: /^(lab|control|core)\/|^(errors|native)\.js$|^node:/,
    types: /^engine\/|^native\//,
  },
  { folder: "native/", allowed: /^$/, types: /^(native|core|driver)\// },
  { folder: "vectors/", allowed: /^(vectors|core|engine)\/|^node:/ },
];

describe("layers", () => {
  it.each(LAYERS.map((layer) => [layer.folder, layer] as const))(
    "%s imports only what it may",
    (folder, layer) => {
      const files = FILES.filter(({ path }) => path.startsWith(folder));
      const wrong = files.flatMap(({ path, imports }) =>
        imports
          .filter(({ target, type }) => !layer.allowed.test(target) && !(type && layer.types?.test(target)))
          .map(({ target }) => `${path} imports ${target}`),
      );
      expect(wrong).toEqual([]);
    },
  );

  it("only the Linux driver and the measuring instruments load the addon", () => {
    const loaders = FILES.filter(({ imports }) =>
      imports.some(({ target, type }) => target === "native.js" && !type),
    );
    expect(
      loaders
        .map(({ path }) => dirname(path))
        .filter((folder) => !/^(driver\/linux(\/\w+)?|lab)$/.test(folder)),
    ).toEqual([]);
  });
});

describe("imports", () => {
  it("go round in no circle, types included", () => {
    const importsOf = new Map(
      FILES.map(({ path, imports }) => [path, imports.map(({ target }) => target.replace(/\.js$/, ".ts"))]),
    );
    const circles: string[] = [];
    const cleared = new Set<string>();
    const follow = (path: string, way: readonly string[]): void => {
      const start = way.indexOf(path);
      if (start >= 0) circles.push([...way.slice(start), path].join(" -> "));
      if (start >= 0 || cleared.has(path)) return;
      for (const next of importsOf.get(path) ?? []) follow(next, [...way, path]);
      cleared.add(path);
    };
    for (const path of importsOf.keys()) follow(path, []);
    expect(circles).toEqual([]);
  });
});

describe("the pure core", () => {
  it("has no clock, no randomness, no timer and no logging", () => {
    const impure =
      /\b(Date\.now|new Date|performance\.now|Math\.random|setTimeout|setInterval|console\.|process\.)/;
    const wrong = FILES.filter(({ path, text }) => path.startsWith("core/") && impure.test(text));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });
});

describe("conventions", () => {
  it("no file is longer than 575 lines", () => {
    const long = FILES.filter(
      ({ path, text }) => text.split("\n").length > 575 && !path.endsWith(".generated.ts"),
    );
    expect(long.map(({ path }) => path)).toEqual([]);
  });

  it("every file opens with what it is for", () => {
    const silent = FILES.filter(({ text }) => !/^(#!.*\n)?(\/\/|\/\*\*)/.test(text));
    expect(silent.map(({ path }) => path)).toEqual([]);
  });

  it("nothing is left for later, and no check is switched off", () => {
    const later = /\b(TODO|FIXME|XXX|HACK)\b|@ts-ignore|@ts-nocheck|\bas any\b/;
    expect(FILES.filter(({ text }) => later.test(text)).map(({ path }) => path)).toEqual([]);
  });
});
