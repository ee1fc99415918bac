/** What benchmark runs that were killed left behind, and runs that go on at the same time. */
import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const NETNS_DIRECTORY = "/run/netns";

const list = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : []);
const runs = (pid: string): boolean => existsSync(`/proc/${pid}`);

/** The directory in which a run keeps what it compiles and checks out: its name carries the process. */
export const OWN_DIRECTORY = `firsthop-bench-${process.pid}-`;

/** Directories of dead runs, with the worktrees of `root` that they hold. */
export function removeLeftDirectories(root: string): void {
  for (const name of list(tmpdir())) {
    const pid = /^firsthop-bench-(\d+)-\w{6}$/.exec(name)?.[1];
    const path = join(tmpdir(), name);
    if (pid === undefined || runs(pid)) continue;
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (!found?.isDirectory() || found.uid !== process.getuid?.()) continue;
    for (const tree of readdirSync(path)) {
      spawnSync("git", ["-C", root, "worktree", "remove", "--force", join(path, tree)], { stdio: "ignore" });
    }
    rmSync(path, { recursive: true, force: true });
  }
}

/** Processes that have a lab standing, this one aside. */
export function otherLabs(): string[] {
  const pids = list(NETNS_DIRECTORY).flatMap((name) => /^fh(\d+)-\d+-/.exec(name)?.[1] ?? []);
  return [...new Set(pids)].filter((pid) => pid !== String(process.pid) && runs(pid));
}
