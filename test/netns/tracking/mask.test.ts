/** The mask table: a masked neighbour's failure changes nothing, and unmasking brings its verdict at the next probe. */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect } from "vitest";
import { netnsTest, withLab } from "../testbed/index.js";
import { startTracking } from "./support.js";

const HOST = "192.0.2.100";
const MAC = "02:00:00:01:01:01";
/** An address of the same host that is never masked: whoever is asked there is found out. */
const UNMASKED = "192.0.2.33";

describe("mask", () => {
  netnsTest(
    "keeps checks from a neighbour, by prefix and by MAC address, until it is lifted",
    [],
    async () => {
      await withLab({ routers: 1 }, async (lab) => {
        const host = lab.hosts[0]!;
        const trackers = [
          { name: "switch", arp: HOST, interface: "lan0", interval: "100ms", fall: 5, rise: 5 },
          { name: "echo", icmp: HOST, interface: "lan0", interval: "100ms", fall: 5, rise: 5 },
          { name: "unmasked", arp: UNMASKED, interface: "lan0", interval: "100ms", fall: 5, rise: 5 },
        ];
        await host.run("ip", "addr", "add", `${UNMASKED}/32`, "dev", "eth0");
        const daemon = await startTracking(lab, lab.routers[0]!, 150, { trackers, mask: ["192.0.2.64/26"] }, [
          "switch",
        ]);
        await daemon.reach("active", 5000);
        const masked = [{ address: HOST, mac: null, by: "192.0.2.64/26" }];
        expect(await daemon.track("switch")).toMatchObject({
          state: "up",
          evidence: `${HOST} is masked by 192.0.2.64/26`,
          masked,
          results: { up: 0, down: 0 },
        });
        expect(await daemon.command("show", "tracks")).toMatch(
          /192\.0\.2\.64\/26\s+192\.0\.2\.100\s+-\s+echo/,
        );
        await daemon.tracks("unmasked", "up");
        await host.run("ip", "addr", "del", `${HOST}/24`, "dev", "eth0");
        await host.run("ip", "addr", "del", `${UNMASKED}/32`, "dev", "eth0");
        // It would have been found out twice over, as the same failure was beside the mask.
        const failures = async () => (await daemon.track("unmasked")).results.down;
        await expect.poll(failures, { timeout: 10_000 }).toBeGreaterThanOrEqual(10);
        expect((await daemon.track("unmasked")).state).toBe("down");
        expect((await daemon.track("switch")).state).toBe("up");
        expect((await daemon.virtualRouter())?.state).toBe("active");

        expect(await daemon.command("mask", "del", "192.0.2.64/26")).toBe(
          "192.0.2.64/26 is not masked any more\n",
        );
        await daemon.reach("fault", 5000);
        const down = daemon.events.find(
          (one) => one.type === "track" && one.name === "switch" && one.to === "down",
        );
        expect(down).toMatchObject({ detail: `${HOST} is silent` });
        const lifted = daemon.events.find((one) => one.type === "info" && one.code === "mask");
        // The first probe leaves within a tenth of a second and has as long to be answered: one failure, not five.
        const tookMs = Date.parse((down as { at: string }).at) - Date.parse((lifted as { at: string }).at);
        expect(tookMs).toBeLessThan(450);
        expect(await daemon.track("switch")).toMatchObject({ masked: [], results: { up: 0 } });

        expect(await daemon.command("mask", "add", HOST)).toBe(`${HOST} is masked\n`);
        await daemon.reach("active", 5000);
        await host.run("ip", "addr", "add", `${HOST}/24`, "dev", "eth0");
        await daemon.command("mask", "del", `${HOST}/32`);
        await daemon.tracks("switch", "up");
        await daemon.tracks("echo", "up");

        // Its MAC address is known by its answers, or by the kernel's.
        await daemon.command("mask", "add", MAC.toUpperCase());
        for (const name of ["switch", "echo"]) {
          const masked = async () => (await daemon.track(name)).masked;
          await expect.poll(masked, { timeout: 5000 }).toEqual([{ address: HOST, mac: MAC, by: MAC }]);
        }
        await host.run("ip", "addr", "del", `${HOST}/24`, "dev", "eth0");

        // What was done by hand survives a reload.
        writeFileSync(
          daemon.file,
          readFileSync(daemon.file, "utf8").replace('"192.0.2.64/26"', '"192.0.2.64/26","198.51.100.0/24"'),
        );
        daemon.process.kill("SIGHUP");
        const list = async () => (await daemon.status()).mask;
        await expect.poll(list, { timeout: 5000 }).toEqual([
          { entry: "192.0.2.64/26", origin: "configuration", inForce: false },
          { entry: "198.51.100.0/24", origin: "configuration", inForce: true },
          { entry: MAC, origin: "runtime", inForce: true },
        ]);
        expect(await daemon.command("mask", "list")).toMatch(
          /192\.0\.2\.64\/26\s+configuration\s+lifted at run time/,
        );
        expect((await daemon.track("switch")).state).toBe("up");
        expect((await daemon.virtualRouter())?.state).toBe("active");

        await expect(daemon.command("mask", "add", "host7")).rejects.toThrow(
          /"host7" is no mask entry: write an IP/,
        );
        await expect(daemon.command("mask", "del", "10.0.0.0/8")).rejects.toThrow(
          /10\.0\.0\.0\/8 is not in the mask/,
        );
        await daemon.stop();
      });
    },
    60_000,
  );
});
