/** FRRouting (zebra and vrrpd) as a peer. It expects its macvlan to be there: we make and remove it. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { writeSysctls } from "../../src/lab/namespaces.js";
import type { LabRouter } from "../../src/lab/topology.js";
import { eventually } from "../../src/lab/wait.js";
import { familyProcesses, killQuietly } from "./processes.js";
import { type FullSpeakerOptions, type SpeakerState, type StartSpeaker, withDefaults } from "./speaker.js";

export const FRR_DAEMONS = "/usr/lib/frr";
const VTYSH = "/usr/bin/vtysh";
const START_BOUND_MS = 10_000;
const STOP_BOUND_MS = 15_000;

export const frrInstalled = (): boolean =>
  [`${FRR_DAEMONS}/vrrpd`, `${FRR_DAEMONS}/zebra`, VTYSH].every(existsSync);

/**
 * Whether zebra takes connections. Its socket is there a moment sooner, and a daemon that is refused asks again after ten
 * seconds only.
 */
export function zebraListens(base: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(`${base}/zserv.api`);
    const end = (listens: boolean): void => {
      socket.destroy();
      resolve(listens);
    };
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });
}

/** The configuration of vrrpd for one virtual router on the LAN leg. */
export function frrConfig(options: FullSpeakerOptions): string {
  const { vrid } = options;
  const word = options.family === "ipv4" ? "ip" : "ipv6";
  return [
    "interface lan0",
    ` vrrp ${vrid} version ${options.version}`,
    ` vrrp ${vrid} priority ${options.priority}`,
    ` vrrp ${vrid} advertisement-interval ${options.intervalMs}`,
    ...(options.preempt ? [] : [` no vrrp ${vrid} preempt`]),
    ...options.addresses.map((address) => ` vrrp ${vrid} ${word} ${address.replace(/\/.*/, "")}`),
    "",
  ].join("\n");
}

/** The macvlan that vrrpd looks for: of the LAN leg, with the virtual MAC, holding the virtual addresses. */
async function makeMacvlan(router: LabRouter, name: string, options: FullSpeakerOptions): Promise<void> {
  const kind = options.family === "ipv4" ? "01" : "02";
  const mac = `00:00:5e:00:${kind}:${options.vrid.toString(16).padStart(2, "0")}`;
  const ip = (...args: string[]): Promise<string> => router.run("ip", ...args);
  await ip("link", "del", name).catch(() => ""); // a crashed one left it
  await ip("link", "add", name, "link", "lan0", "address", mac, "type", "macvlan", "mode", "bridge");
  // vrrpd sends IPv6 advertisements from a link-local of the macvlan; EUI-64 would give both routers the same one.
  await ip("link", "set", name, "addrgenmode", "random");
  if (options.family === "ipv4") {
    await writeSysctls(router.namespace, {
      // Its MLD reports would carry the virtual MAC of a Backup and draw the switch's table to it.
      [`net/ipv6/conf/${name}/disable_ipv6`]: 1,
      // The address stays on a Backup's macvlan: the leg itself must not answer for it.
      "net/ipv4/conf/lan0/arp_ignore": 1,
      [`net/ipv4/conf/${name}/arp_ignore`]: 1,
    });
  }
  for (const address of options.addresses) await ip("addr", "add", address, "dev", name, "nodad");
  await ip("link", "set", name, "up");
}

function stateFrom(json: string, family: FullSpeakerOptions["family"]): SpeakerState {
  const parsed = JSON.parse(json) as Record<string, { readonly status?: string }>[];
  const status = parsed[0]?.[family === "ipv4" ? "v4" : "v6"]?.status;
  return status === "Master" ? "active" : status === "Backup" ? "backup" : "other";
}

/** Starts zebra and vrrpd in a router and waits until the virtual router runs. */
export const startFrr: StartSpeaker = async (lab, router, given) => {
  const options = withDefaults(given);
  if (!options.virtualMac || options.password || options.unicastPeers) {
    throw new Error("FRR speaks with a virtual MAC, multicast and no password only");
  }
  const base = join(lab.directory, `${router.name}-frr`);
  mkdirSync(base, { recursive: true });
  const macvlan = `vrrp${options.family === "ipv4" ? 4 : 6}-${options.vrid}`;
  await makeMacvlan(router, macvlan, options);
  writeFileSync(`${base}/zebra.conf`, "");
  writeFileSync(`${base}/vrrpd.conf`, frrConfig(options));
  const start = (daemon: string): ReturnType<LabRouter["spawn"]> =>
    router.spawn(`${router.name}-${daemon}`, `${FRR_DAEMONS}/${daemon}`, [
      ...["-u", "root", "-g", "frrvty", "-P", "0", "--log", "stdout", "-z", `${base}/zserv.api`],
      ...["-f", `${base}/${daemon}.conf`, "-i", `${base}/${daemon}.pid`, "--vty_socket", base],
    ]);
  const zebra = start("zebra");
  const log = (): string => `${zebra.output()}\n${vrrpd?.output() ?? ""}`;
  let vrrpd: ReturnType<LabRouter["spawn"]> | undefined;
  const running = (child: typeof zebra): true => {
    if (child.running()) return true;
    throw new Error(`FRR ended at once: ${child.output().trim().split("\n").at(-1)}`);
  };
  await eventually("zebra listens", START_BOUND_MS, () => running(zebra) && zebraListens(base), log);
  vrrpd = start("vrrpd");
  const state = async (): Promise<SpeakerState> => {
    if (!vrrpd?.running()) return "other";
    const command = ["--vty_socket", base, "-d", "vrrpd", "-c", "show vrrp json"];
    const answer = await router.run(VTYSH, ...command).catch(() => "[]");
    return stateFrom(answer.trim() || "[]", options.family);
  };
  const begun = vrrpd;
  await eventually(
    "vrrpd took up its work",
    START_BOUND_MS,
    async () => running(begun) && (await state()) !== "other",
    log,
  );
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    for (const pid of familyProcesses(base)) killQuietly(pid, signal);
    await eventually("FRR ends", STOP_BOUND_MS, () => !vrrpd?.running() && !zebra.running(), log);
    rmSync(`${base}/zserv.api`, { force: true });
  };
  return {
    kind: "frr",
    router,
    options,
    state,
    stop: async () => {
      // vrrpd first: it gives up its role while zebra is still there to change the kernel.
      vrrpd?.kill("SIGTERM");
      await eventually("vrrpd ends", STOP_BOUND_MS, () => !vrrpd?.running(), log);
      await end("SIGTERM");
      await router.run("ip", "link", "del", macvlan);
    },
    crash: () => end("SIGKILL"),
    processes: () => familyProcesses(base),
    log,
  };
};
