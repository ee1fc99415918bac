/** Every mistake is named, all of them in one go, where it stands and with what would be right. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  defineConfig,
  diffConfig,
  formatDuration,
  parseConfig,
  parseDuration,
} from "../../../src/config/index.js";
import { expectMistake, type Mistake } from "./mistakes.js";

/** One virtual router with these lines, the first at line 2. */
function router(...lines: string[]): string {
  return `virtualRouters:\n  - ${lines.join("\n    ")}\n`;
}

const GOOD = ["interface: eth0", "vrid: 10", "addresses: [192.0.2.1/24]"];

const MISTAKES: readonly Mistake[] = [
  [
    "VRID above 255",
    router("interface: eth0", "vrid: 256", "addresses: [192.0.2.1]"),
    "3:11",
    /256 is not a whole number from 1 to 255/,
  ],
  [
    "VRID 0",
    router("interface: eth0", "vrid: 0", "addresses: [192.0.2.1]"),
    "3:11",
    /0 is not a whole number from 1 to 255/,
  ],
  [
    "VRID as text",
    router("interface: eth0", 'vrid: "10"', "addresses: [192.0.2.1]"),
    "3:11",
    /"10" is not a whole number/,
  ],
  [
    "priority 0",
    router(...GOOD, "priority: 0"),
    "5:15",
    /0 is not a whole number from 1 to 255 \(0 is the release/,
  ],
  ["priority 256", router(...GOOD, "priority: 256"), "5:15", /256 is not a whole number from 1 to 255/],
  ["half a priority", router(...GOOD, "priority: 1.5"), "5:15", /1.5 is not a whole number/],
  ["a misspelt key", router(...GOOD, "prioriti: 5"), "5:5", /unknown key prioriti: did you mean priority\?/],
  ["a key of nowhere", router(...GOOD, "zzz: 5"), "5:5", /unknown key zzz$/],
  [
    "a notify command by name",
    router(...GOOD, "notify: { command: on-change }"),
    "5:24",
    /'on-change' is no absolute path/,
  ],
  [
    "a sync group that is not there",
    `${router(...GOOD, "syncGroup: edge")}syncGroups: [{ name: wan }]\n`,
    "5:16",
    /no sync group edge: there is wan/,
  ],
  [
    "an owner in a sync group",
    `${router(...GOOD, "syncGroup: edge", "priority: 255")}syncGroups: [{ name: edge }]\n`,
    "6:15",
    /the owner of its addresses \(255\) can't move with others/,
  ],
  [
    "a section of a later version",
    `${router(...GOOD)}gateways: []\n`,
    "5:1",
    /gateways is not available in this version/,
  ],
  ["a missing interface", router("vrid: 10", "addresses: [192.0.2.1]"), "2:5", /interface is missing/],
  ["no virtual routers", "log: {}\n", "1:1", /virtualRouters is missing/],
  ["an empty list", "virtualRouters: []\n", "1:17", /at least one virtual router/],
  ["version 4", router(...GOOD, "version: 4"), "5:14", /4 is no VRRP version: 2 or 3/],
  [
    "an interval without unit",
    router(...GOOD, "advertisementInterval: 100"),
    "5:28",
    /100 has no unit: write 100ms or 100s/,
  ],
  [
    "an interval between the steps",
    router(...GOOD, "advertisementInterval: 15ms"),
    "5:28",
    /15ms is not a multiple of 10ms: use 10ms or 20ms/,
  ],
  [
    "an interval too long",
    router(...GOOD, "advertisementInterval: 41s"),
    "5:28",
    /out of range: VRRPv3 takes 10ms to 40.95s/,
  ],
  [
    "an interval too short",
    router(...GOOD, "advertisementInterval: 5ms"),
    "5:28",
    /out of range: VRRPv3 takes 10ms/,
  ],
  [
    "half a second in v2",
    router(...GOOD, "version: 2", "advertisementInterval: 1.5s"),
    "6:28",
    /1.5s is not a multiple of 1s: use 1s or 2s/,
  ],
  [
    "256 seconds in v2",
    router(...GOOD, "version: 2", "advertisementInterval: 256s"),
    "6:28",
    /VRRPv2 takes 1s to 255s/,
  ],
  ["a word for a duration", router(...GOOD, "preemptDelay: soon"), "5:19", /'soon' is no duration/],
  ["a negative duration", router(...GOOD, "preemptDelay: -1s"), "5:19", /'-1s' is no duration/],
  ["no address", router("interface: eth0", "vrid: 10", "addresses: []"), "4:16", /at least one address/],
  [
    "a broken address",
    router("interface: eth0", "vrid: 10", "addresses: [192.0.2.256]"),
    "4:17",
    /'192.0.2.256' is no IP address/,
  ],
  [
    "a leading zero",
    router("interface: eth0", "vrid: 10", "addresses: [192.0.2.01]"),
    "4:17",
    /no IP address/,
  ],
  [
    "a multicast address",
    router("interface: eth0", "vrid: 10", "addresses: [224.0.0.18]"),
    "4:17",
    /is a multicast address/,
  ],
  ["a loopback address", router("interface: eth0", "vrid: 10", "addresses: [127.0.0.1]"), "4:17", /loopback/],
  [
    "the zero address",
    router("interface: eth0", "vrid: 10", "addresses: [0.0.0.0]"),
    "4:17",
    /names no host/,
  ],
  [
    "a prefix length of 33",
    router("interface: eth0", "vrid: 10", "addresses: [192.0.2.1/33]"),
    "4:17",
    /\/33 is no prefix length: 1 to 32/,
  ],
  [
    "an IPv4 address in IPv6's clothes",
    router("interface: eth0", "vrid: 10", 'addresses: [fe80::1, "::ffff:192.0.2.1"]'),
    "4:26",
    /stands for an IPv4 address/,
  ],
  [
    "the loopback interface",
    router("interface: lo", "vrid: 10", "addresses: [192.0.2.1]"),
    "2:16",
    /lo is the loopback interface/,
  ],
  [
    "a virtual address as the source",
    router(...GOOD, "unicast: { source: 192.0.2.1, peers: [192.0.2.3] }"),
    "5:24",
    /192.0.2.1 is a virtual address: name an own one/,
  ],
  [
    "a directory for the socket",
    `${router(...GOOD)}control: { socket: /run/firsthop/ }\n`,
    "5:20",
    /is a directory: name the socket in it/,
  ],
  [
    "both families",
    router("interface: eth0", "vrid: 10", 'addresses: [192.0.2.1, "fe80::1"]'),
    "4:28",
    /another family.*make two virtual routers/,
  ],
  [
    "IPv6 without a link-local address",
    router("interface: eth0", "vrid: 10", 'addresses: ["2001:db8::1"]'),
    "4:17",
    /must be link-local/,
  ],
  [
    "v2 for IPv6",
    router("interface: eth0", "vrid: 10", 'addresses: ["fe80::1"]', "version: 2"),
    "5:14",
    /VRRPv2 knows IPv4 only/,
  ],
  [
    "an address twice",
    router("interface: eth0", "vrid: 10", "addresses: [192.0.2.1, 192.0.2.1/24]"),
    "4:28",
    /listed twice/,
  ],
  [
    "a password in v3",
    router(...GOOD, "authentication: { type: simple, password: x }"),
    "5:21",
    /VRRPv3 has no authentication/,
  ],
  [
    "backup advertisements in v2",
    router(...GOOD, "version: 2", "bfd: { backupAdvertisements: true }"),
    "6:34",
    /VRRPv2 has no backup advertisements/,
  ],
  [
    "multipoint packets with authentication",
    router(...GOOD, "bfd: { multipoint: true, authentication: { type: keyed-sha1, key: secret } }"),
    "5:24",
    /not authenticated/,
  ],
  [
    "multipoint where multicast does not pass",
    router(...GOOD, "unicast: { peers: [192.0.2.9] }", "bfd: { multipoint: true }"),
    "6:24",
    /needs multicast/,
  ],
  [
    "a long password",
    router(...GOOD, "version: 2", "authentication: { type: simple, password: ninechars }"),
    "6:47",
    /1 to 8 octets, this one has 9/,
  ],
  [
    "another authentication",
    router(...GOOD, "version: 2", "authentication: { type: ah, password: x }"),
    "6:29",
    /simple is expected/,
  ],
  [
    "an interface name with a slash",
    router("interface: eth0/1", "vrid: 10", "addresses: [192.0.2.1]"),
    "2:16",
    /no interface name/,
  ],
  [
    "an interface name with a percent sign",
    router("interface: eth%d", "vrid: 10", "addresses: [192.0.2.1]"),
    "2:16",
    /no interface name/,
  ],
  [
    "a long interface name",
    router("interface: abcdefghijklmnop", "vrid: 10", "addresses: [192.0.2.1]"),
    "2:16",
    /1 to 15 characters/,
  ],
  ["another checksum", router(...GOOD, "checksum: both"), "5:15", /auto, message-only or pseudo-header/],
  ["text for yes", router(...GOOD, 'preempt: "yes"'), "5:14", /true or false/],
  [
    "a peer of the other family",
    router(...GOOD, 'unicast: { peers: ["fe80::2"] }'),
    "5:24",
    /another family/,
  ],
  [
    "a peer that is ourselves",
    router(...GOOD, "unicast: { source: 192.0.2.2, peers: [192.0.2.2] }"),
    "5:43",
    /own source address/,
  ],
  ["a list for a block", "virtualRouters: {}\n", "1:17", /a list of virtual routers is expected/],
  ["a key twice", router(...GOOD, "vrid: 11"), "5:5", /vrid is given twice/],
  ["broken YAML", "virtualRouters: [\n", "2:1", /not valid YAML/],
  ["an empty file", "# nothing\n", "1:1", /the file is empty/],
  ["a number for a file", "42\n", "1:1", /begin with virtualRouters:/],
  [
    "a file for keepalived",
    "vrrp_instance A {\n  state MASTER\n}\n",
    "1:1",
    /looks like a file for keepalived/,
  ],
  ["a file for FRR", "interface eth0\n vrrp 10\n vrrp 10 ip 192.0.2.1\n", "1:1", /looks like a file for FRR/],
  ["a value left out", router(...GOOD, "priority:"), "5:14", /a value is missing/],
  ["an endless interval", router(...GOOD, "advertisementInterval: .inf"), "5:28", /Infinity is no duration/],
  [
    "the address of a network",
    router("interface: eth0", "vrid: 10", "addresses: [192.0.2.0/24]"),
    "4:17",
    /192\.0\.2\.0 is the address of the network/,
  ],
  [
    "a broadcast address",
    router("interface: eth0", "vrid: 10", "addresses: [10.1.3.255/22]"),
    "4:17",
    /10\.1\.3\.255 is the broadcast address/,
  ],
  [
    "a control timeout of nothing",
    `${router(...GOOD)}controlTimeout: 1ms\n`,
    "5:17",
    /out of range: 100ms to 1h/,
  ],
  [
    "a log level of nowhere",
    `${router(...GOOD)}log: { level: loud }\n`,
    "5:15",
    /trace, debug, info, warn or error/,
  ],
];

describe("mistakes", () => {
  it.each(MISTAKES)("%s", (_, text, place, message) => expectMistake(text, place, message));

  it("are all told in one go, in the order of the file", () => {
    const text = router("interface: eth0/1", "vrid: 300", "addresses: [192.0.2.1]", "prioriti: 7");
    expect(parseConfig(text).problems.map((one) => one.line)).toEqual([2, 3, 5]);
  });

  it("of shape and of fit are told together", () => {
    const text = router(...GOOD, "priority: 999", "advertisementInterval: 15ms", "preempt: 7");
    expect(parseConfig(text).problems.map((one) => one.line)).toEqual([5, 6, 7]);
  });

  it("a VRID or an address used twice names the other one", () => {
    const text = `virtualRouters:\n${[...GOOD.slice(0, 2), "addresses: [192.0.2.1]"].map((line, index) => `${index ? "    " : "  - "}${line}`).join("\n")}\n  - { interface: eth0, vrid: 10, addresses: [192.0.2.1] }\n`;
    expect(parseConfig(text).problems.map((one) => one.message)).toEqual([
      "VRID 10 is used on eth0 for ipv4 already, by virtualRouters[0] (line 3)",
      "192.0.2.1 belongs to virtualRouters[0] on eth0 already (line 4)",
    ]);
  });

  it("aliases that multiply are refused", () => {
    const bomb = [
      "a: &a [x,x,x,x,x,x,x,x,x]",
      ...["b", "c", "d", "e", "f", "g", "h"].map(
        (key, index) => `${key}: &${key} [${`*${"abcdefgh"[index]},`.repeat(9)}x]`,
      ),
    ];
    expect(parseConfig(bomb.join("\n")).problems[0]?.message).toMatch(/this makes more than 600000 values/);
  });
});

describe("anchors", () => {
  it("share keys among any number of virtual routers", () => {
    const routers = Array.from(
      { length: 200 },
      (_, i) => `  - { <<: *all, vrid: ${i + 1}, addresses: [10.0.0.${i + 1}] }`,
    );
    const first = "  - &all { interface: eth0, vrid: 255, addresses: [10.0.1.1], priority: 150 }";
    const { config } = parseConfig(`virtualRouters:\n${first}\n${routers.join("\n")}\n`);
    expect(config?.virtualRouters).toHaveLength(201);
    expect(new Set(config?.virtualRouters.map((one) => one.priority))).toEqual(new Set([150]));
  });

  it.each([
    ["a: *nowhere\n", /stands for nothing/],
    ["a: &a [*a]\n", /contains itself/],
    ["a: { <<: 5 }\n", /<< takes the alias/],
  ])("%j is refused", (text, message) => {
    expect(parseConfig(text).problems[0]?.message).toMatch(message);
  });
});

describe("hostile texts", () => {
  it("a nest that the YAML reader has no stack for is told in our words", () => {
    const [first] = parseConfig(`virtualRouters: ${"[".repeat(20_000)}`).problems;
    expect(first?.message).toBe("not valid YAML: nested deeper than 50 levels");
  });

  const SIZE = 1 << 17;
  it.each([
    [
      "keys",
      Array.from({ length: SIZE / 10 }, (_, i) => `k${i}: 1`)
        .join("\n")
        .slice(0, SIZE),
    ],
    ["aliases", `x: &a 1\ny: [${"*a,".repeat(SIZE / 3 - 10)}]`],
    ["brackets", "[".repeat(SIZE)],
    ["commas", `[${",".repeat(SIZE - 1)}`],
    ["anchors", "&a ".repeat(SIZE / 3)],
    ["wrong virtual routers", `virtualRouters: [${"1,".repeat(SIZE / 2 - 20)}]`],
  ])("of %s are refused in bounded time", { timeout: 30_000 }, (_, text) => {
    const { config, problems } = parseConfig(text);
    expect(config).toBeNull();
    expect(problems.length).toBeLessThanOrEqual(201);
  });

  it("larger than 1 MiB are refused", () => {
    expect(parseConfig("#".repeat((1 << 20) + 1)).problems[0]?.message).toBe("the file is larger than 1 MiB");
  });
});

describe("warnings", () => {
  it.each([
    ["version: 2", "authentication: { type: simple, password: secret }", /no security/],
    ["priority: 255", "preempt: false", /no effect: the owner/],
    ["preempt: true", "bfd: { rank: 2, backupAdvertisements: true }", /no effect: with backupAdvertisements/],
    ["preempt: false", "preemptDelay: 1s", /no effect without preempt/],
    ["version: 2", "checksum: message-only", /no effect: VRRPv2/],
  ])("%s with %s", (one, other, message) => {
    const { config, problems } = parseConfig(router(...GOOD, one, other));
    expect(config).not.toBeNull();
    expect(problems).toMatchObject([
      { severity: "warning", line: 6, message: expect.stringMatching(message) },
    ]);
  });
});

describe("keys of other programs", () => {
  it.each([
    ["advert_int: 1", /did you mean advertisementInterval\?/],
    ["virtual_ipaddress: []", /did you mean addresses\?/],
    ["state: MASTER", /no initial state/],
    ["nopreempt: true", /write preempt: false/],
    ["no_accept: true", /write accept: false/],
    ["track_script: [dns]", /did you mean track\?/],
    ["notify_master: /usr/local/bin/on-change", /did you mean notify\?/],
  ])("%s", (line, message) => {
    expect(parseConfig(router(...GOOD, line)).problems[0]?.message).toMatch(message);
  });
});

describe("a configuration", () => {
  it("has its defaults, and names routers of both families apart", () => {
    const text = `${router(...GOOD)}  - { interface: eth0, vrid: 10, addresses: ["fe80::1", "2001:db8::1/64"] }\n`;
    const { config } = parseConfig(text);
    expect(config?.virtualRouters.map((one) => one.name)).toEqual(["eth0/10", "eth0/10/ipv6"]);
    expect(config?.virtualRouters[0]).toMatchObject({
      version: 3,
      priority: 100,
      advertisementIntervalUs: 1_000_000,
      preempt: true,
      accept: true,
    });
    expect(config?.virtualRouters[1]?.addresses).toEqual([
      { address: "fe80::1", prefixLength: 64 },
      { address: "2001:db8::1", prefixLength: 64 },
    ]);
  });

  it("from an object is checked alike", () => {
    expect(() =>
      defineConfig({ virtualRouters: [{ interface: "eth0", vrid: 300, addresses: ["192.0.2.1"] }] }),
    ).toThrow("virtualRouters[0].vrid: 300 is not a whole number from 1 to 255");
  });

  it("of 4,096 virtual routers is read", () => {
    const routers = Array.from({ length: 4096 }, (_, index) => ({
      interface: `lan${index >> 7}`,
      vrid: (index & 127) + 1,
      addresses: [`10.${index >> 8}.${index & 255}.1/24`],
    }));
    expect(parseConfig(JSON.stringify({ virtualRouters: routers })).config?.virtualRouters).toHaveLength(
      4096,
    );
  });
});

describe("durations", () => {
  it("are written as they were read", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000_000_000 }), (us) => {
        expect(parseDuration(formatDuration(us))).toBe(us);
      }),
    );
  });
});

