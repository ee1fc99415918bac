/** From a configuration that passed the schema to the engine's form, and what only shows between several keys. */
import { canonicalIp, familyOf, isLinkLocal } from "../core/address.js";
import type { IpFamily } from "../core/vrrp/advertisement.js";
import type { CheckedConfig, CheckedVirtualRouter } from "./schema.js";
import type { Config, VirtualAddress, VirtualRouterConfig } from "./types.js";
import { formatDuration, parseDuration } from "./units.js";

/** Where, and what. */
export interface Finding {
  readonly severity: "error" | "warning";
  readonly path: readonly (string | number)[];
  readonly message: string;
}

type Report = (severity: Finding["severity"], path: readonly (string | number)[], message: string) => void;

/** The shapes are right already; this finds what does not fit together. `config` is null when there are errors. */
export function normalize(checked: CheckedConfig): { config: Config | null; findings: readonly Finding[] } {
  const findings: Finding[] = [];
  const report: Report = (severity, path, message) => findings.push({ severity, path, message });
  const families = checked.virtualRouters.map((one, index) => checkVirtualRouter(one, index, report));
  checkDuplicates(checked, families, report);
  const timeoutUs = durationUs(checked.controlTimeout);
  if (timeoutUs < 100_000 || timeoutUs > 3_600_000_000) {
    report("error", ["controlTimeout"], `${checked.controlTimeout} is out of range: 100ms to 1h`);
  }
  if (findings.some((one) => one.severity === "error")) return { config: null, findings };
  const both = new Set<string>();
  for (const one of checked.virtualRouters) {
    const key = `${one.interface}/${one.vrid}`;
    const used = checked.virtualRouters.filter((other) => `${other.interface}/${other.vrid}` === key);
    if (used.length > 1) both.add(key);
  }
  const virtualRouters = checked.virtualRouters.map((one, index) =>
    normalizeVirtualRouter(one, families[index] as IpFamily, both.has(`${one.interface}/${one.vrid}`)),
  );
  return {
    config: {
      virtualRouters,
      controlTimeoutUs: timeoutUs,
      control: checked.control,
      log: { level: checked.log.level, format: checked.log.format ?? null },
    },
    findings,
  };
}

function durationUs(text: string): number {
  return parseDuration(text) as number;
}

function addressOf(text: string): string {
  return canonicalIp(text.split("/")[0] as string) as string;
}

function checkVirtualRouter(one: CheckedVirtualRouter, index: number, report: Report): IpFamily {
  const at = (...path: (string | number)[]): (string | number)[] => ["virtualRouters", index, ...path];
  const family = familyOf(one.addresses[0] as string);
  one.addresses.forEach((text, position) => {
    if (familyOf(text) !== family) {
      report(
        "error",
        at("addresses", position),
        `${text} is of another family than ${one.addresses[0]}: make two virtual routers`,
      );
    }
    if (one.addresses.findIndex((other) => addressOf(other) === addressOf(text)) < position) {
      report("error", at("addresses", position), `${addressOf(text)} is listed twice`);
    }
  });
  if (family === "ipv6" && !isLinkLocal(addressOf(one.addresses[0] as string))) {
    report(
      "error",
      at("addresses", 0),
      "the first IPv6 address must be link-local (fe80::/10), RFC 9568 section 5.2.9",
    );
  }
  if (family === "ipv6" && one.version === 2)
    report("error", at("version"), "VRRPv2 knows IPv4 only: use version 3");
  if (one.authentication && one.version === 3) {
    report("error", at("authentication"), "VRRPv3 has no authentication: leave it out, or use version 2");
  }
  checkInterval(one, at, report);
  checkUnicast(one, family, at, report);
  return family;
}

