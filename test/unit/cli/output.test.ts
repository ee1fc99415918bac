/** What people see: durations, tables, sentences; and the small decisions of commands. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { concerns, eventLine, reloadText } from "../../../src/cli/events.js";
import { renderExplanation } from "../../../src/cli/explain.js";
import { age, shortDuration, table } from "../../../src/cli/output.js";
import { missingCapabilities, realtimeWarning } from "../../../src/cli/privileges.js";
import { render, selection } from "../../../src/cli/show.js";
import { vrrpdConfig, writePidFile } from "../../../src/cli/vrrpd.js";
import { explainVirtualRouter } from "../../../src/engine/explain.js";
import type { RouterStatus, VirtualRouterStatus } from "../../../src/engine/status.js";
import { unlessRoot } from "../../../src/root-advice.js";

describe("durations", () => {
  it.each([
    [0, "0ms"],
    [3.609, "3.61ms"],
    [36.1, "36.1ms"],
    [100, "100ms"],
    [1000, "1s"],
    [3609.375, "3.609s"],
    [59_999, "59.999s"],
    [60_000, "1m00s"],
    [3_599_000, "59m59s"],
    [11_100_000, "3h05m"],
    [1_036_800_000, "12d0h"],
  ])("%d ms is %s", (ms, text) => {
    expect(shortDuration(ms)).toBe(text);
  });

  it("an age has whole seconds, and is never negative", () => {
    const at = "2026-01-01T00:00:00.000Z";
    expect(age(at, Date.parse(at) + 61_900)).toBe("1m01s");
    expect(age(at, Date.parse(at) - 5000)).toBe("0ms");
  });
});

describe("tables", () => {
  it("are aligned, without trailing blanks, whatever the colours", () => {
    const red = "\x1b[31mfault\x1b[39m";
    const lines = table(
      ["A", "STATE", "B"],
      [
        ["1", red, "x"],
        ["222", "active", ""],
      ],
    ).split("\n");
    const plain = lines.map((line) => line.replaceAll(red.slice(0, 5), "").replaceAll(red.slice(-5), ""));
    expect(plain).toEqual(["A    STATE   B", "1    fault   x", "222  active"]);
  });
});

const ROUTER: VirtualRouterStatus = {
  name: "eth0/10",
  interface: "eth0",
  vrid: 10,
  family: "ipv4",
  version: 3,
  state: "backup",
  handingOver: false,
  causes: [],
  causeTexts: [],
  priority: 100,
  runtimePriority: null,
  holdsBack: false,
  heldBackBy: null,
  trackedDelta: 0,
  tracking: [],
  configuredPriority: 150,
  active: { address: "192.0.2.3", priority: 200 },
  addresses: ["192.0.2.1/24"],
  primaryAddress: "192.0.2.2",
  virtualMac: "00:00:5e:00:01:0a",
  virtualInterface: "fh4.10.0",
  checksum: { configured: "auto", sent: ["message-only"] },
  advertisementIntervalMs: 1000,
  activeAdverIntervalMs: 100,
  activeDownIntervalMs: 361,
  skewTimeMs: 61,
  preempt: true,
  bfd: null,
  lastChange: {
    at: "2026-01-01T00:00:00.000Z",
    from: "initialize",
    to: "backup",
    reason: "startup",
    detail: "started; listening for an Active",
  },
  statistics: {
    masterTransitions: 1,
    advertisementRcvd: 2,
    advertisementSent: 3,
    intervalErrors: 0,
    priorityZeroPktsRcvd: 0,
    priorityZeroPktsSent: 0,
    backupAdvertisementRcvd: 0,
    backupAdvertisementSent: 0,
    invalidTypePktsRcvd: 0,
    addressListErrors: 0,
    packetLengthErrors: 0,
    invalidAuthType: 0,
    authTypeMismatch: 0,
    authenticationFailures: 0,
  },
};

const STATUS = {
  virtualRouters: [ROUTER],
  syncGroups: [],
  tracks: [],
  interfaces: [],
  statistics: {},
  engine: {},
} as unknown as RouterStatus;
const NOW = Date.parse("2026-01-01T00:05:12.000Z");

describe("show", () => {
  it("has one line for each virtual router", () => {
    expect(render(STATUS, undefined, NOW).split("\n")).toEqual([
      "NAME     STATE   PRIORITY      ACTIVE           ADDRESSES     SINCE",
      "eth0/10  backup  100 (of 150)  192.0.2.3 (200)  192.0.2.1/24  5m12s",
    ]);
  });

  it("names the causes of a fault where the Active would stand", () => {
    const broken = { ...ROUTER, state: "fault" as const, causes: ["no-carrier"], active: null };
    expect(render({ ...STATUS, virtualRouters: [broken] }, undefined, NOW)).toContain("no-carrier");
  });

  it.each([
    ["virtual-routers", "virtualRouters"],
    ["v", "virtualRouters"],
    ["vrrp", "virtualRouters"],
    ["trackers", "tracks"],
    ["int", "interfaces"],
    ["sync", "syncGroups"],
  ])("takes %s for what it means", (word, key) => {
    expect(Object.keys(selection(STATUS, word) as object)[0]).toBe(key);
  });

  it("lists what is on an interface", () => {
    const other = { ...ROUTER, name: "eth1/10", interface: "eth1" };
    const status = { ...STATUS, virtualRouters: [ROUTER, other] };
    expect(selection(status, "eth1")).toEqual({ virtualRouters: [other] });
    expect(render(status, "eth1", NOW).split("\n").slice(1)).toEqual([
      "eth1/10  backup  100 (of 150)  192.0.2.3 (200)  192.0.2.1/24  5m12s",
    ]);
  });

  it("tells everything about one", () => {
    const text = render(STATUS, "eth0/10", NOW);
    expect(text).toContain("because      initialize -> backup: started; listening for an Active");
    expect(text).toContain("interval     1s, the Active's is 100ms");
    expect(text).toContain("down after   361ms, skew 61ms");
    expect(text).toMatch(/ {2}advertisementRcvd +2/);
  });

  it("tells whose turn it is when BFD says that the Active failed, and who comes before", () => {
    const backups = [{ address: "192.0.2.13", priority: 120, advertisementIntervalMs: 1000 }];
    const bfd = { rankFrom: "backup-advertisements", turn: { rank: 2, afterMs: 30 }, backups } as const;
    const router: VirtualRouterStatus = { ...ROUTER, bfd };
    const text = render({ ...STATUS, virtualRouters: [router] }, "eth0/10", NOW);
    expect(text).toContain("BFD          rank 2: when the Active fails, it takes over after 30ms more");
    expect(text).toContain("Backups      192.0.2.13 (120)");
    const { next } = explainVirtualRouter(router, STATUS);
    expect(next.at(-1)).toMatch(/becomes Active 30 ms later: 192\.0\.2\.13 \(120\) before it/);
    const first = { ...router, bfd: { ...bfd, turn: { rank: 1, afterMs: 0 } } };
    expect(explainVirtualRouter(first, STATUS).next.at(-1)).toMatch(
      /becomes Active at once: it is of rank 1/,
    );
  });

  it("tells that its sync group holds it back, and why", () => {
    const held = { ...ROUTER, active: null, heldBackBy: "edge" };
    const group = { name: "edge", mode: "all", state: "backup", blocked: true } as const;
    const explained = (mate: Partial<VirtualRouterStatus>, one: VirtualRouterStatus = held) =>
      explainVirtualRouter(one, {
        virtualRouters: [one, { ...ROUTER, name: "eth1/10", ...mate }],
        syncGroups: [{ ...group, members: ["eth0/10", "eth1/10"] }],
      });
    const { summary, because, next } = explained({});
    expect(summary).toBe("Backup: it hears no Active, and its sync group edge holds it back");
    expect(because.at(-1)).toBe(
      "eth1/10 of its sync group follows 192.0.2.3, which is Active there (priority 200)",
    );
    expect(next).toEqual([
      "it becomes Active together with the others of its sync group edge, when all of them can",
    ]);
    expect(explained({ state: "initialize", active: null }).because.at(-1)).toBe(
      "eth1/10 of its sync group does not run yet (initialize)",
    );
    expect(explained({ active: null, heldBackBy: "edge" }).because.at(-1)).toBe(
      "another router kept one of its sync group when they became Active together: it waits before it tries again",
    );
    const better = { ...held, active: { address: "192.0.2.3", priority: 90 } };
    expect(explained({}, better).because).toContain("90 is below 100, but its sync group edge holds it back");
    expect(render({ ...STATUS, virtualRouters: [held] }, "eth0/10", NOW)).toContain(
      "held back    by its sync group edge",
    );
  });

  it("says so when nothing is configured, or a name is unknown", () => {
    expect(render({ ...STATUS, virtualRouters: [] }, undefined, NOW)).toBe(
      "no virtual routers are configured",
    );
    expect(() => selection(STATUS, "eth0/9")).toThrow("no virtual router eth0/9; there is eth0/10");
  });
});

describe("events and explanations", () => {
  const change = { at: "2026-01-01T00:00:00.000Z", from: "backup", to: "active" } as const;

  it("are lines with a reason", () => {
    expect(
      eventLine({
        type: "stateChange",
        name: "eth0/10",
        ...change,
        reason: "active-down",
        detail: "nothing heard",
      }),
    ).toBe("2026-01-01T00:00:00.000Z  eth0/10  backup -> active  nothing heard");
    expect(eventLine({ type: "warning", at: change.at, name: null, code: "x", detail: "late" })).toBe(
      "2026-01-01T00:00:00.000Z  -  warning  late",
    );
    const none = { added: [], removed: [], changed: [], settings: [] };
    expect(reloadText({ ...none, added: ["a/1", "a/2"], changed: ["b/1"] })).toBe(
      "added a/1, a/2; changed b/1",
    );
    expect(reloadText({ ...none, settings: ["trackers", "mask"] })).toBe("other settings: trackers, mask");
    expect(reloadText(none)).toBe("nothing changed");
  });

  it("are told apart by whom they concern", () => {
    const at = change.at;
    const of = (name: string) => ({ type: "warning", at, name, code: "x", detail: "" }) as const;
    const track = { type: "track", at, name: "wan", from: "up", to: "down", detail: "" } as const;
    const all = [
      of("eth0/10"),
      of("eth0/1"),
      of("eth1/10"),
      { ...of("-"), name: null },
      { ...track, trackedBy: ["eth0/10", "eth0/10/ipv6"] },
      { type: "reload", at, added: [], removed: ["eth0/10"], changed: [], settings: [] } as const,
    ];
    const about = (name: string) => all.flatMap((event, index) => (concerns(event, name) ? [index] : []));
    expect(about("eth0/10")).toEqual([0, 4, 5]);
    expect(about("eth0")).toEqual([0, 1, 4, 5]);
    expect(about("wan")).toEqual([4]);
    expect(about("eth0/10/ipv6")).toEqual([4]);
    expect(about("eth")).toEqual([]);
  });

  it("leave out what is empty", () => {
    expect(
      renderExplanation({ name: "eth0/10", state: "backup", summary: "listens", because: ["a"], next: [] }),
    ).toBe("eth0/10: listens\nbecause\n  - a");
  });
});

describe("privileges", () => {
  it.each([
    ["000001ffffffffff", []],
    ["0000000000003000", []],
    ["0000000000002000", ["CAP_NET_ADMIN"]],
    ["0000000000000000", ["CAP_NET_ADMIN", "CAP_NET_RAW"]],
  ])("CapEff %s lacks %j", (set, missing) => {
    expect(missingCapabilities(`Name:\tnode\nCapPrm:\t0\nCapEff:\t${set}\n`)).toEqual(missing);
  });

  it("root is not told to become root", () => {
    const geteuid = vi.spyOn(process, "geteuid");
    geteuid.mockReturnValue(0);
    expect(unlessRoot("grant it")).toBe("grant it");
    geteuid.mockReturnValue(1000);
    expect(unlessRoot("grant it")).toBe("run as root, or grant it");
    geteuid.mockRestore();
  });

  it("real-time scheduling is missed in one line that names the capability", () => {
    expect(realtimeWarning({ realtime: true, memoryLocked: true })).toBeNull();
    const slow = realtimeWarning({ realtime: false, memoryLocked: true });
    expect(slow).toMatch(/CAP_SYS_NICE/);
    expect(slow).not.toMatch(/LOCK/);
    expect(realtimeWarning({ realtime: true, memoryLocked: false })).toMatch(
      /^memory is not locked: .*CAP_IPC_LOCK/,
    );
    expect(realtimeWarning({ realtime: false, memoryLocked: false })).toMatch(
      /CAP_SYS_NICE.*CAP_IPC_LOCK[^\n]*$/,
    );
  });
});

describe("the classic command line", () => {
  const defaults = { i: "eth0", v: "50", p: "100", f: "/var/run", d: "1", stateDirectory: "/run/firsthop" };
  const router = (more: object): Record<string, unknown> =>
    vrrpdConfig(["10.0.0.1"], { ...defaults, ...more }).virtualRouters[0] as Record<string, unknown>;

  it("has its defaults", () => {
    expect(router({})).toEqual({
      interface: "eth0",
      vrid: 50,
      version: 2,
      priority: 100,
      addresses: ["10.0.0.1"],
      advertisementInterval: "1s",
      preempt: true,
      virtualMac: true,
    });
  });

  it.each([
    [{ s: true }, { preempt: false }],
    [{ n: true }, { virtualMac: false }],
    [{ p: "255" }, { priority: 255 }],
    [{ d: "5" }, { advertisementInterval: "5s" }],
    [{ a: "pw/secret" }, { authentication: { type: "simple", password: "secret" } }],
    [{ a: "pw/0x736563726574" }, { authentication: { type: "simple", password: "secret" } }],
    [{ a: "pw/0x7365637265740000" }, { authentication: { type: "simple", password: "secret" } }],
    [{ a: "pw/0xyz" }, { authentication: { type: "simple", password: "0xyz" } }],
  ])("%j means %j", (options, meaning) => {
    expect(router(options)).toMatchObject(meaning);
  });

  it.each([
    { a: "pw/" },
    { a: "secret" },
    { a: "pw/0xff" },
    { a: "pw/0x00" },
    { a: "ah/0x1" },
    { v: "0" },
    { d: "256" },
  ])("%j is wrong usage", (options) => {
    expect(() => router(options)).toThrow(expect.objectContaining({ code: "USAGE" }));
  });
});

describe("pid files", () => {
  const directory = mkdtempSync(join(tmpdir(), `firsthop-pid-${process.pid}-`));
  const path = join(directory, "vrrpd_eth0_50.pid");
  afterEach(() => rmSync(path, { force: true }));

  it("are written, and removed by their owner alone", () => {
    const release = writePidFile(path);
    expect(readFileSync(path, "utf8")).toBe(`${process.pid}\n`);
    writeFileSync(path, "1\n");
    release();
    expect(readFileSync(path, "utf8")).toBe("1\n");
  });

  it("of a running process refuse, those of a dead one are replaced", () => {
    writeFileSync(path, "1\n");
    expect(() => writePidFile(path)).toThrow(/already runs \(pid 1,/);
    writeFileSync(path, "nonsense");
    writePidFile(path)();
    writeFileSync(path, "999999999\n");
    writePidFile(path)();
    rmSync(directory, { recursive: true });
    expect(() => writePidFile(path)).toThrow(/give a directory for it with -f/);
  });
});
