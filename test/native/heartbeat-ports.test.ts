/** The heartbeat engine's ways to the network and the kernel: interfaces that go, groups, tags, ports, the kernel lane. */
import { describe, expect } from "vitest";
import { lanPortFilter } from "../../src/core/socket-filter.js";
import { eventually } from "../../src/lab/wait.js";
import { NEAR, testFrame, timesOf } from "./engine-host.js";
import {
  ANSWER,
  BEAT,
  beating,
  CONTROL_US,
  GOODBYE,
  matched,
  onCable,
  opened,
  PEER,
  started,
  watching,
} from "./engine-programs.js";

describe("interfaces", () => {
  onCable("a line that goes down and comes back needs nobody's help", async (bench) => {
    const port = await opened(bench);
    const session = await started(bench, watching(port, 50_000_000));
    await bench.ip("near", `link set ${NEAR} down`);
    expect(await bench.report("portError")).toMatchObject({ port, errno: "ENETDOWN" });
    await bench.ip("near", `link set ${NEAR} up`);
    bench.source([testFrame(9, PEER)], 100);
    await matched(bench, session, 10);
  });

  onCable("one that vanishes is reported as gone, to speakers and to listeners", async (bench) => {
    const port = await opened(bench);
    await bench.ip("near", `link del ${NEAR}`);
    const gone = () => bench.reports.find((one) => one.type === "portError" && one.errno === "ENODEV");
    expect(await eventually("it is reported", 10_000, gone)).toMatchObject({ port });
    const reported = bench.reports.length;
    const speaker = await started(bench, beating(port, 1_000));
    await eventually("it beats", 10_000, async () => (await bench.call("counters", speaker))[0]! > 20);
    expect(bench.reports.length).toBe(reported);
    expect((await bench.call("portCounters", port)).sendErrors).toBeGreaterThan(20);
    await bench.call("closePort", port);
    await expect(bench.call("openPort", bench.lan)).rejects.toMatchObject({ code: "ENODEV" });
  });

  onCable(
    "one that vanishes after it went down is missed, whatever still waited to be read",
    async (bench) => {
      const port = await opened(bench);
      const flood = bench.source([testFrame(9, 77)], 20_000);
      await eventually("frames come in", 10_000, async () => {
        return (await bench.call("portCounters", port)).received > 2_000;
      });
      await bench.ip("near", `link set ${NEAR} down`);
      await bench.report("portError");
      flood.stop();
      await bench.ip("near", `link del ${NEAR}`);
      const gone = () => bench.reports.some((one) => one.type === "portError" && one.errno === "ENODEV");
      await eventually("it is reported", 5_000, gone);
    },
  );

  onCable("groups are joined, and left with the port", async (bench) => {
    const memberships = [new Uint8Array([1, 0, 0x5e, 0, 0, 0x12])];
    await bench.call("open", CONTROL_US);
    const port = await bench.call("openPort", { ...bench.lan, memberships, groups: ["224.0.0.18"] });
    const groups = (): Promise<string> => bench.run("near", "ip", "maddr", "show", "dev", NEAR);
    expect(await groups()).toContain("224.0.0.18");
    expect(await groups()).toContain("01:00:5e:00:00:12");
    await bench.call("closePort", port);
    expect(await groups()).not.toContain("224.0.0.18");
    expect(await groups()).not.toContain("01:00:5e:00:00:12");
  });

  onCable("datagrams leave by the kernel's routing", async (bench) => {
    await bench.call("open", CONTROL_US);
    const port = await bench.call("openPort", {
      kind: "datagram",
      family: "ipv4",
      ifindex: bench.lan.ifindex,
    });
    const capture = bench.capture();
    const datagram = new Uint8Array(28);
    datagram.set([0x45, 0, 0, 28, 0, 0, 0, 0, 255, 112, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0x31]);
    await bench.call("send", port, datagram);
    await eventually("it came", 10_000, () => capture.status().captured > 0);
    const { octets } = capture.frames();
    expect([...octets.subarray(26, 35)]).toEqual([192, 0, 2, 1, 192, 0, 2, 2, 0x31]);
  });
});

