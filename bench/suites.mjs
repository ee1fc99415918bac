/** What is measured: name -> list of benchmarks. Inputs are made once, outside of what is timed. */
import Benchmark from "benchmark";
import { defineConfig, parseConfig } from "../dist/config/index.js";
import { GROUP_ADDRESS, GROUP_MAC, virtualMac } from "../dist/core/vrrp/advertisement.js";
import { INITIAL_STATE, step } from "../dist/core/vrrp/machine.js";
import { encodeAdvertisementFrame, readVrrpFrame, withPriority } from "../dist/core/vrrp/packet.js";
import { receive } from "../dist/core/vrrp/validate.js";
import { VrrpPlan } from "../dist/engine/vrrp-plan.js";

const one = (title, run) => ({ title, benchmark: new Benchmark(run, { minSamples: 30, maxTime: 1 }) });

const SETTINGS = {
  version: 3,
  family: "ipv4",
  priority: 100,
  addresses: ["192.0.2.1"],
  primaryAddress: "192.0.2.10",
  intervalUs: 10_000,
  preempt: true,
  preemptDelayUs: 0,
};

function envelope(family) {
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
  };
}

function codec() {
  return ["ipv4", "ipv6"].flatMap((family) => {
    const frame = encodeAdvertisementFrame(envelope(family));
    const receiver = {
      ...SETTINGS,
      family,
      vrid: 7,
      addresses: envelope(family).advertisement.addresses,
      primaryAddress: family === "ipv4" ? "192.0.2.10" : "fe80::10",
      authType: 0,
      authData: new Uint8Array(8),
      checkAddressList: true,
      ipv4Checksum: "either",
      ownerReceive: "process",
    };
    return [
      one(`${family}: encode a frame`, () => encodeAdvertisementFrame(envelope(family))),
      one(`${family}: decode a frame and make every check`, () => {
        const { ip, message } = readVrrpFrame(frame);
        receive(ip, message, receiver);
      }),
      one(`${family}: predict a peer's release`, () => withPriority(frame, 0)),
    ];
  });
}

function machine() {
  const heard = { type: "advertisement", source: "192.0.2.2", priority: 200, intervalUs: 10_000 };
  const backup = step(SETTINGS, INITIAL_STATE, { type: "startup" }).state;
  const frame = encodeAdvertisementFrame(envelope("ipv4"));
  const known = [{ frame, source: "192.0.2.2", priority: 200, intervalUs: 10_000 }];
  const plan = new VrrpPlan({
    settings: SETTINGS,
    vrid: 7,
    mac: virtualMac("ipv4", 7),
    checksumForms: ["message-only"],
    authType: 0,
    authData: new Uint8Array(8),
    lanPort: 1,
    unicast: null,
    open: [{ step: "write", path: "/proc/open", value: "1" }],
    settle: [{ step: "write", path: "/proc/settle", value: "1" }],
    close: [{ step: "write", path: "/proc/close", value: "1" }],
  });
  return [
    one("one step: Backup hears the Active", () => step(SETTINGS, backup, heard)),
    one("one step: Backup takes over", () => step(SETTINGS, backup, { type: "timer", timer: "activeDown" })),
    one("compile the automaton of a Backup with one known peer", () =>
      plan.compile(INITIAL_STATE, step(SETTINGS, INITIAL_STATE, { type: "startup" }), known),
    ),
  ];
}

function config() {
  const routers = Array.from({ length: 255 }, (_, index) => ({
    interface: "eth0",
    vrid: index + 1,
    addresses: [`10.0.${index}.1/24`],
  }));
  const text = JSON.stringify({ virtualRouters: routers });
  return [
    one("read and check a file with 255 virtual routers", () => parseConfig(text)),
    one("check an object with 255 virtual routers", () => defineConfig({ virtualRouters: routers })),
  ];
}

/** Each makes its benchmarks when it is its turn. */
export const SUITES = { codec, machine, config };
