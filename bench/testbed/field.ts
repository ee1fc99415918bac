/** Two routers joined by many cables, for many virtual routers: no host, no switch, nothing but advertisements. */
import {
  bequeath,
  ipBatch,
  newEstateName,
  requireNamespaces,
  writeSysctls,
} from "../../src/lab/namespaces.js";
import { type LabFamily, type LabNode, nodeOf, ROUTER_SYSCTLS } from "../../src/lab/topology.js";
import { namespacesRemoved } from "../lib/kernel-rest.js";

export const MAX_CABLES = 16;

export interface Field {
  readonly directory: string;
  /** Router 1 and router 2. */
  readonly nodes: readonly [LabNode, LabNode];
  /** "lan0", "lan1" …: each joins the two. */
  readonly interfaces: readonly string[];
  close(): void;
}

/** One virtual router of many. */
export interface Member {
  readonly interface: string;
  readonly vrid: number;
  readonly family: LabFamily;
  /** With its prefix length. */
  readonly address: string;
}

export interface CrowdSize {
  readonly count: number;
  readonly interfaces: number;
  readonly families: readonly LabFamily[];
}

/** VRIDs from 1 on, evenly over interfaces and families. */
export function membersOf(size: CrowdSize): Member[] {
  const { interfaces, families } = size;
  return Array.from({ length: size.count }, (_, index) => {
    const port = index % interfaces;
    const family = families[Math.floor(index / interfaces) % families.length]!;
    const vrid = 1 + Math.floor(index / (interfaces * families.length));
    const address = family === "ipv4" ? `10.${port}.1.${vrid}/16` : `fe80::${port + 1}:${vrid}/64`;
    return { interface: `lan${port}`, vrid, family, address };
  });
}

const FIRST_INDEX = 100;

/** Builds a field, once what was there before is gone. It vanishes with `close`, and with this process. */
export async function openField(interfaces: number): Promise<Field> {
  requireNamespaces();
  await namespacesRemoved(2);
  const { name, directory } = newEstateName();
  const spaces = [`${name}-r1`, `${name}-r2`] as const;
  const ports = Array.from({ length: interfaces }, (_, at) => `lan${at}`);
  const close = bequeath(spaces, directory);
  try {
    await ipBatch(spaces.map((space) => `netns add ${space}`));
    for (const space of spaces) await writeSysctls(space, ROUTER_SYSCTLS);
    await ipBatch(
      ports.map(
        (port, at) =>
          `link add name ${port} index ${FIRST_INDEX + at} netns ${spaces[0]} type veth peer name ${port} netns ${spaces[1]}`,
      ),
    );
    for (const [at, space] of spaces.entries()) {
      const lines = ports.flatMap((port, number) => [
        `link set ${port} up`,
        `addr add 10.${number}.0.${at + 1}/16 dev ${port}`,
      ]);
      await ipBatch(["link set lo up", ...lines], space);
    }
  } catch (error) {
    close();
    throw error;
  }
  return {
    directory,
    nodes: [nodeOf("r1", spaces[0], directory), nodeOf("r2", spaces[1], directory)],
    interfaces: ports,
    close,
  };
}
