/** Removing links, as many as there are, in one go. */
import { randomInt } from "node:crypto";
import type { LinkRow, NativeNetlinkApi, NetlinkFailure, NetlinkSocket } from "../../native/netlink.js";
import { ALREADY_GONE, errnoName } from "./refusal.js";

/** Groups that administrators use are small numbers. */
const FIRST_GROUP = 0x7000_0000;
const GROUPS = 0x0fff_ffff;

/**
 * All at once: each removal alone would wait for several of the kernel's grace periods. `links`: all that there are.
 * Resolves with what could not be removed.
 */
export async function removeLinks(
  native: NativeNetlinkApi,
  socket: NetlinkSocket,
  leaving: readonly LinkRow[],
  links: readonly LinkRow[],
): Promise<NetlinkFailure[]> {
  if (leaving.length === 0) return [];
  const group = unusedGroup(links);
  const messages = leaving.map((link) => native.encodeChangeLink({ ifindex: link.ifindex, group }));
  messages.push(native.encodeDeleteGroup({ group }));
  const failures = await socket.run(messages.map((message) => ({ message })));
  return failures.filter((failure) => !ALREADY_GONE.has(errnoName(failure.errno)));
}

function unusedGroup(links: readonly LinkRow[]): number {
  const used = new Set(links.map((link) => link.group));
  for (;;) {
    const group = FIRST_GROUP + randomInt(GROUPS);
    if (!used.has(group)) return group;
  }
}