function checkInterval(
  one: CheckedVirtualRouter,
  at: (...path: string[]) => (string | number)[],
  report: Report,
): void {
  const [stepUs, most] = one.version === 3 ? [10_000, 4095] : [1_000_000, 255];
  const us = durationUs(one.advertisementInterval);
  const path = at("advertisementInterval");
  const step = formatDuration(stepUs);
  const range = `${step} to ${formatDuration(stepUs * most)}`;
  if (us < stepUs || us > stepUs * most) {
    report("error", path, `${one.advertisementInterval} is out of range: VRRPv${one.version} takes ${range}`);
  } else if (us % stepUs !== 0) {
    const below = Math.floor(us / stepUs) * stepUs;
    report(
      "error",
      path,
      `${one.advertisementInterval} is not a multiple of ${step}: use ${formatDuration(below)} or ${formatDuration(below + stepUs)}`,
    );
  }
}

function checkUnicast(
  one: CheckedVirtualRouter,
  family: IpFamily,
  at: (...path: (string | number)[]) => (string | number)[],
  report: Report,
): void {
  if (!one.unicast) return;
  const { source, peers } = one.unicast;
  if (source !== undefined && familyOf(source) !== family) {
    report("error", at("unicast", "source"), `${source} is of another family than the virtual addresses`);
  }
  peers.forEach((peer, position) => {
    const path = at("unicast", "peers", position);
    if (familyOf(peer) !== family)
      report("error", path, `${peer} is of another family than the virtual addresses`);
    else if (source !== undefined && addressOf(peer) === addressOf(source)) {
      report("error", path, `${peer} is this router's own source address`);
    } else if (peers.findIndex((other) => addressOf(other) === addressOf(peer)) < position) {
      report("error", path, `${peer} is listed twice`);
    }
  });
}

function checkDuplicates(checked: CheckedConfig, families: readonly IpFamily[], report: Report): void {
  const byVrid = new Map<string, number>();
  const byAddress = new Map<string, number>();
  checked.virtualRouters.forEach((one, index) => {
    const key = `${one.interface}/${one.vrid}/${families[index]}`;
    const first = byVrid.get(key);
    if (first !== undefined) {
      report(
        "error",
        ["virtualRouters", index, "vrid"],
        `VRID ${one.vrid} is used on ${one.interface} for ${families[index]} already, by virtualRouters[${first}]`,
      );
    } else byVrid.set(key, index);
    one.addresses.forEach((text, position) => {
      const address = `${one.interface} ${addressOf(text)}`;
      const other = byAddress.get(address);
      if (other !== undefined && other !== index) {
        report(
          "error",
          ["virtualRouters", index, "addresses", position],
          `${addressOf(text)} belongs to virtualRouters[${other}] on ${one.interface} already`,
        );
      } else byAddress.set(address, index);
    });
  });
}

function normalizeVirtualRouter(
  one: CheckedVirtualRouter,
  family: IpFamily,
  bothFamilies: boolean,
): VirtualRouterConfig {
  const suffix = family === "ipv6" && bothFamilies ? "/ipv6" : "";
  return {
    name: `${one.interface}/${one.vrid}${suffix}`,
    interface: one.interface,
    vrid: one.vrid,
    family,
    version: one.version,
    priority: one.priority,
    addresses: one.addresses.map(toVirtualAddress),
    advertisementIntervalUs: durationUs(one.advertisementInterval),
    preempt: one.preempt,
    preemptDelayUs: durationUs(one.preemptDelay),
    accept: one.accept,
    virtualMac: one.virtualMac,
    checksum: one.checksum,
    authentication: one.authentication ?? null,
    unicast: one.unicast
      ? {
          source: one.unicast.source === undefined ? null : addressOf(one.unicast.source),
          peers: one.unicast.peers.map(addressOf),
        }
      : null,
  };
}

/** Link-local addresses need their /64: answers to link-local hosts leave by it. */
function toVirtualAddress(text: string): VirtualAddress {
  const address = addressOf(text);
  const length = text.split("/")[1];
  if (isLinkLocal(address)) return { address, prefixLength: length === undefined ? 64 : Number(length) };
  const whole = familyOf(address) === "ipv4" ? 32 : 128;
  return { address, prefixLength: length === undefined ? whole : Number(length) };
}
