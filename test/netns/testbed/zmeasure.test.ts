import { appendFileSync } from "node:fs";
import {
  failoverSummary,
  measureFailover,
  netnsTest,
  type SpeakerKind,
  startTraffic,
  withLab,
} from "./index.js";
import { startPair } from "./pair.js";

for (const kind of (process.env.KIND ?? "keepalived").split(",") as SpeakerKind[])
  for (const family of (process.env.FAMILY ?? "ipv4").split(",") as ("ipv4" | "ipv6")[])
    for (const intervalMs of (process.env.INTERVALS ?? "10,100,1000").split(",").map(Number)) {
      netnsTest(
        `measure ${kind} ${family} ${intervalMs}`,
        [kind],
        async () => {
          await withLab({ routers: 2 }, async (lab) => {
            const pair = await startPair(lab, kind, { family, intervalMs });
            const traffic = startTraffic(lab, { rate: 4000, family });
            const runs = [];
            for (let run = 0; run < Number(process.env.RUNS ?? 5); run++)
              runs.push(
                await measureFailover({
                  lab,
                  ...pair,
                  traffic,
                  kind: (process.env.CUT as "line") ?? "silent",
                }),
              );
            await traffic.stop();
            traffic.verify();
            appendFileSync(
              "/tmp/measure.txt",
              `${kind}, ${family}, ${intervalMs} ms, ${process.env.CUT ?? "silent"}: ${failoverSummary(runs)} [${runs.map((r) => (r.overDownIntervalUs / 1000).toFixed(2))}]\n`,
            );
          });
        },
        200_000,
      );
    }