describe("a difference", () => {
  const base = { interface: "eth0", vrid: 10, addresses: ["192.0.2.1/24"] };
  const change = (more: object) => {
    const next = defineConfig({ virtualRouters: [{ ...base, ...more }] });
    return diffConfig(defineConfig({ virtualRouters: [base] }), next).changed[0];
  };

  it.each([
    [{ priority: 150 }, false],
    [{ preempt: false }, false],
    [{ checksum: "pseudo-header" }, false],
    [{ priority: 255 }, true],
    [{ advertisementInterval: "100ms" }, true],
    [{ addresses: ["192.0.2.9/24"] }, true],
    [{ version: 2 }, true],
  ])("%j restarts the router: %s", (more, restart) => {
    expect(change(more)?.restart).toBe(restart);
  });

  it("tells what came, went and stayed", () => {
    const old = defineConfig({ virtualRouters: [base, { ...base, vrid: 11, addresses: ["192.0.2.2"] }] });
    const next = defineConfig({ virtualRouters: [base, { ...base, vrid: 12, addresses: ["192.0.2.3"] }] });
    const diff = diffConfig(old, next);
    expect(diff.added.map((one) => one.vrid)).toEqual([12]);
    expect(diff.removed.map((one) => one.vrid)).toEqual([11]);
    expect(diff.unchanged.map((one) => one.vrid)).toEqual([10]);
    expect(diff.changed).toEqual([]);
  });
});
