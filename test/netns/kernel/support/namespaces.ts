/** Namespaces, agents in them, and what `ip` and `sysctl` show there. Removed after each test, also a failed one. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type {
  AddressInfo,
  KernelNews,
  LinkInfo,
  VirtualInterfaceRequest,
} from "../../../../src/driver/driver.js";

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const PATIENCE_MS = 15_000;

export type Prepared =
  | {
      readonly ifindex: number;
      readonly name: string;
      readonly mac: string;
      readonly labels: readonly string[];
    }
  | { readonly code: string; readonly message: string };
export type Failures = readonly { readonly label: string; readonly errno: string }[];

export interface Agent {
  readonly pid: number;
  prepare(requests: readonly VirtualInterfaceRequest[]): Promise<{ results: Prepared[]; tookMs: number }>;
  measure(owner: string, rounds: number): Promise<Record<"openUs" | "closeUs" | "nothingUs", number[]>>;
  open(owner: string): Promise<Failures>;
  close(owner: string): Promise<Failures>;
  release(owners: readonly string[]): Promise<{ tookMs: number }>;
  recover(): Promise<string[]>;
  snapshot(): Promise<{ links: LinkInfo[]; addresses: AddressInfo[] }>;
  readonly news: readonly KernelNews[];
  /** Waits for news that fulfil a condition, those that came already included. */
  newsWith(condition: (news: KernelNews) => boolean): Promise<KernelNews>;
  /** kill -9 */
  kill(): Promise<void>;
}

export interface World {
  readonly stateDirectory: string;
  /** Runs a command in a namespace of this world; its output. */
  run(namespace: string, command: string, ...args: string[]): string;
  /** Full name of a namespace, made at first use. */
  namespace(name: string): string;
  agent(namespace: string, stateDirectory?: string): Promise<Agent>;
  /** Starts a process in a namespace; it is ended with the world. */
  spawn(namespace: string, command: string, ...args: string[]): ChildProcess;
  destroy(): void;
}

let worlds = 0;

export function createWorld(): World {
  const prefix = `fhk${process.pid}-${++worlds}`;
  const stateDirectory = mkdtempSync(join(tmpdir(), `${prefix}-`));
  const namespaces = new Set<string>();
  const children: ChildProcess[] = [];
  const namespace = (name: string): string => {
    const full = `${prefix}-${name}`;
    if (!namespaces.has(full)) {
      execFileSync("ip", ["netns", "add", full]);
      namespaces.add(full);
      execFileSync("ip", ["-n", full, "link", "set", "lo", "up"]);
    }
    return full;
  };
  const spawnHere = (name: string, command: string, ...args: string[]): ChildProcess => {
    const child = spawn("ip", ["netns", "exec", namespace(name), command, ...args], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    children.push(child);
    return child;
  };
  return {
    stateDirectory,
    namespace,
    spawn: spawnHere,
    run(name, command, ...args) {
      return execFileSync("ip", ["netns", "exec", namespace(name), command, ...args], { encoding: "utf8" });
    },
    async agent(name, directory = stateDirectory) {
      const loader = here("../../../../scripts/lib/typescript-loader.mjs");
      const child = spawnHere(name, process.execPath, "--import", loader, here("agent.ts"), directory);
      const agent = speakWith(child);
      await agent.snapshot();
      return agent;
    },
    destroy() {
      for (const child of children) if (child.exitCode === null) child.kill("SIGKILL");
      for (const full of namespaces) execFileSync("ip", ["netns", "del", full]);
      rmSync(stateDirectory, { recursive: true, force: true });
    },
  };
}

function speakWith(child: ChildProcess): Agent {
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  const news: KernelNews[] = [];
  const listeners = new Set<() => void>();
  let calls = 0;
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
    const message = JSON.parse(line);
    if (message.news) {
      news.push(message.news);
      for (const listener of listeners) listener();
      return;
    }
    const call = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error) call?.reject(Object.assign(new Error(message.error.message), message.error));
    else call?.resolve(message.result as never);
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  void ended.then(() => {
    for (const one of waiting.values()) one.reject(new Error("the agent ended"));
  });
  const call = <Result>(name: string, argument?: unknown): Promise<Result> =>
    within(
      new Promise<Result>((resolve, reject) => {
        const id = ++calls;
        waiting.set(id, { resolve: resolve as never, reject });
        child.stdin?.write(`${JSON.stringify({ id, call: name, argument })}\n`);
      }),
      name,
    );
  return {
    pid: child.pid as number,
    prepare: (requests) => call("prepare", requests),
    measure: (owner, rounds) => call("measure", { owner, rounds }),
    open: (owner) => call("open", owner),
    close: (owner) => call("close", owner),
    release: (owners) => call("release", owners),
    recover: () => call("recover"),
    snapshot: () => call("snapshot"),
    news,
    newsWith(condition) {
      return within(
        new Promise((resolve) => {
          const look = (): void => {
            const found = news.find(condition);
            if (!found) return;
            listeners.delete(look);
            resolve(found);
          };
          listeners.add(look);
          look();
        }),
        "news",
      );
    },
    async kill() {
      child.kill("SIGKILL");
      await within(ended, "the end of the agent");
    },
  };
}

export async function within<Result>(promise: Promise<Result>, what: string): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Everything that must be the same before the first preparation and after the last release. */
export function describeKernel(world: World, namespace: string): string {
  const commands = [
    "ip -d link",
    "ip addr",
    "ip maddr",
    "ip route show table all",
    "ip -6 route show table all",
    "sysctl net.ipv4.conf net.ipv6.conf net.ipv4.neigh net.ipv6.neigh",
  ];
  return commands
    .map((command) => `# ${command}\n${world.run(namespace, "sh", "-c", command)}`)
    .join("\n")
    .replace(/(valid|preferred)_lft \d+sec/g, "$1_lft ~");
}
