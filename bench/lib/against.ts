/** Another revision of this repository, built in a temporary worktree. */
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OWN_DIRECTORY } from "./leftovers.js";
import { BEFORE } from "./subjects.js";

export interface BuiltRevision {
  readonly id: string;
  /** As asked for, with the commit that it is. */
  readonly name: string;
  readonly root: string;
  remove(): void;
}

const git = (root: string, ...args: string[]): string =>
  execFileSync("git", ["-C", root, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();

/** The packages of this clone serve the other revision too, where its lock file asks for the same ones. */
function lendModules(root: string, tree: string): void {
  const lock = (at: string): string => readFileSync(join(at, "package-lock.json"), "utf8");
  const modules = join(root, "node_modules");
  if (existsSync(modules) && lock(root) === lock(tree)) symlinkSync(modules, join(tree, "node_modules"));
}

function build(tree: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const args = [join(tree, "scripts/bootstrap.mjs"), "build"];
    const options = { cwd: tree, maxBuffer: 64 << 20 };
    const child = execFile(process.execPath, args, options, (error, stdout, stderr) => {
      process.off("exit", kill);
      if (error)
        reject(new Error(`it could not be built: ${`${stdout}${stderr}`.trim().split("\n").at(-1)}`));
      else resolve();
    });
    const kill = (): void => void child.kill();
    process.on("exit", kill);
  });
}

const commitOf = (root: string, rev: string): string | null => {
  const asked = ["-C", root, "rev-parse", "--short", "--verify", `${rev}^{commit}`];
  const found = spawnSync("git", asked, { encoding: "utf8" });
  return found.status === 0 ? found.stdout.trim() : null;
};

export const knownRevision = (root: string, rev: string): boolean => commitOf(root, rev) !== null;

/** Builds `rev`. The worktree vanishes with `remove`, and with this process however it ends by itself or a signal. */
export async function buildRevision(
  root: string,
  rev: string,
  say: (text: string) => void,
): Promise<BuiltRevision> {
  const commit = commitOf(root, rev);
  if (commit === null) throw new Error(`git knows no revision "${rev}" here`);
  const directory = mkdtempSync(join(tmpdir(), OWN_DIRECTORY));
  const tree = join(directory, commit);
  const remove = (): void => {
    process.off("exit", remove);
    spawnSync("git", ["-C", root, "worktree", "remove", "--force", tree], { stdio: "ignore" });
    rmSync(directory, { recursive: true, force: true });
  };
  process.on("exit", remove);
  try {
    git(root, "worktree", "add", "--detach", tree, commit);
    lendModules(root, tree);
    say(`building ${rev} (${commit})`);
    await build(tree);
  } catch (error) {
    remove();
    throw error;
  }
  return { id: BEFORE, name: `${rev} (${commit})`, root: tree, remove };
}
