/** BFD speakers of other makes in a router of the lab, and BFD as it is seen on its wire. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zebraListens } from "../../bench/testbed/frr.js";
import { AUTHENTICATION_TYPES, type BfdAuthenticationType } from "../../src/core/bfd/authentication.js";
import { type BfdStateName, readBfdFrame } from "../../src/core/bfd/packet.js";
import type { Lab, LabRouter } from "../../src/lab/topology.js";
import { type Capture, captureAt, eventually } from "../netns/testbed/index.js";

const FRR = "/usr/lib/frr";
const VTYSH = "/usr/bin/vtysh";
const BIRD = "/usr/sbin/bird";
const BIRDC = "/usr/sbin/birdc";
const START_BOUND_MS = 10_000;

export type BfdPeerKind = "frr" | "bird";

export interface BfdPeerOptions {
  readonly intervalMs: number;
  readonly multiplier: number;
  readonly remote: string;
  readonly local: string;
  /** It answers only. */
  readonly passive: boolean;
  /** BIRD only: FRR 8 has none. */
  readonly authentication?: {
    readonly type: BfdAuthenticationType;
    readonly keyId: number;
    readonly key: string;
  };
}

export interface BfdPeerProcess {
  /** What it says of its only session. */
  state(): Promise<string>;
  /** Takes the session down on purpose, or up again. */
  shutdown(on: boolean): Promise<void>;
  /** Ends it without a word. */
  kill(): void;
  log(): string;
}

export const PEER_INSTALLED: Readonly<Record<BfdPeerKind, () => boolean>> = {
  frr: () => [`${FRR}/bfdd`, `${FRR}/zebra`, VTYSH].every(existsSync),
  bird: () => [BIRD, BIRDC].every(existsSync),
};

export const startBfdPeer = (
  kind: BfdPeerKind,
  lab: Lab,
  router: LabRouter,
  options: BfdPeerOptions,
): Promise<BfdPeerProcess> => (kind === "frr" ? startBfdd : startBird)(lab, router, options);

async function startBfdd(lab: Lab, router: LabRouter, options: BfdPeerOptions): Promise<BfdPeerProcess> {
  const base = join(lab.directory, `${router.name}-bfdd`);
  mkdirSync(base, { recursive: true });
  const peer = `peer ${options.remote} local-address ${options.local} interface lan0`;
  writeFileSync(`${base}/zebra.conf`, "");
  writeFileSync(
    `${base}/bfdd.conf`,
    [
      "bfd",
      ` ${peer}`,
      `  detect-multiplier ${options.multiplier}`,
      `  receive-interval ${options.intervalMs}`,
      `  transmit-interval ${options.intervalMs}`,
      ...(options.passive ? ["  passive-mode"] : []),
      "  no shutdown",
      " exit",
      "exit",
      "",
    ].join("\n"),
  );
  const start = (daemon: string, ...more: string[]) =>
    router.spawn(`${router.name}-${daemon}`, `${FRR}/${daemon}`, [
      ...["-u", "root", "-g", "frrvty", "-P", "0", "--log", "stdout", "-z", `${base}/zserv.api`],
      ...["-f", `${base}/${daemon}.conf`, "-i", `${base}/${daemon}.pid`, "--vty_socket", base, ...more],
    ]);
  const zebra = start("zebra");
  await eventually("zebra listens", START_BOUND_MS, () => zebraListens(base), zebra.output);
  const bfdd = start("bfdd", "--bfdctl", `unix:${base}/bfdd.sock`);
  const ask = (...commands: string[]): Promise<string> =>
    router.run(VTYSH, "--vty_socket", base, "-d", "bfdd", ...commands.flatMap((one) => ["-c", one]));
  const state = async (): Promise<string> => {
    const answer = await ask("show bfd peers json").catch(() => "[]");
    return (JSON.parse(answer.trim() || "[]") as { status?: string }[])[0]?.status ?? "none";
  };
  await eventually(
    "bfdd has its session",
    START_BOUND_MS,
    async () => (await state()) !== "none",
    bfdd.output,
  );
  return {
    state,
    shutdown: async (on) => {
      await ask("configure terminal", "bfd", peer, on ? "shutdown" : "no shutdown");
    },
    kill: () => {
      bfdd.kill("SIGKILL");
      zebra.kill("SIGKILL");
    },
    log: () => bfdd.output(),
  };
}

