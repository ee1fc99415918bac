/**
 * Cleaning up after a daemon that died. What is ours is known by the tag on links and by the dead daemon's record;
 * what belongs to a daemon that lives in this network namespace is left alone, and so is everything else.
 */
import type {
  LinkRow,
  NativeNetlinkApi,
  NetlinkFailure,
  NetlinkSocket,
  NetlinkStep,
} from "../../native/netlink.js";
import type { NativeOwnershipApi } from "../../native/ownership.js";
import { removeLinks } from "./link-removal.js";
import { awaitSuccessors, clearLeftFilters } from "./ownership.js";
import { ALREADY_GONE, errnoName, refusalOf } from "./refusal.js";
import type { StateContents, StateFiles, StateRecord } from "./state-files.js";
import { hasIpv6, restoreSysctl, type SysctlClaim, sameSetting, sysctlPath } from "./sysctl.js";
import { ORIGIN, parseTag } from "./virtual-interface.js";

const LEFT = ", left by a firsthop that did not end properly";
const MOST_NAMED = 6;

/** Undoes what dead daemons left, and says what it was, one line each. @throws FirsthopError PERMISSION … */
export async function recoverLeftovers(
  native: NativeNetlinkApi & NativeOwnershipApi,
  socket: NetlinkSocket,
  state: StateFiles,
): Promise<string[]> {
  await awaitSuccessors(native, await socket.dump("links"), (token) => state.isAlive(token));
  const { dead, living } = await state.locked(() => ({
    dead: state.others().flatMap((one) => (one.alive ? [] : [one.record])),
    living: state.living(),
  }));
  const links = await socket.dump("links");
  const clearFilters = (): string[] => clearLeftFilters(native, links, (token) => state.isAlive(token));
  const orphans = links.filter((link) => isOrphan(link, dead, state));
  const lines: string[] = [];
  if (orphans.length > 0) {
    fail(
      await socket.run(orphans.flatMap((link) => silence(native, link))),
      "silence what a dead firsthop left",
    );
    fail(await removeLinks(native, socket, orphans, links), "remove what a dead firsthop left");
    lines.push(`removed ${enumerate(orphans.map((link) => link.name))}${LEFT}`);
  }
  lines.push(...clearFilters());
  lines.push(...(await removeAddresses(native, socket, dead, living, links)));
  lines.push(...(await removeRoutes(native, socket, dead, living)));
  lines.push(
    ...(await state.locked(() => {
      const restored = restoreSettings(dead, state.living(), links);
      for (const record of dead) state.forget(record.token);
      return restored;
    })),
  );
  return lines;
}

/** Tagged by a dead daemon, or on its record but not tagged yet when it died. */
function isOrphan(link: LinkRow, dead: readonly StateRecord[], state: StateFiles): boolean {
  if (link.kind !== "macvlan") return false;
  const tag = parseTag(link.alias);
  if (tag) return !state.isAlive(tag.token);
  if (link.alias !== null) return false;
  return dead.some((record) => record.links.some((one) => one.name === link.name && one.mac === link.mac));
}

/** So that nothing leaves with the virtual MAC as source while the device goes. */
function silence(native: NativeNetlinkApi, link: LinkRow): NetlinkStep[] {
  const park = {
    message: native.encodeChangeLink({ ifindex: link.ifindex, macvlanMode: "source" as const }),
  };
  if (!hasIpv6()) return [park];
  return [{ path: sysctlPath("ipv6", link.name, "disable_ipv6"), value: "1" }, park];
}

async function removeAddresses(
  native: NativeNetlinkApi,
  socket: NetlinkSocket,
  dead: readonly StateRecord[],
  living: readonly StateContents[],
  links: readonly LinkRow[],
): Promise<string[]> {
  const recorded = dead.flatMap((record) => record.addresses);
  const inUse = living.flatMap((one) => one.addresses);
  const isIn = (list: typeof recorded, row: { ifindex: number; address: string }): boolean =>
    list.some((one) => one.ifindex === row.ifindex && one.address === row.address);
  if (recorded.length === 0) return [];
  const rows = await socket.dump("addresses");
  // Kernels that mark origins mark every address of ours; on the others the record alone has to do.
  const marks = rows.some((row) => row.origin !== 0);
  const left = rows.filter(
    (row) => (!marks || row.origin === ORIGIN) && isIn(recorded, row) && !isIn(inUse, row),
  );
  const steps = left.reverse().map((row) => ({ message: native.encodeDeleteAddress(row) }));
  fail(await socket.run(steps), "remove a virtual address that a dead firsthop left");
  return left.map((row) => {
    const name = links.find((link) => link.ifindex === row.ifindex)?.name ?? `interface ${row.ifindex}`;
    return `removed ${row.address} from ${name}${LEFT}`;
  });
}

async function removeRoutes(
  native: NativeNetlinkApi,
  socket: NetlinkSocket,
  dead: readonly StateRecord[],
  living: readonly StateContents[],
): Promise<string[]> {
  const recorded = dead.flatMap((record) => record.routes);
  const inUse = living.flatMap((one) => one.routes);
  if (recorded.length === 0) return [];
  const isIn = (routes: typeof recorded, row: { destination: string; table: number }): boolean =>
    routes.some((one) => one.address === row.destination && one.table === row.table);
  const left = (await socket.dump("routes")).filter((row) => isIn(recorded, row) && !isIn(inUse, row));
  const steps = left.map((row) => ({
    message: native.encodeDeleteBlackhole({ address: row.destination, table: row.table }),
  }));
  fail(await socket.run(steps), "remove a route that a dead firsthop left");
  return left.map((row) => `removed the blackhole route for ${row.destination}${LEFT}`);
}

function restoreSettings(
  dead: readonly StateRecord[],
  living: readonly StateContents[],
  links: readonly LinkRow[],
): string[] {
  const lines: string[] = [];
  const done: SysctlClaim[] = living.flatMap((one) => one.sysctls);
  for (const claim of dead.flatMap((record) => record.sysctls)) {
    if (done.some((one) => sameSetting(one, claim))) continue;
    done.push(claim);
    const parent = links.find((link) => link.ifindex === claim.ifindex);
    if (!parent || !restoreSysctl(claim, parent.name)) continue;
    lines.push(`set net.${claim.family}.conf.${parent.name}.${claim.setting} back to ${claim.original}`);
  }
  return lines;
}

/** @throws FirsthopError unless all that failed is gone anyway */
function fail(failures: readonly NetlinkFailure[], what: string): void {
  for (const failure of failures) {
    const errno = errnoName(failure.errno);
    if (!ALREADY_GONE.has(errno)) throw refusalOf(what, errno, failure.text);
  }
}

/** "a, b, c and 252 more" */
function enumerate(names: readonly string[]): string {
  const shown = names.length > MOST_NAMED ? names.slice(0, MOST_NAMED - 1) : names;
  const rest = names.length - shown.length;
  return shown.join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}
