/** Agents for forwarding ownership in namespaces, frames sent to them, and what got through. */
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { namespacePath } from "../../../src/lab/namespaces.js";
import type { FoundOwnership, NativeOwnership, NativeOwnershipApi } from "../../../src/native/ownership.js";
import { loadNative } from "../../../src/native.js";
import { type World, within } from "../kernel/support/namespaces.js";

type Remote<Api> = {
  readonly [Name in keyof Api]: Api[Name] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Result>
    : never;
};
export type RemoteOwnership = Remote<NativeOwnership>;

export interface OwnershipAgent {
  open(token: number): Promise<RemoteOwnership>;
  adopt(found: FoundOwnership, token: number): Promise<RemoteOwnership>;
  find: Remote<NativeOwnershipApi>["findOwnership"];
  clear: Remote<NativeOwnershipApi>["clearOwnership"];
  /** kill -9 */
  kill(): Promise<void>;
}

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

export function startAgent(world: World, namespace: string): OwnershipAgent {
  const loader = here("../../../scripts/lib/typescript-loader.mjs");
  const child = world.spawn(namespace, process.execPath, "--import", loader, here("agent.ts"));
  const call = caller(child);
  const remote = (target: number): RemoteOwnership =>
    new Proxy({} as RemoteOwnership, {
      get: (_, name) =>
        name === "then" ? undefined : (...args: unknown[]) => call(target, String(name), args),
    });
  return {
    open: async (token) => remote((await call(0, "openOwnership", [{ token }])) as number),
    adopt: async (found, token) => remote((await call(0, "adoptOwnership", [found, { token }])) as number),
    find: async (ifindexes) => (await call(0, "findOwnership", [ifindexes])) as FoundOwnership[],
    clear: async (found) => void (await call(0, "clearOwnership", [found])),
    async kill() {
      const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      child.kill("SIGKILL");
      await within(ended, "the end of the agent");
    },
  };
}

function caller(child: ChildProcess): (target: number, call: string, args: unknown[]) => Promise<unknown> {
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  let calls = 0;
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
    const { id, result, error } = JSON.parse(line);
    const one = waiting.get(id);
    waiting.delete(id);
    if (error) one?.reject(Object.assign(new Error(error.message), { code: error.code }));
    else one?.resolve(result);
  });
  child.once("exit", () => {
    for (const one of waiting.values()) one.reject(new Error("the agent ended"));
  });
  return (target, call, args) =>
    within(
      new Promise((resolve, reject) => {
        const id = ++calls;
        waiting.set(id, { resolve, reject });
        child.stdin?.write(`${JSON.stringify({ id, target, call, args })}\n`);
      }),
      `answer to ${call}`,
    );
}

const ENOBUFS = 105;

/** Sends each frame once, in order, out of an interface; how many the egress guard kept in. */
export async function sendFrames(
  world: World,
  namespace: string,
  device: string,
  frames: readonly Uint8Array[],
): Promise<number> {
  const source = new (loadNative().TrafficSource)({
    namespace: namespacePath(world.namespace(namespace)),
    interface: device,
    frames,
    packetsPerSecond: 20_000,
    capacity: frames.length,
  });
  await within(
    (async () => {
      while (source.status().sent < frames.length) await new Promise((resolve) => setTimeout(resolve, 1));
    })(),
    `sending of ${frames.length} frames`,
  );
  source.stop();
  const { errors, lastErrno } = source.status();
  if (errors > 0 && lastErrno !== ENOBUFS) throw new Error(`sending: errno ${lastErrno}`);
  return errors;
}

export interface Watch {
  /** Octets of the frames that came in since the last call, cut at 128. */
  frames(): Uint8Array[];
  stop(): void;
}

/** What comes in at an interface. */
export function watch(world: World, namespace: string, device: string): Watch {
  const capture = new (loadNative().FrameCapture)({
    namespace: namespacePath(world.namespace(namespace)),
    interface: device,
    filter: [],
    capacity: 10_000,
  });
  let read = 0;
  return {
    frames() {
      const batch = capture.frames(read);
      read += batch.captured.length;
      return Array.from(batch.captured, (length, index) =>
        batch.octets.slice(index * batch.snapLength, index * batch.snapLength + length),
      );
    },
    stop: () => capture.stop(),
  };
}