describe("the kernel lane", () => {
  onCable(
    "does steps in order, names what failed, and goes on but for the sending of frames",
    async (bench) => {
      const port = await opened(bench);
      const capture = bench.capture();
      const unknownRequest = new Uint8Array(20);
      new DataView(unknownRequest.buffer).setUint32(0, 20, true);
      new DataView(unknownRequest.buffer).setUint16(4, 0x0fff, true);
      new DataView(unknownRequest.buffer).setUint16(6, 5, true);
      const sysctl = "/proc/sys/net/ipv4/conf/near0/arp_ignore";
      const failures = await bench.call("perform", [
        { step: "write", path: "/proc/sys/net/ipv4/conf/nowhere0/arp_ignore", value: "1" },
        { step: "netlink", message: unknownRequest, label: "an unknown request" },
        { step: "write", path: sysctl, value: "1" },
        { step: "send", port, frame: testFrame(1, BEAT) },
      ]);
      expect(failures).toEqual([
        { label: "/proc/sys/net/ipv4/conf/nowhere0/arp_ignore", errno: "ENOENT" },
        { label: "an unknown request", errno: "ENOTSUP" },
      ]);
      expect(await bench.run("near", "cat", sysctl)).toBe("1\n");
      const sent = await bench.call("perform", [
        { step: "send", port, frame: testFrame(1, ANSWER) },
        { step: "send", port, frame: testFrame(1, GOODBYE) },
        { step: "send", port: port + 1, frame: testFrame(1, BEAT) },
      ]);
      expect(sent).toEqual([]);
      await eventually("both frames came", 10_000, () => capture.status().captured >= 2);
      expect(timesOf(capture, BEAT)).toEqual([]);
      expect(timesOf(capture, ANSWER)[0]!).toBeLessThanOrEqual(timesOf(capture, GOODBYE)[0]!);
    },
  );
});

describe("tags", () => {
  onCable("of VLAN 0 only carry a priority; those of others keep frames out", async (bench) => {
    const advertisement = (vlan: number | null, vrid: number): Uint8Array => {
      const tag = vlan === null ? [] : [0x81, 0, 0xe0 | (vlan >> 8), vlan & 255];
      const frame = new Uint8Array(64);
      frame.set([
        1,
        0,
        0x5e,
        0,
        0,
        0x12,
        2,
        0,
        0,
        0,
        0,
        9,
        ...tag,
        8,
        0,
        0x45,
        0,
        0,
        32,
        0,
        0,
        0,
        0,
        255,
        112,
      ]);
      frame.set([192, 0, 2, 2, 224, 0, 0, 18, 0x31, vrid], 14 + tag.length + 12);
      return frame;
    };
    await bench.call("open", CONTROL_US);
    await bench.call("openPort", {
      ...bench.lan,
      filter: lanPortFilter([]),
      memberships: [new Uint8Array([1, 0, 0x5e, 0, 0, 0x12])],
    });
    bench.source([advertisement(5, 1), advertisement(0, 2), advertisement(null, 3)], 100, 6);
    await bench.report("frame", 3);
    const seen = bench.reports.flatMap((one) => (one.type === "frame" ? [one.frame[35]] : []));
    expect(seen).toEqual([2, 3, 2, 3]);
  });
});

describe("UDP ports", () => {
  onCable("are held, so that the kernel does not answer for them", async (bench) => {
    await bench.call("open", CONTROL_US);
    await bench.ip("near", `addr add 198.51.100.1/24 dev ${NEAR}`);
    await bench.ip("far", `addr add 198.51.100.2/24 dev far0`);
    const refused = async (): Promise<boolean> => {
      const script = `
        const socket = require("dgram").createSocket("udp4");
        const end = (word) => { console.log(word); process.exit(); };
        socket.on("error", (error) => end(error.code));
        socket.connect(3784, "198.51.100.1", () => setInterval(() => socket.send("x", () => {}), 50));
        setTimeout(end, 500, "silence");`;
      return (await bench.run("far", process.execPath, "-e", script)).includes("ECONNREFUSED");
    };
    const port = await bench.call("openPort", { ...bench.lan, udpPorts: [3784] });
    expect(await refused()).toBe(false);
    await bench.call("closePort", port);
    expect(await refused()).toBe(true);
  });
});
