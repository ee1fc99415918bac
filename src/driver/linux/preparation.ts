/**
 * From a request to a device: what a virtual router will need in the kernel, judged by what is there, and the macvlans
 * made for many of them in one go. A preparation that fails says why and takes no other with it.
 */
import { FirsthopError } from "../../errors.js";
import type {
  AddressRow,
  LinkChange,
  LinkRow,
  NativeNetlinkApi,
  NetlinkFailure,
  NetlinkSocket,
  NetlinkStep,
} from "../../native/netlink.js";
import type { VirtualInterfaceRequest } from "../driver.js";
import { removeLinks } from "./link-removal.js";
import { errnoName, refusalOf } from "./refusal.js";
import {
  carriesIpv6,
  deviceFiles,
  hasIpv6,
  ipv4DeviceSettings,
  type ParentNeed,
  parentNeeds,
  readSysctl,
  refuseMuteArp,
  type SysctlClaim,
  sysctlPath,
  writeSysctl,
} from "./sysctl.js";
import {
  findParent,
  formatTag,
  type Leftovers,
  parentSteps,
  parseTag,
  type Site,
  type Steps,
  survey,
  tableOf,
} from "./virtual-interface.js";

/** RFC 8200 section 5. */
const IPV6_MIN_MTU = 1280;

/** A preparation under way. */
export interface Plan {
  readonly request: VirtualInterfaceRequest;
  readonly parent: LinkRow;
  readonly table: number;
  /** Null when the addresses go on the parent itself. */
  readonly site: (Site & { readonly mac: string }) | null;
  /** Known beforehand for addresses on the parent, with the device for others. */
  readonly steps: (Steps & Leftovers) | null;
  readonly needs: readonly ParentNeed[];
  failure: FirsthopError | null;
}

/** The macvlan of a virtual router. */
export interface Device {
  readonly ifindex: number;
  readonly name: string;
  readonly mac: string;
}

/** Who makes devices, and who else lives here. */
interface Owner {
  readonly token: string;
  readonly isAlive: (token: string) => boolean;
}

/** @throws FirsthopError KERNEL_REFUSED, INTERFACE_MISSING, INTERFACE_CONFLICT */
export function planFor(
  native: NativeNetlinkApi,
  own: Owner,
  request: VirtualInterfaceRequest,
  links: readonly LinkRow[],
  addresses: readonly AddressRow[],
): Plan {
  const { family, mac } = request;
  if (family === "ipv6" && !hasIpv6()) {
    throw new FirsthopError("KERNEL_REFUSED", "this kernel runs without IPv6 (ipv6.disable=1)");
  }
  const site = mac === null ? null : { ...survey({ ...request, mac }, links, own), mac };
  const parent = site?.parent ?? findParent(request.parentIfindex, links);
  if (family === "ipv6" && !carriesIpv6(parent.name)) {
    throw new FirsthopError("KERNEL_REFUSED", lackOfIpv6(parent));
  }
  if (!site && family === "ipv6" && readSysctl("ipv6", parent.name, "disable_ipv6") === "1") {
    throw new FirsthopError(
      "KERNEL_REFUSED",
      `IPv6 is off on ${parent.name}: sysctl -w net.ipv6.conf.${parent.name}.disable_ipv6=0`,
    );
  }
  if (site && family === "ipv4" && request.accept) refuseMuteArp();
  const needs = parentNeeds(family, site !== null);
  const table = tableOf(parent, links);
  const steps = site ? null : parentSteps(native, request, parent, table, addresses);
  return { request, parent, table, site, steps, needs, failure: null };
}

function lackOfIpv6({ name, mtu }: LinkRow): string {
  const reason = mtu < IPV6_MIN_MTU ? `: its MTU is ${mtu}, and IPv6 takes ${IPV6_MIN_MTU} (RFC 8200)` : "";
  return `there is no IPv6 on ${name}${reason}`;
}

/** Changes a parent's setting; the virtual routers on it fail when that fails. */
export function writeForPlans(claim: SysctlClaim, plans: readonly Plan[]): void {
  const concerned = plans.filter((plan) => plan.parent.ifindex === claim.ifindex);
  const name = concerned[0]?.parent.name;
  if (name === undefined) return;
  try {
    writeSysctl(claim.family, name, claim.setting, claim.written);
  } catch (error) {
    for (const plan of concerned) plan.failure ??= error as FirsthopError;
  }
}

/** @throws FirsthopError INTERFACE_CONFLICT */
export function refuseTwice(plan: Plan, sites: Map<string, Plan>): void {
  if (!plan.site) return;
  const twin = sites.get(plan.site.name);
  if (!twin) {
    sites.set(plan.site.name, plan);
    return;
  }
  throw new FirsthopError(
    "INTERFACE_CONFLICT",
    `VRID ${plan.request.vrid} is used twice on ${plan.parent.name}: by ${twin.request.owner} and ${plan.request.owner}`,
  );
}

function configuration({ request, parent }: Plan, name: string): LinkChange {
  const ipv4 = ipv4DeviceSettings(request.family, parent.name);
  return { name, ipv4, ...(carriesIpv6(parent.name) ? { addrGenMode: 1 } : {}) };
}

