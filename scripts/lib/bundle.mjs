/**
 * The command line in few files: a daemon that starts reads a dozen modules instead of several hundred, which takes
 * half the time and less memory. What TypeScript made in dist/cli stays where it is, but for main.js and its chunks;
 * the library (dist/index.js) is not bundled.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const CHUNK = "part-";

/** @returns what is wrong, or null: the command line works unbundled as well. */
export async function bundleCommandLine(dist) {
  const folder = join(dist, "cli");
  for (const name of readdirSync(folder)) if (name.startsWith(CHUNK)) rmSync(join(folder, name));
  let bundler;
  try {
    bundler = await import("rolldown");
  } catch (error) {
    return `the bundler can't run here (${error.code ?? error.message})`;
  }
  const bundle = await bundler.rolldown({
    input: join(folder, "main.js"),
    platform: "node",
    // Looks for the addon's file by the package's own folder.
    external: ["node-gyp-build"],
    logLevel: "warn",
  });
  const { output } = await bundle.write({ dir: folder, chunkFileNames: `${CHUNK}[name]-[hash].js` });
  await bundle.close();
  writeFileSync(join(folder, "LICENSES.txt"), licences(output.flatMap((chunk) => chunk.moduleIds ?? [])));
  return null;
}

/** The licences of the packages that the modules come from. */
function licences(modules) {
  const folders = modules.map((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0]);
  const texts = [...new Set(folders.filter(Boolean))].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
    const text = file ? readFileSync(join(folder, file), "utf8").trim() : `License: ${license}`;
    return `${name} ${version}\n\n${text}\n`;
  });
  return `Parts of these packages are in the files of ${CHUNK}*.js:\n\n${texts.join(`\n${"-".repeat(80)}\n\n`)}`;
}
