import { describe, expect, it } from "vitest";
import type { AddressInfo } from "../../../src/driver/driver.js";
import { NetworkCache } from "../../../src/engine/lan/network.js";

const LAN = 2;

function primary(addresses: readonly string[], virtual: readonly string[], borrowed: readonly string[] = []) {
  const network = new NetworkCache();
  network.load({
    links: [],
    addresses: addresses.map((text): AddressInfo => {
      const [address = "", length] = text.split("/");
      return {
        ifindex: LAN,
        address,
        prefixLength: Number(length),
        family: "ipv4",
        tentative: false,
        secondary: false,
      };
    }),
  });
  return network.primaryAddress(LAN, "ipv4", virtual, new Set(borrowed));
}

describe("the source of advertisements", () => {
  it("is in the subnet of the virtual addresses, where there is one", () => {
    expect(primary(["10.0.0.1/16", "192.0.2.2/24"], ["192.0.2.1"])).toBe("192.0.2.2");
    expect(primary(["10.0.0.1/16"], ["192.0.2.1"])).toBe("10.0.0.1");
  });

  it("is none that a virtual router put there", () => {
    expect(primary(["192.0.2.1/24", "10.0.0.1/16"], ["192.0.2.1"], ["192.0.2.1"])).toBe("10.0.0.1");
    expect(primary(["192.0.2.1/24"], ["192.0.2.1"], ["192.0.2.1"])).toBeNull();
  });

  it("is the owner's own address only where there is no other", () => {
    expect(primary(["192.0.2.1/24", "10.0.0.1/16"], ["192.0.2.1"])).toBe("10.0.0.1");
    expect(primary(["192.0.2.1/24"], ["192.0.2.1"])).toBe("192.0.2.1");
  });
});