/** Makes macvlans. */
export class DeviceMaker {
  readonly #native: NativeNetlinkApi;
  readonly #socket: NetlinkSocket;
  readonly #own: Owner;

  constructor(native: NativeNetlinkApi, socket: NetlinkSocket, own: Owner) {
    this.#native = native;
    this.#socket = socket;
    this.#own = own;
  }

  /** Makes or adopts the macvlans, parked. Failures are noted in the plans. */
  async make(plans: readonly Plan[]): Promise<Map<Plan, Device>> {
    const devices = new Map<Plan, Device>();
    if (plans.length === 0) return devices;
    const addresses = plans.some((plan) => plan.site?.adopt) ? await this.#socket.dump("addresses") : [];
    const batch = new PlannedSteps(plans);
    for (const plan of plans) {
      const { adopt, remove, name, mac } = plan.site as NonNullable<Plan["site"]>;
      for (const link of remove) {
        batch.add(plan, `remove ${link.name}`, {
          message: this.#native.encodeDeleteLink({ ifindex: link.ifindex }),
        });
      }
      if (adopt) {
        const { ifindex } = adopt;
        const ipv6Off = { path: sysctlPath("ipv6", name, "disable_ipv6"), value: "1" };
        if (carriesIpv6(plan.parent.name)) batch.add(plan, `adopt ${name}`, ipv6Off);
        const silence = this.#native.encodeChangeLink({ ifindex, macvlanMode: "source" });
        batch.add(plan, `adopt ${name}`, { message: silence });
        for (const row of addresses.filter((one) => one.ifindex === ifindex && one.family === "ipv4")) {
          batch.add(plan, `clear ${name}`, { message: this.#native.encodeDeleteAddress(row) });
        }
        if (adopt.mac !== mac) {
          batch.add(plan, `adopt ${name}`, { message: this.#native.encodeChangeLink({ ifindex, mac }) });
        }
      } else {
        const request = { parentIfindex: plan.parent.ifindex, name, mac, mode: "source" as const };
        batch.add(plan, `create ${name} on ${plan.parent.name}`, {
          message: this.#native.encodeCreateMacvlan(request),
        });
      }
      // By itself and first: what the kernel refuses of the rest must not leave a device that nobody knows as ours.
      const alias = formatTag({ token: this.#own.token, owner: plan.request.owner });
      batch.add(plan, `tag ${name}`, { message: this.#native.encodeChangeLink({ name, alias }) });
      batch.add(plan, `configure ${name}`, {
        message: this.#native.encodeChangeLink(configuration(plan, name)),
      });
      if (plan.parent.masterIfindex !== null && adopt?.masterIfindex !== plan.parent.masterIfindex) {
        const { masterIfindex } = plan.parent;
        const message = this.#native.encodeChangeLink({ name, masterIfindex });
        batch.add(plan, `put ${name} into the VRF of ${plan.parent.name}`, { message });
      }
    }
    for (const plan of plans) {
      const name = plan.site?.name as string;
      for (const file of deviceFiles(plan.request.family, name, plan.parent.name)) {
        batch.add(plan, `write ${file.value} to ${file.path}`, file);
      }
    }
    batch.blame(await this.#socket.run(batch.steps));
    const raise = new PlannedSteps(plans);
    for (const plan of plans) {
      if (plan.failure) continue;
      const name = plan.site?.name as string;
      raise.add(plan, `set ${name} up`, { message: this.#native.encodeChangeLink({ name, up: true }) });
    }
    raise.blame(await this.#socket.run(raise.steps));
    await this.#collect(plans, devices);
    return devices;
  }

  /** Finds what was made by name; removes what was made in vain. */
  async #collect(plans: readonly Plan[], devices: Map<Plan, Device>): Promise<void> {
    const links = new Map((await this.#socket.dump("links")).map((link) => [link.name, link]));
    const inVain: LinkRow[] = [];
    for (const plan of plans) {
      const { name, mac } = plan.site as NonNullable<Plan["site"]>;
      const link = links.get(name);
      const ours = link && parseTag(link.alias)?.token === this.#own.token;
      if (plan.failure) {
        if (ours) inVain.push(link);
      } else if (ours) {
        devices.set(plan, { ifindex: link.ifindex, name, mac });
      } else {
        plan.failure = refusalOf(`prepare ${name}`, "ENODEV");
      }
    }
    await removeLinks(this.#native, this.#socket, inVain, [...links.values()]);
  }
}

/** Steps of several plans in one go, and who is to blame for which. */
class PlannedSteps {
  readonly steps: NetlinkStep[] = [];
  readonly #of: { readonly plan: Plan; readonly what: string }[] = [];
  constructor(readonly plans: readonly Plan[]) {}

  add(plan: Plan, what: string, step: NetlinkStep): void {
    this.steps.push(step);
    this.#of.push({ plan, what });
  }

  /** The first failure of a plan is its reason; those behind follow from it. */
  blame(failures: readonly NetlinkFailure[]): void {
    for (const failure of [...failures].sort((a, b) => a.index - b.index)) {
      const step = this.#of[failure.index];
      if (step) step.plan.failure ??= refusalOf(step.what, errnoName(failure.errno), failure.text);
    }
  }
}
