/**
 * The testbed of every namespace test: a lab that vanishes afterwards, speakers of three makes, and the measuring of a
 * failover. It is the benchmarks' (bench/testbed), with what the test runner needs. See src/lab for the lab itself.
 */
import { it, type TestContext } from "vitest";
import { frrInstalled } from "../../../bench/testbed/frr.js";
import { keepalivedInstalled } from "../../../bench/testbed/keepalived.js";
import type { SpeakerKind } from "../../../bench/testbed/speaker.js";

export * from "../../../bench/testbed/failover.js";
export { startFirsthop } from "../../../bench/testbed/firsthop.js";
export { withLab } from "../../../bench/testbed/lab.js";
export * from "../../../bench/testbed/pair.js";
export * from "../../../bench/testbed/speaker.js";
export type { Lab, LabRouter } from "../../../src/lab/topology.js";
export { LAB_ADDRESSES } from "../../../src/lab/topology.js";
export {
  type Capture,
  captureAt,
  captureLan,
  readAdverts,
  type SeenFrame,
  startTraffic,
  type Traffic,
} from "../../../src/lab/traffic.js";
export { eventually, pause } from "../../../src/lab/wait.js";

/** A device of VRID 10 in what `ip link` prints. Names of namespaces begin with fh, too, and have a number behind it. */
export const DEVICE_OF_VRID_10 = /\bfh10(v6)?[-_]/;

const INSTALLED: Readonly<Record<SpeakerKind, () => boolean>> = {
  firsthop: () => true,
  keepalived: keepalivedInstalled,
  frr: frrInstalled,
};

/** Why namespace tests can't run here; null when they can. */
export function whyNoNamespaces(): string | null {
  if (process.platform !== "linux") return "network namespaces need Linux";
  return process.getuid?.() === 0 ? null : "network namespaces need root";
}

/**
 * A test that needs root and these peers. Without them it is skipped with the reason; with FIRSTHOP_REQUIRE_PEERS=1
 * a missing one is a failure.
 */
export function netnsTest(
  name: string,
  peers: readonly SpeakerKind[],
  run: (context: TestContext) => Promise<void>,
  timeoutMs?: number,
): void {
  const missing = peers.filter((peer) => !INSTALLED[peer]());
  const reason = missing.length > 0 ? `${missing.join(" and ")} not installed` : whyNoNamespaces();
  it(
    name,
    async (context) => {
      if (reason === null) return run(context);
      if (process.env.FIRSTHOP_REQUIRE_PEERS === "1") throw new Error(`required, but ${reason}`);
      console.warn(`skipped: ${name}: ${reason}`);
      context.skip(reason);
    },
    timeoutMs,
  );
}
