/** What the micro-benchmarks call. Inputs are made once, outside of what is timed. */
import { existsSync } from "node:fs";
import Benchmark from "benchmark";

type Config = typeof import("../../src/config/index.js");
type Advertisements = typeof import("../../src/core/vrrp/advertisement.js");
type Machine = typeof import("../../src/core/vrrp/machine.js");
type Packet = typeof import("../../src/core/vrrp/packet.js");
type Validate = typeof import("../../src/core/vrrp/validate.js");
type Plan = typeof import("../../src/engine/vrrp/plan.js");

/** The modules of one built revision. */
type Modules = Config & Advertisements & Machine & Packet & Validate & Plan;

export interface MicroBenchmark {
  readonly title: string;
  readonly benchmark: Benchmark & { readonly error?: unknown };
}

/** Where each of them is; in older revisions in the place behind it. */
const MODULES: readonly (readonly [string, string?])[] = [
  ["config/index.js"],
  ["core/vrrp/advertisement.js"],
  ["core/vrrp/machine.js"],
  ["core/vrrp/packet.js"],
  ["core/vrrp/validate.js"],
  ["engine/vrrp/plan.js", "engine/vrrp-plan.js"],
];

/** Of the package compiled at `dist` (a file URL that ends with a slash). */
export async function microBenchmarks(dist: string, quick: boolean): Promise<MicroBenchmark[]> {
  const loaded = await Promise.all(
    MODULES.map(([now, before]) => {
      const url = new URL(now, dist);
      return import(before && !existsSync(url) ? new URL(before, dist).href : url.href);
    }),
  );
  const modules = Object.assign({}, ...loaded) as Modules;
  const options = { minSamples: quick ? 5 : 20, maxTime: quick ? 0.1 : 0.8 };
  const one = (title: string, run: () => unknown): MicroBenchmark => ({
    title,
    benchmark: new Benchmark(run, options),
  });
  return [...codec(modules, one), ...machine(modules, one), ...config(modules, one)];
}

type One = (title: string, run: () => unknown) => MicroBenchmark;
type Family = "ipv4" | "ipv6";

const SETTINGS = {
  version: 3,
  family: "ipv4",
  priority: 100,
  addresses: ["192.0.2.1"],
  primaryAddress: "192.0.2.10",
  intervalUs: 10_000,
  preempt: true,
  preemptDelayUs: 0,
} as const;

function envelope({ virtualMac, GROUP_MAC, GROUP_ADDRESS }: Modules, family: Family) {
  const addresses = family === "ipv4" ? ["192.0.2.1"] : ["fe80::1", "2001:db8::1"];
  return {
    advertisement: {
      version: 3,
      family,
      vrid: 7,
      priority: 200,
      addresses,
      intervalUs: 10_000,
      authType: 0,
      authData: new Uint8Array(0),
    },
    sourceMac: virtualMac(family, 7),
    destinationMac: GROUP_MAC[family],
    source: family === "ipv4" ? "192.0.2.2" : "fe80::2",
    destination: GROUP_ADDRESS[family],
    checksumForm: "message-only",
  } as const;
}

function codec(modules: Modules, one: One): MicroBenchmark[] {
  const { encodeAdvertisementFrame, readVrrpFrame, receive, withPriority } = modules;
  return (["ipv4", "ipv6"] as const).flatMap((family) => {
    const sent = envelope(modules, family);
    const frame = encodeAdvertisementFrame(sent);
    const receiver = {
      ...SETTINGS,
      family,
      vrid: 7,
      addresses: sent.advertisement.addresses,
      primaryAddress: family === "ipv4" ? "192.0.2.10" : "fe80::10",
      authType: 0,
      authData: new Uint8Array(8),
      checkAddressList: true,
      ipv4Checksum: "either",
      ownerReceive: "process",
    } as const;
    return [
      one(`${family}: encode a frame`, () => encodeAdvertisementFrame(sent)),
      one(`${family}: decode a frame and make every check`, () => {
        const read = readVrrpFrame(frame);
        if (read) receive(read.ip, read.message, receiver);
      }),
      one(`${family}: predict a peer's release`, () => withPriority(frame, 0)),
    ];
  });
}

function machine(modules: Modules, one: One): MicroBenchmark[] {
  const { encodeAdvertisementFrame, INITIAL_STATE, step, VrrpPlan, virtualMac } = modules;
  const heard = { type: "advertisement", source: "192.0.2.2", priority: 200, intervalUs: 10_000 } as const;
  const startup = step(SETTINGS, INITIAL_STATE, { type: "startup" });
  const frame = encodeAdvertisementFrame(envelope(modules, "ipv4"));
  const known = [{ frame, source: "192.0.2.2", priority: 200, intervalUs: 10_000 }];
  const plan = new VrrpPlan({
    settings: SETTINGS,
    vrid: 7,
    mac: virtualMac("ipv4", 7),
    interfaceMac: "02:00:00:00:00:01",
    checksumForms: ["message-only"],
    authType: 0,
    authData: new Uint8Array(8),
    lanPort: 1,
    leased: false,
    bfd: null,
    unicast: null,
    open: [{ step: "write", path: "/proc/open", value: "1" }],
    settle: [{ step: "write", path: "/proc/settle", value: "1" }],
    close: [{ step: "write", path: "/proc/close", value: "1" }],
  });
  return [
    one("one step: Backup hears the Active", () => step(SETTINGS, startup.state, heard)),
    one("one step: Backup takes over", () =>
      step(SETTINGS, startup.state, { type: "timer", timer: "activeDown" }),
    ),
    one("compile the automaton of a Backup with one known peer", () =>
      plan.compile(INITIAL_STATE, startup, known),
    ),
  ];
}

function config({ parseConfig, defineConfig }: Modules, one: One): MicroBenchmark[] {
  const virtualRouters = Array.from({ length: 255 }, (_, index) => ({
    interface: "eth0",
    vrid: index + 1,
    addresses: [`10.0.${index}.1/24`],
  }));
  const text = JSON.stringify({ virtualRouters });
  return [
    one("read and check a file with 255 virtual routers", () => parseConfig(text)),
    one("check an object with 255 virtual routers", () => defineConfig({ virtualRouters })),
  ];
}
