/**
 * Which packets this machine lets in for virtual routers: the filter (native/bpf) on each parent interface, and the
 * groups in its table. One filter a process; it hooks in where its first group is placed, and leaves with the last.
 *
 * What is hooked in stays when the process dies, so that the kernel goes on forwarding for it; recovery.ts finds it.
 */

import { FirsthopError } from "../../errors.js";
import type {
  FoundOwnership,
  OwnershipHook as NativeHook,
  NativeOwnership,
  NativeOwnershipApi,
} from "../../native/ownership.js";
import type { KernelOptions, Lease, OwnershipHook, OwnershipStatus } from "../driver.js";

/** What a virtual router needs let in. */
export interface GroupRequest {
  readonly parentIfindex: number;
  /** IFLA_INFO_KIND of the parent; null for hardware. */
  readonly parentKind: string | null;
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
   * Looks whether the filter still stands on each interface, and puts it back, where it can't be on another hook.
   * @returns where it was missing, with what came of it
   */
  mend(): readonly { readonly ifindex: number; readonly outcome: string }[];
  /** For the process that is to go on with the table. */
  inheritance(): FilterInheritance;
  /** A lease of the table that was inherited. */
  inheritedLease(slot: number): LinuxLease | null;
  /** Takes the filter off every interface. */
  close(): void;
}

/** Hooks in the order in which they are tried. */
function candidates(wanted: KernelOptions["ownership"], hardware: boolean): readonly NativeHook[] {
  switch (wanted) {
    case "off":
      return [];
    case "tc":
      return ["tc"];
    case "auto":
      // Tags of a virtual device are beside the packet, where only tc sees them.
      return hardware ? ["xdp", "tc"] : ["tc"];
    default:
      return [wanted];
  }
}

const NOT_YET: OwnershipStatus = { hook: "off", detail: null };

function shownHook(hook: NativeHook): OwnershipHook {
  return hook === "tc-clsact" ? "tc" : hook;
}

/** What another process goes on with. JSON. */
export interface FilterInheritance {
  readonly attachments: readonly {
    readonly ifindex: number;
    readonly status: OwnershipStatus;
    readonly parentKind: string | null;
    readonly slots: readonly number[];
  }[];
}

interface Attachment {
  status: OwnershipStatus;
  readonly parentKind: string | null;
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
    if (found) table = native.adoptOwnership(found, { token: number });
    for (const { ifindex, slots, ...rest } of before)
      attachments.set(ifindex, { ...rest, slots: new Set(slots) });
    const used = new Set(before.flatMap(({ slots }) => slots));
    nextSlot = Math.max(0, ...used) + 1;
    for (let slot = 1; slot < nextSlot; slot++) if (!used.has(slot)) freed.push(slot);
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

  function attach(filter: NativeOwnership, ifindex: number, parentKind: string | null): OwnershipStatus {
    const refusals: string[] = [];
    for (const hook of candidates(wanted, parentKind === null)) {
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
    attachment.status = attach(filter, ifindex, attachment.parentKind);
    const { hook, detail } = attachment.status;
    if (hook !== "off") return `put back as ${hook}`;
    const again = before.hook === "off" && before.detail === detail;
    return again ? null : `it can't be put back (${detail}): a Backup forwards as well until it can`;
  }

  return {
    place({ parentIfindex: ifindex, parentKind, mac, addresses }) {
      const filter = open();
      if (!filter) {
        const detail = wanted === "off" ? null : refusal;
        attachments.set(ifindex, { status: { hook: "off", detail }, parentKind, slots: new Set() });
        return null;
      }
      const attachment = attachments.get(ifindex) ?? { status: NOT_YET, parentKind, slots: new Set() };
      attachments.set(ifindex, attachment);
      if (attachment.status.hook === "off") attachment.status = attach(filter, ifindex, parentKind);
      if (attachment.status.hook === "off") return null;
      const slot = freed.pop() ?? nextSlot++;
      // The terms come with the lease's first use.
      filter.setGroup(slot, { ifindex, mac, addresses, overdueUs: 0, limitUs: 0 });
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

    mend() {
      const filter = table;
      if (!filter) return [];
      return [...attachments].flatMap(([ifindex, attachment]) => {
        // Without a group there is nothing that it could let through or keep out.
        const outcome = attachment.slots.size > 0 ? mendOne(filter, ifindex, attachment) : null;
        return outcome === null ? [] : [{ ifindex, outcome }];
      });
    },

    inheritance: () => ({
      attachments: [...attachments].map(([ifindex, { slots, ...rest }]) => ({
        ifindex,
        ...rest,
        slots: [...slots],
      })),
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
 * Takes off what dead daemons left hooked in, once their devices are gone, and says what it was doing.
 * @param isAlive by token, hexadecimal
 */
export function clearLeftFilters(
  native: NativeOwnershipApi,
  links: readonly { readonly ifindex: number; readonly name: string }[],
  isAlive: (token: string) => boolean,
): string[] {
  const found = findAll(
    native,
    links.map(({ ifindex }) => ifindex),
  );
  const dead = found.filter(({ token }) => !isAlive(token.toString(16).padStart(8, "0")));
  return dead.map((one) => {
    native.clearOwnership(one);
    const names = new Set(one.attached.map(({ ifindex }) => nameOf(links, ifindex)));
    return `removed the ownership filter from ${[...names].join(", ")}: ${doingOf(one)}`;
  });
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

/** Of the kernel's, not of this program's. */
function isRefusal(error: unknown): boolean {
  return typeof (error as { code?: unknown }).code === "string" && !(error instanceof TypeError);
}

function codeOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code ?? message ?? String(error);
}
