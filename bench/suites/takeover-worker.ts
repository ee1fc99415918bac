/**
 * The router of the suite `takeover`: runs in a router's network namespace, opens and closes one virtual router's lease
 * by the heartbeat engine alone while its own JavaScript is blocked, then prints when each opening was due and when the
 * engine's thread set about it. Arguments: interface, number of take-overs, state directory.
 */

import { virtualMac } from "../../src/core/vrrp/advertisement.js";
import { announcementFrame } from "../../src/core/vrrp/frames.js";
import type { HeartbeatReport } from "../../src/driver/driver.js";
import { openLinuxDriver } from "../../src/driver/linux/index.js";

const VRID = 10;
const ADDRESS = "192.0.2.1";
/** How long the virtual router stands open and closed, microseconds; no multiple of a packet's 20. */
const OPEN_US = 1_509;
const CLOSED_US = 2_497;

const [interfaceName = "", takeovers = "0", stateDirectory = ""] = process.argv.slice(2);
const openings: (readonly [number, number])[] = [];
const driver = openLinuxDriver({ stateDirectory });
const heartbeat = driver.openHeartbeat({
  controlTimeoutUs: 3_600_000_000,
  onReports: (reports: readonly HeartbeatReport[]) => {
    for (const one of reports) {
      if (one.type === "transition" && one.to === 1) openings.push([one.atUs, one.carriedOutUs]);
    }
  },
});
const kernel = driver.openKernel({ onNews: () => undefined, ownership: "auto", stateDirectory });
const { links } = await kernel.snapshot();
const parentIfindex = links.find((link) => link.name === interfaceName)?.ifindex ?? 0;
const mac = virtualMac("ipv4", VRID);
const owner = `${interfaceName}/${VRID}/ipv4`;
const addresses = [`${ADDRESS}/24`];
const place = await kernel.prepare({
  owner,
  parentIfindex,
  family: "ipv4",
  vrid: VRID,
  mac,
  addresses,
  accept: true,
});
if (!place.lease) throw new Error("the kernel took no filter");
const port = heartbeat.openPort({
  kind: "packet",
  ifindex: parentIfindex,
  filter: new Uint8Array([6, 0, 0, 0, 0, 0, 0, 0]),
  memberships: [],
  groups: [],
});
const session = heartbeat.createSession();
heartbeat.bindLease(session, place.lease, { overdueUs: 1_000_000, limitUs: null });
const program = {
  frames: [announcementFrame(ADDRESS, mac)],
  patterns: [],
  kernelPlans: [],
  postures: [
    {
      transitions: [
        {
          trigger: { on: "timer", timer: 0 } as const,
          operations: [
            { op: "lease", open: true } as const,
            { op: "send", port, frame: 0 } as const,
            { op: "arm", timer: 1, afterUs: OPEN_US } as const,
          ],
          next: 1,
          report: true,
        },
      ],
    },
    {
      transitions: [
        {
          trigger: { on: "timer", timer: 1 } as const,
          operations: [
            { op: "lease", open: false } as const,
            { op: "arm", timer: 0, afterUs: CLOSED_US } as const,
          ],
          next: 0,
          report: true,
        },
      ],
    },
  ],
};
heartbeat.load(
  session,
  program,
  { posture: 0, operations: [{ op: "arm", timer: 0, afterUs: 100_000 }], baseUs: heartbeat.now() },
  0,
);
// JavaScript stands still meanwhile: the engine is on its own.
const blockedMs = 150 + (Number(takeovers) * (OPEN_US + CLOSED_US)) / 1000;
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockedMs);
await new Promise((resolve) => setImmediate(resolve));
process.stdout.write(`${JSON.stringify({ openings: openings.slice(0, Number(takeovers)) })}\n`);
heartbeat.removeSession(session);
await kernel.release([owner]);
await driver.close();
