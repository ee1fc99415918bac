/** Who is measured side by side: firsthop as it is here, another revision of it, and the peers in their variants. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Lab } from "../../src/lab/topology.js";
import { startFirsthop, startFirsthopOf } from "../testbed/firsthop.js";
import { frrInstalled, startFrr } from "../testbed/frr.js";
import { keepalivedInstalled, startKeepalived } from "../testbed/keepalived.js";
import { reach, type Speaker, type SpeakerOptions, type StartSpeaker } from "../testbed/speaker.js";
import type { SubjectInfo } from "./model.js";

/** The other revision, where one is compared with. */
export const BEFORE = "before";

export type Make = "firsthop" | "keepalived" | "frr";

/** What a subject is started with: SpeakerOptions that make the variant. */
export type Variant = Pick<SpeakerOptions, "virtualMac" | "realtimePriority">;

export interface Subject extends SubjectInfo {
  readonly make: Make;
  readonly variant: Variant;
  readonly start: StartSpeaker;
  /** firsthop: where its clone is. */
  readonly root: string | null;
}

/** keepalived's documentation gives no figure; this is the middle of the range. */
export const PEER_REALTIME_PRIORITY = 50;

const FRR_VRRPD = "/usr/lib/frr/vrrpd";

/** The first line that a command prints, on either stream. */
function firstLine(command: string, ...args: string[]): string {
  const { stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  return `${stdout ?? ""}${stderr ?? ""}`.trim().split("\n")[0] ?? "";
}

function keepalivedSubject(id: string, title: string, variant: Variant): Subject {
  const installed = keepalivedInstalled();
  return {
    id,
    title,
    make: "keepalived",
    variant,
    root: null,
    version: installed ? firstLine("keepalived", "--version") : "",
    absent: installed ? null : "keepalived is not installed (Debian: apt-get install keepalived)",
    start: (lab, router, options) => startKeepalived(lab, router, { ...options, ...variant }),
  };
}

function frrSubject(): Subject {
  const installed = frrInstalled();
  return {
    id: "frr",
    title: "FRR vrrpd; its skew is rounded down to 10 ms, so it fires early by design",
    make: "frr",
    variant: {},
    root: null,
    version: installed ? firstLine(FRR_VRRPD, "--version") : "",
    absent: installed ? null : "FRR's vrrpd is not installed (Debian: apt-get install frr)",
    start: startFrr,
  };
}

/** firsthop of the clone at `root`. */
export function firsthopSubject(id: string, title: string, root: string, own: boolean): Subject {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  return {
    id,
    title,
    make: "firsthop",
    variant: {},
    root,
    version,
    absent: null,
    start: own ? startFirsthop : startFirsthopOf(join(root, "dist/cli/main.js")),
  };
}

export function peerSubjects(): Subject[] {
  const rt = { realtimePriority: PEER_REALTIME_PRIORITY };
  return [
    keepalivedSubject("keepalived-vmac", "keepalived with use_vmac, scheduled as packaged", {
      virtualMac: true,
    }),
    keepalivedSubject("keepalived-vmac-rt", "the same with vrrp_rt_priority 50 and vrrp_no_swap", {
      virtualMac: true,
      ...rt,
    }),
    keepalivedSubject("keepalived", "keepalived on the interface's own MAC, scheduled as packaged", {
      virtualMac: false,
    }),
    keepalivedSubject("keepalived-rt", "the same with vrrp_rt_priority 50 and vrrp_no_swap", {
      virtualMac: false,
      ...rt,
    }),
    frrSubject(),
  ];
}

/** Of router 1, and of the Backup. */
export const ACTIVE_PRIORITY = 150;
export const BACKUP_PRIORITY = 100;
const ELECTION_BOUND_MS = 15_000;

/** Starts two of a subject, `[active, backup]`, and waits until they are. Router 1 has priority 150, router 2 has 100. */
export async function startSubjectPair(
  lab: Lab,
  subject: Subject,
  options: Omit<SpeakerOptions, "priority">,
): Promise<{ active: Speaker; backup: Speaker }> {
  const boundMs = ELECTION_BOUND_MS + 4 * (options.intervalMs ?? 1000);
  const active = await subject.start(lab, lab.routers[0]!, { ...options, priority: ACTIVE_PRIORITY });
  await reach(active, "active", boundMs); // else the Backup's own start could make it Active for a moment
  const backup = await subject.start(lab, lab.routers[1]!, { ...options, priority: BACKUP_PRIORITY });
  await reach(backup, "backup", boundMs);
  return { active, backup };
}
