/** The virtual router that these tests are about. */
import type { VrrpSettings } from "../../../src/core/vrrp/machine.js";

export const SETTINGS: VrrpSettings = {
  version: 3,
  family: "ipv4",
  priority: 100,
  addresses: ["192.0.2.1"],
  primaryAddress: "192.0.2.10",
  intervalUs: 10_000,
  preempt: true,
  preemptDelayUs: 0,
};
