/** The sockets of a router, on a heartbeat engine that only counts them. */
import { describe, expect, it } from "vitest";
import type { DatagramPortOptions, Heartbeat, LinkInfo, PortOptions } from "../../../src/driver/driver.js";
import { Ports } from "../../../src/engine/lan/ports.js";

function counting() {
  const open = new Map<number, string>();
  let last = 0;
  const heartbeat = {
    openPort(options: PortOptions | DatagramPortOptions): number {
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
  });
  return { ports, open: () => [...open.values()].sort() };
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
