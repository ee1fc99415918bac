import { it } from "vitest";
import { readArp } from "../../src/core/arp.js";
import { readVrrpFrame } from "../../src/core/vrrp/packet.js";
import { runSeed } from "./run.js";

it.runIf(process.env.ZF)("frames", { timeout: 100000 }, async () => {
  const [seed, a, b] = (process.env.ZF ?? "").split(",").map(Number);
  await runSeed(seed!, {
    observe: (h) => {
      if (h.atUs < a! * 1000 || h.atUs > b! * 1000) return;
      if (h.type === "frame") {
        const m = readVrrpFrame(h.frame)?.message;
        const arp = readArp(h.frame);
        if (m) console.log(h.atUs, h.station, "vrrp", m.vrid, m.priority);
        else if (arp) console.log(h.atUs, h.station, "arp", JSON.stringify(arp));
      } else if (h.type !== "forwarded" && h.type !== "session") console.log(h.atUs, JSON.stringify(h));
    },
  });
});
