/**
 * Which packets this machine lets in for virtual routers: the filter (native/bpf) on each parent interface, and the
 * groups in its table. One filter a process; it hooks in where its first group is placed, and leaves with the last.
 *
 * What is hooked in stays when the process dies, so that the kernel goes on forwarding for it; recovery.ts finds it.
 */

import { setTimeout as delay } from "node:timers/promises";
import { FirsthopError } from "../../errors.js";
import type {
  FoundOwnership,
  OwnershipHook as NativeHook,
  NativeOwnership,
  NativeOwnershipApi,
  OwnershipAttachment,
} from "../../native/ownership.js";
import type { KernelOptions, Lease, OwnershipHook, OwnershipStatus } from "../driver.js";

/** What a virtual router needs let in. */
export interface GroupRequest {
  readonly parentIfindex: number;
  /** IFLA_INFO_KIND of the parent; null for hardware. */
  readonly parentKind: string | null;
  /** Whether VLAN interfaces stand on the parent. */
  readonly hasVlans: boolean;
  readonly mac: string;
  readonly addresses: readonly string[];
}

/** A lease as the heartbeat engine's addon needs it. */
export interface LinuxLease extends Lease {
  readonly table: NativeOwnership;
}

export interface OwnershipFilter {
  /** Places a group whose lease is closed. Null where there is no filter; `status` says why. */
  place(request: GroupRequest): LinuxLease | null;
  /** The group's packets are let in no more. */
  shut(lease: LinuxLease): void;
  /** Takes groups out, and the filter off interfaces that have none any more. What comes in after that is not judged. */
  remove(leases: readonly LinuxLease[]): void;
  status(ifindex: number): OwnershipStatus | null;
  /**
   * Looks whether the filter still stands on each interface, and puts it back, where it can't be on another hook. Only
   * where something is missing does the JavaScript thread itself wait for the kernel.
   * @returns where it was missing, with what came of it
   */
  mend(): Promise<readonly { readonly ifindex: number; readonly outcome: string }[]>;
  /** For the process that is to go on with the table. `present`: interfaces that are there. */
  inheritance(present: ReadonlySet<number>): FilterInheritance;
  /** A lease of the table that was inherited. */
  inheritedLease(slot: number): LinuxLease | null;
  /** Takes the filter off every interface. */
  close(): void;
}

/** Hooks in the order in which they are tried. */
function candidates(
  wanted: KernelOptions["ownership"],
  { parentKind, hasVlans }: Pick<Attachment, "parentKind" | "hasVlans">,
): readonly NativeHook[] {
  switch (wanted) {
    case "off":
      return [];
    case "tc":
      return ["tc"];
    case "auto":
      // Only tc sees tags that are beside the packet: always those of a virtual device, and of most hardware, which takes
      // them off. XDP would take a packet of a VLAN for one of the interface itself.
      return parentKind === null && !hasVlans ? ["xdp", "tc"] : ["tc"];
    default:
      return [wanted];
  }
}

const NOT_YET: OwnershipStatus = { hook: "off", detail: null };

/** FH_SLOTS of native/bpf/ownership_abi.h; the first is the table's head. */
const SLOT_MAX = 8191;

function shownHook(hook: NativeHook): OwnershipHook {
  return hook === "tc-clsact" ? "tc" : hook;
}

/** What another process goes on with. JSON. */
export interface FilterInheritance {
  readonly attachments: readonly {
    readonly ifindex: number;
    readonly status: OwnershipStatus;
    readonly parentKind: string | null;
    readonly hasVlans: boolean;
    readonly slots: readonly number[];
  }[];
}

interface Attachment {
  status: OwnershipStatus;
  readonly parentKind: string | null;
  readonly hasVlans: boolean;
  readonly slots: Set<number>;
}

