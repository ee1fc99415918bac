/** keepalived as a peer: configuration, process, state from its log. */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../../src/lab/wait.js";
import { familyProcesses, killQuietly } from "./processes.js";
import {
  type FullSpeakerOptions,
  type Speaker,
  type SpeakerState,
  type StartSpeaker,
  withDefaults,
} from "./speaker.js";

export const KEEPALIVED = "/usr/sbin/keepalived";
const INSTANCE = "lab";
const START_BOUND_MS = 10_000;
const STOP_BOUND_MS = 15_000;

export const keepalivedInstalled = (): boolean => existsSync(KEEPALIVED);

/** The configuration of one instance on the LAN leg. */
export function keepalivedConfig(options: FullSpeakerOptions, address: string): string {
  const lines = (when: unknown, ...text: string[]): string[] => (when ? text : []);
  const block = (name: string, entries: readonly string[]): string[] => [
    `  ${name} {`,
    ...entries.map((entry) => `    ${entry}`),
    "  }",
  ];
  return [
    "global_defs {",
    "  router_id lab",
    `  vrrp_version ${options.version}`,
    ...lines(options.realtimePriority, `  vrrp_rt_priority ${options.realtimePriority}`, "  vrrp_no_swap"),
    "}",
    `vrrp_instance ${INSTANCE} {`,
    "  state BACKUP",
    "  interface lan0",
    `  version ${options.version}`,
    `  virtual_router_id ${options.vrid}`,
    `  priority ${options.priority}`,
    `  advert_int ${options.intervalMs / 1000}`,
    ...lines(!options.preempt, "  nopreempt"),
    ...lines(options.virtualMac, `  use_vmac vrrp.${options.vrid}`),
    ...lines(options.virtualMac && options.unicastPeers, "  vmac_xmit_base"),
    ...lines(options.unicastPeers, `  unicast_src_ip ${address}`),
    ...(options.unicastPeers ? block("unicast_peer", options.unicastPeers) : []),
    ...(options.password ? block("authentication", ["auth_type PASS", `auth_pass ${options.password}`]) : []),
    ...block("virtual_ipaddress", options.addresses),
    "}",
    "",
  ].join("\n");
}

const STATE_LINE = new RegExp(`\\(${INSTANCE}\\) (?:Entering|entering) (MASTER|BACKUP|FAULT) STATE`, "g");

/** The state that the last line about one tells. */
export function keepalivedState(log: string): SpeakerState {
  const last = [...log.matchAll(STATE_LINE)].at(-1)?.[1];
  return last === "MASTER" ? "active" : last === "BACKUP" ? "backup" : "other";
}

/** Starts keepalived in a router and waits until it took up its work. */
export const startKeepalived: StartSpeaker = async (lab, router, given) => {
  const options = withDefaults(given);
  const base = join(lab.directory, `${router.name}-keepalived`);
  writeFileSync(`${base}.conf`, keepalivedConfig(options, router.addresses[options.family]));
  // A killed one leaves them behind; where nobody reaps orphans its child still counts as running.
  for (const file of [`${base}.pid`, `${base}-vrrp.pid`]) rmSync(file, { force: true });
  const child = router.spawn(`${router.name}-keepalived`, KEEPALIVED, [
    ...["--dont-fork", "--log-console", "--log-detail", "--vrrp"],
    ...["--use-file", `${base}.conf`, "--pid", `${base}.pid`, "--vrrp_pid", `${base}-vrrp.pid`],
  ]);
  const log = (): string => child.output();
  const ended = (): Promise<unknown> =>
    eventually(
      "keepalived ends",
      STOP_BOUND_MS,
      () => !child.running() && familyProcesses(base).length === 0,
    );
  await eventually(
    "keepalived took up its work",
    START_BOUND_MS,
    () => {
      if (!child.running()) throw new Error(`keepalived ended at once: ${log().trim().split("\n").at(-1)}`);
      return keepalivedState(log()) !== "other";
    },
    log,
  );
  const speaker: Speaker = {
    kind: "keepalived",
    router,
    options,
    state: async () => (child.running() ? keepalivedState(log()) : "other"),
    stop: async () => {
      child.kill("SIGTERM");
      await ended();
    },
    crash: async () => {
      child.kill("SIGKILL"); // first of all the one that would start another child
      for (const pid of familyProcesses(base)) killQuietly(pid);
      await ended();
    },
    processes: () => familyProcesses(base),
    log,
  };
  return speaker;
};