function birdAuthentication({ type, keyId, key }: NonNullable<BfdPeerOptions["authentication"]>): string {
  return `authentication ${type.replaceAll("-", " ")}; password "${key}" { id ${keyId}; };`;
}

async function startBird(lab: Lab, router: LabRouter, options: BfdPeerOptions): Promise<BfdPeerProcess> {
  const base = join(lab.directory, `${router.name}-bird`);
  mkdirSync(base, { recursive: true });
  const { intervalMs, multiplier, remote, local, passive, authentication } = options;
  writeFileSync(
    `${base}/bird.conf`,
    [
      `router id ${local.includes(":") ? "192.0.2.99" : local};`,
      "protocol device {}",
      "protocol bfd one {",
      `  interface "lan0" { interval ${intervalMs} ms; multiplier ${multiplier}; passive ${passive ? "yes" : "no"};`,
      ...(authentication ? [`    ${birdAuthentication(authentication)}`] : []),
      "  };",
      `  neighbor ${remote} dev "lan0" local ${local};`,
      "}",
      "",
    ].join("\n"),
  );
  const bird = router.spawn(`${router.name}-bird`, BIRD, [
    ...["-f", "-c", `${base}/bird.conf`, "-s", `${base}/bird.ctl`, "-P", `${base}/bird.pid`],
  ]);
  const ask = (...words: string[]): Promise<string> => router.run(BIRDC, "-s", `${base}/bird.ctl`, ...words);
  const state = async (): Promise<string> => {
    const answer = await ask("show", "bfd", "sessions").catch(() => "");
    return /\slan0\s+(\w+)\s/.exec(answer)?.[1]?.toLowerCase() ?? "none";
  };
  await eventually("BIRD answers", START_BOUND_MS, async () => (await state()) !== "none", bird.output);
  return {
    state,
    shutdown: async (on) => void (await ask(on ? "disable" : "enable", "one")),
    kill: () => bird.kill("SIGKILL"),
    log: () => bird.output(),
  };
}

// ---- on the wire --------------------------------------------------------------------------------------

export interface SeenControl {
  readonly atUs: number;
  readonly outgoing: boolean;
  readonly state: BfdStateName;
  readonly diagnostic: number;
  readonly poll: boolean;
  readonly final: boolean;
  readonly sourcePort: number;
  /** Of an authenticated packet that has one. */
  readonly sequence: number | null;
}

/** Captures the UDP of a router's LAN leg in both directions. */
export function captureBfd(router: LabRouter): Capture {
  return captureAt(router, "lan0", {
    outgoing: true,
    filter: [
      { etherType: 0x0800, protocol: 17 },
      { etherType: 0x86dd, protocol: 17 },
    ],
  });
}

export function controlsOf(capture: Capture): SeenControl[] {
  return capture.frames().flatMap(({ atUs, outgoing, octets }) => {
    const read = readBfdFrame(octets.slice());
    if (!read?.control) return [];
    const { state, diagnostic, flags } = read.control;
    const { sourcePort } = read.udp;
    const section = read.control.authentication;
    const numbered = section[0] !== AUTHENTICATION_TYPES.simple && section.length >= 8;
    const sequence = numbered ? new DataView(section.buffer, section.byteOffset).getUint32(4) : null;
    return [
      { atUs, outgoing, state, diagnostic, poll: flags.poll, final: flags.final, sourcePort, sequence },
    ];
  });
}

/** How long after the last packet that came in a router first said Down; null: it has not. */
export function downAfterUs(seen: readonly SeenControl[]): number | null {
  const down = seen.find((one, index) => {
    const before = seen.slice(0, index).findLast((other) => other.outgoing);
    return one.outgoing && one.state === "down" && before?.state === "up";
  });
  const heard = down && seen.findLast((one) => !one.outgoing && one.atUs < down.atUs);
  return down && heard ? down.atUs - heard.atUs : null;
}