/** @param token hexadecimal: whom the table belongs to */
export function openOwnershipFilter(
  native: NativeOwnershipApi,
  wanted: KernelOptions["ownership"],
  token: string,
  inherited: FilterInheritance | null = null,
): OwnershipFilter {
  let table: NativeOwnership | null = null;
  let refusal: string | null = null;
  const attachments = new Map<number, Attachment>();
  const freed: number[] = [];
  /** Slot 0 is the table's head. */
  let nextSlot = 1;
  if (inherited) inherit(inherited);

  function inherit({ attachments: before }: FilterInheritance): void {
    const filtered = before.filter(({ status }) => status.hook !== "off");
    const number = Number.parseInt(token, 16);
    const found = native
      .findOwnership(filtered.map(({ ifindex }) => ifindex))
      .find((one) => one.token === number);
    if (filtered.length > 0 && !found) {
      throw new FirsthopError(
        "KERNEL_REFUSED",
        "the running daemon's filter is not there: restart without --handover",
      );
    }
    if (found) table = adopt(found, number);
    for (const { ifindex, slots, ...rest } of before)
      attachments.set(ifindex, { ...rest, slots: new Set(slots) });
    const used = new Set(before.flatMap(({ slots }) => slots));
    nextSlot = Math.max(0, ...used) + 1;
    for (let slot = 1; slot < nextSlot; slot++) if (!used.has(slot)) freed.push(slot);
  }

  function adopt(found: FoundOwnership, number: number): NativeOwnership {
    try {
      return native.adoptOwnership(found, { token: number });
    } catch (error) {
      if (codeOf(error) !== "ENOTSUP") throw error;
      const message = "the running daemon's filter is another version's: restart without --handover";
      throw new FirsthopError("KERNEL_REFUSED", message);
    }
  }

  function open(): NativeOwnership | null {
    if (table || refusal !== null || wanted === "off") return table;
    try {
      table = native.openOwnership({ token: Number.parseInt(token, 16) });
    } catch (error) {
      const code = codeOf(error);
      const denied = code === "EPERM" || code === "EACCES";
      const advice = denied ? ": the process needs CAP_BPF and CAP_SYS_ADMIN for it" : "";
      refusal = `the kernel takes no filter: ${code}${advice}`;
    }
    return table;
  }

  function attach(
    filter: NativeOwnership,
    ifindex: number,
    parent: Pick<Attachment, "parentKind" | "hasVlans">,
  ): OwnershipStatus {
    const refusals: string[] = [];
    for (const hook of candidates(wanted, parent)) {
      try {
        return { hook: shownHook(filter.attach(ifindex, hook)), detail: null };
      } catch (error) {
        refusals.push(`${hook}: ${codeOf(error)}`);
      }
    }
    return { hook: "off", detail: refusals.join("; ") };
  }

  /** Null: everything stands. */
  function mendOne(filter: NativeOwnership, ifindex: number, attachment: Attachment): string | null {
    try {
      if (attachment.status.hook !== "off") return filter.mend(ifindex).length === 0 ? null : "put back";
    } catch (error) {
      if (!isRefusal(error)) throw error;
      filter.detach(ifindex);
    }
    const before = attachment.status;
    attachment.status = attach(filter, ifindex, attachment);
    const { hook, detail } = attachment.status;
    if (hook !== "off") return `put back as ${hook}`;
    const again = before.hook === "off" && before.detail === detail;
    return again ? null : `it can't be put back (${detail}): a Backup forwards as well until it can`;
  }

  return {
    place({ parentIfindex: ifindex, parentKind, hasVlans, mac, addresses }) {
      const filter = open();
      const parent = { parentKind, hasVlans };
      if (!filter) {
        const detail = wanted === "off" ? null : refusal;
        attachments.set(ifindex, { status: { hook: "off", detail }, ...parent, slots: new Set() });
        return null;
      }
      const attachment = attachments.get(ifindex) ?? { status: NOT_YET, ...parent, slots: new Set() };
      attachments.set(ifindex, attachment);
      if (attachment.status.hook === "off") attachment.status = attach(filter, ifindex, attachment);
      if (attachment.status.hook === "off") return null;
      const slot = freed.at(-1) ?? nextSlot;
      if (slot > SLOT_MAX) {
        throw new FirsthopError(
          "KERNEL_REFUSED",
          `the ownership filter has room for ${SLOT_MAX} virtual routers, and all of it is taken`,
        );
      }
      // The terms come with the lease's first use.
      filter.setGroup(slot, { ifindex, mac, addresses, overdueUs: 0, limitUs: 0 });
      if (freed.pop() === undefined) nextSlot++;
      attachment.slots.add(slot);
      return { slot, table: filter };
    },

    shut: (lease) => table?.setLease(lease.slot, false),

    remove(leases) {
      for (const { slot } of leases) {
        for (const [ifindex, attachment] of attachments) {
          if (!attachment.slots.delete(slot)) continue;
          table?.removeGroup(slot);
          freed.push(slot);
          if (attachment.slots.size > 0) continue;
          attachments.delete(ifindex);
          table?.detach(ifindex);
        }
      }
    },

    status: (ifindex) => attachments.get(ifindex)?.status ?? null,

    async mend() {
      const filter = table;
      if (!filter) return [];
      // Without a group there is nothing that it could let through or keep out.
      const looked = [...attachments].filter(([, { slots }]) => slots.size > 0);
      const there = await native.listPrograms(looked.map(([ifindex]) => ifindex));
      const own = filter.attached();
      return looked.flatMap(([ifindex, attachment], index) => {
        // An interface that is gone took everything along.
        const programs = there[index] ?? own;
        const stands = (one: OwnershipAttachment): boolean =>
          one.ifindex !== ifindex || programs.some((other) => sameProgram(one, other));
        const whole = attachment.status.hook !== "off" && own.every(stands);
        const outcome =
          whole || attachments.get(ifindex) !== attachment ? null : mendOne(filter, ifindex, attachment);
        return outcome === null ? [] : [{ ifindex, outcome }];
      });
    },

    inheritance: (present) => ({
      attachments: [...attachments]
        .filter(([ifindex]) => present.has(ifindex))
        .map(([ifindex, { slots, ...rest }]) => ({ ifindex, ...rest, slots: [...slots] })),
    }),

    inheritedLease: (slot) => table && { slot, table },

    close() {
      table?.close();
      table = null;
      attachments.clear();
    },
  };
}

