/** The sockets of a router, on a heartbeat engine that only counts them. */
import { describe, expect, it } from "vitest";
import type { DatagramPortOptions, Heartbeat, LinkInfo, PortOptions } from "../../../src/driver/driver.js";
import { Ports } from "../../../src/engine/lan/ports.js";

function counting() {
  const open = new Map<number, string>();
  const told: string[] = [];
  const timers: (() => void)[] = [];
  const shortage: { errno: string | null } = { errno: null };
  let last = 0;
  const heartbeat = {
    openPort(options: PortOptions | DatagramPortOptions): number {
      if (shortage.errno) throw Object.assign(new Error(shortage.errno), { code: shortage.errno });
      const what = options.kind === "packet" ? "lan" : options.family;
      open.set(++last, `${what}/${options.ifindex}`);
      return last;
    },
    closePort: (port: number) => void open.delete(port),
  };
  const ports = new Ports({
    heartbeat: heartbeat as unknown as Heartbeat,
    needs: () => ({ answered: [], bfd: false, backupAdvertisements: false }),
    opened: () => {},
    closing: () => {},
    closed: () => {},
    setTimer: (_, run) => {
      timers.push(run);
      return () => {};
    },
    refused: (ifindex, errno, first) => told.push(`${ifindex} ${errno}${first ? "" : " again"}`),
    retry: (ifindex) => told.push(`${ifindex} retry`),
  });
  const pass = (): void => {
    for (const run of timers.splice(0)) run();
  };
  return { ports, open: () => [...open.values()].sort(), told, pass, shortage };
}

const link = (ifindex: number, name = "lan0"): LinkInfo => ({ name, ifindex }) as LinkInfo;

describe("an interface that comes back with another number", () => {
  it("leaves no socket of the old one", () => {
    const { ports, open } = counting();
    for (const ifindex of [5, 6, 7]) {
      ports.lan(link(ifindex));
      ports.datagram("ipv4", ifindex);
      ports.datagram("ipv6", ifindex);
      expect(open()).toEqual([`ipv4/${ifindex}`, `ipv6/${ifindex}`, `lan/${ifindex}`]);
      if (ifindex === 6) ports.dropStale("lan0", undefined);
    }
    ports.dropStale("lan0", 7);
    expect(open()).toHaveLength(3);
    ports.dropStale("lan0", undefined);
    expect(open()).toEqual([]);
  });
});

describe("an interface that gets other names", () => {
  it("has one socket, whatever it was called", () => {
    const { ports, open } = counting();
    for (const name of ["lan0", "ww1", "lan0", "ww2"]) {
      const port = ports.lan(link(5, name));
      ports.datagram("ipv4", 5);
      expect(open()).toEqual(["ipv4/5", "lan/5"]);
      expect(ports.interfaceOf(port!)).toBe(name);
    }
    ports.dropStale("ww2", undefined);
    expect(open()).toEqual([]);
  });
});

describe("too few descriptors", () => {
  it("refuse the sockets of an interface until the next attempt, and are told of once", () => {
    const { ports, open, told, pass, shortage } = counting();
    shortage.errno = "EMFILE";
    for (let time = 0; time < 2; time++) {
      expect(ports.lan(link(5))).toBeNull();
      expect(ports.datagram("ipv4", 5)).toBeNull();
      expect(ports.isRefused(5)).toBe(true);
      pass();
      expect(ports.isRefused(5)).toBe(false);
    }
    expect(told).toEqual(["5 EMFILE", "5 retry", "5 EMFILE again", "5 retry"]);
    shortage.errno = null;
    expect(ports.lan(link(5))).not.toBeNull();
    expect(ports.datagram("ipv4", 5)).not.toBeNull();
    expect(open()).toEqual(["ipv4/5", "lan/5"]);
    shortage.errno = "ENOMEM";
    expect(ports.lan(link(6, "lan1"))).toBeNull();
    expect(ports.datagram("ipv6", 5)).toBeNull();
    expect(told.slice(4)).toEqual(["6 ENOMEM", "5 ENOMEM"]);
  });

  it("are no other errors", () => {
    const { ports, shortage } = counting();
    shortage.errno = "ENODEV";
    expect(ports.lan(link(5))).toBeNull();
    expect(ports.isRefused(5)).toBe(false);
    shortage.errno = "EINVAL";
    expect(() => ports.lan(link(5))).toThrow("EINVAL");
  });
});