/**
 * After this many times the overdue time (1.5 intervals), a Backup of the lowest priority has taken over: three intervals
 * and its skew of one, and some more for one that is late.
 */
const SUCCESSION = 3;
/** Whoever advertises very seldom is not waited for to the end. */
const SUCCESSION_MAX_MS = 10_000;
const SUCCESSION_LOOK_MS = 20;

/**
 * Waits for successors of dead daemons for whom the kernel still forwards. Taken off before that, their filters would
 * leave the hosts without a gateway until a successor claims it.
 */
export async function awaitSuccessors(
  native: NativeOwnershipApi,
  links: readonly { readonly ifindex: number }[],
  isAlive: (token: string) => boolean,
): Promise<void> {
  const deadline = Date.now() + SUCCESSION_MAX_MS;
  for (let ifindexes = links.map(({ ifindex }) => ifindex); ; await delay(SUCCESSION_LOOK_MS)) {
    const dead = findDead(native, ifindexes, isAlive);
    const nowUs = Number(process.hrtime.bigint() / 1000n);
    const awaited = dead.some(({ groups }) =>
      groups.some(({ lease }) => lease.owner && nowUs < lease.renewedUs + SUCCESSION * lease.overdueUs),
    );
    if (!awaited || Date.now() > deadline) return;
    ifindexes = dead.flatMap(({ attached }) => attached.map(({ ifindex }) => ifindex));
    ifindexes = [...new Set(ifindexes)];
  }
}

/**
 * Takes off what dead daemons left hooked in, once their devices are gone, and says what it was doing.
 * @param isAlive by token, hexadecimal
 */
export function clearLeftFilters(
  native: NativeOwnershipApi,
  links: readonly { readonly ifindex: number; readonly name: string }[],
  isAlive: (token: string) => boolean,
): string[] {
  const ifindexes = links.map(({ ifindex }) => ifindex);
  return findDead(native, ifindexes, isAlive).map((one) => {
    native.clearOwnership(one);
    const names = new Set(one.attached.map(({ ifindex }) => nameOf(links, ifindex)));
    return `removed the ownership filter from ${[...names].join(", ")}: ${doingOf(one)}`;
  });
}

function findDead(
  native: NativeOwnershipApi,
  ifindexes: readonly number[],
  isAlive: (token: string) => boolean,
): FoundOwnership[] {
  const found = findAll(native, ifindexes);
  return found.filter(({ token }) => !isAlive(token.toString(16).padStart(8, "0")));
}

/** Where this process can't look into the kernel's programs, it can't have been another of its kind that left some. */
function findAll(native: NativeOwnershipApi, ifindexes: readonly number[]): FoundOwnership[] {
  try {
    return native.findOwnership(ifindexes);
  } catch (error) {
    if (["EPERM", "EACCES", "ENOSYS", "EINVAL", "EOPNOTSUPP"].includes(codeOf(error))) return [];
    throw error;
  }
}

function nameOf(
  links: readonly { readonly ifindex: number; readonly name: string }[],
  ifindex: number,
): string {
  return links.find((link) => link.ifindex === ifindex)?.name ?? `interface ${ifindex}`;
}

function doingOf({ groups }: FoundOwnership): string {
  const owned = groups.filter(({ lease }) => lease.owner).length;
  const yielded = groups.filter(({ lease }) => lease.claim !== 0 && lease.yielded === lease.claim).length;
  const expired = groups.filter(({ lease }) => lease.claim !== 0 && !lease.owner).length - yielded;
  const parts = [
    ...(owned > 0 ? [`it still forwarded for ${owned} virtual router${owned === 1 ? "" : "s"}`] : []),
    ...(yielded > 0 ? [`it had given way to a successor for ${yielded}`] : []),
    ...(expired > 0 ? [`it had ended forwarding after ownershipLimit for ${expired}`] : []),
  ];
  return parts.join(", ") || "it forwarded for none";
}

function sameProgram(one: OwnershipAttachment, other: OwnershipAttachment): boolean {
  return one.place === other.place && one.programId === other.programId;
}

/** Of the kernel's, not of this program's. */
function isRefusal(error: unknown): boolean {
  return typeof (error as { code?: unknown }).code === "string" && !(error instanceof TypeError);
}

function codeOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code ?? message ?? String(error);
}
