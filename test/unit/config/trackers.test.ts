/** The sections trackers and track: what each kind makes of what is written, and every mistake at its place. */
import { describe, expect, it } from "vitest";
import { defineConfig, diffConfig, parseConfig, type TrackerConfig } from "../../../src/config/index.js";
import { expectMistake, type Mistake } from "./mistakes.js";

const ROUTER = { interface: "eth0", vrid: 10, addresses: ["192.0.2.1/24"] };
type Input = NonNullable<Parameters<typeof defineConfig>[0]["trackers"]>;

function trackers(...list: Input): readonly TrackerConfig[] {
  return defineConfig({ virtualRouters: [ROUTER], trackers: list }).trackers;
}

const PLAIN = { upDelayUs: 0, downDelayUs: 0, damping: null, reverse: false };

describe("kinds", () => {
  it("interface", () => {
    expect(trackers({ name: "wan", interface: "wan0" })).toEqual([
      {
        ...PLAIN,
        name: "wan",
        spec: { kind: "interface", interface: "wan0" },
        target: "wan0",
        intervalUs: 0,
        timeoutUs: 0,
        fall: 1,
        rise: 1,
        weight: 0,
      },
    ]);
  });

  it("route", () => {
    const [one] = trackers({
      name: "r",
      route: "2001:DB8::/32",
      via: "fe80::1",
      interface: "wan0",
      table: "main",
      protocol: "bgp",
      upDelay: "5s",
    });
    expect(one).toMatchObject({
      spec: {
        kind: "route",
        prefix: "2001:db8::/32",
        via: "fe80::1",
        interface: "wan0",
        table: 254,
        protocol: 186,
      },
      intervalUs: 0,
      upDelayUs: 5_000_000,
    });
    expect(trackers({ name: "r", route: "0.0.0.0/0", table: 100 })[0]?.spec).toMatchObject({ table: 100 });
  });

  it("tcp, udp and http fall after three and rise after two", () => {
    const all = trackers(
      { name: "a", tcp: "[2001:db8::1]:443", interface: "wan0", source: "2001:db8::2" },
      { name: "b", udp: "203.0.113.1:53", send: "0x0001", expect: "ok", interval: "200ms", timeout: "50ms" },
      {
        name: "c",
        http: "https://203.0.113.1/health?x=1",
        status: ["2xx", 404, "300-301"],
        host: "www.example.net",
      },
    );
    expect(all.map(({ fall, rise, intervalUs, timeoutUs }) => [fall, rise, intervalUs, timeoutUs])).toEqual([
      [3, 2, 1_000_000, 1_000_000],
      [3, 2, 200_000, 50_000],
      [3, 2, 1_000_000, 1_000_000],
    ]);
    expect(all.map((one) => one.spec)).toEqual([
      { kind: "tcp", address: "2001:db8::1", port: 443, interface: "wan0", source: "2001:db8::2" },
      {
        kind: "udp",
        address: "203.0.113.1",
        port: 53,
        sendHex: "0001",
        expectHex: "6f6b",
        interface: null,
        source: null,
      },
      {
        kind: "http",
        secure: true,
        address: "203.0.113.1",
        port: 443,
        path: "/health?x=1",
        host: "www.example.net",
        method: "GET",
        status: [
          [200, 299],
          [404, 404],
          [300, 301],
        ],
        verify: true,
        interface: null,
        source: null,
      },
    ]);
  });

  it("script, process and file", () => {
    const all = trackers(
      { name: "s", script: "/usr/bin/check", arguments: ["-x", "a b"], interval: "2s", timeout: "1s" },
      { name: "p", process: "bgpd", minimum: 2 },
      { name: "f", file: "/run/bias" },
      { name: "g", file: "/run/bias", weight: 0, reverse: true },
    );
    expect(all.map((one) => [one.spec, one.fall, one.rise, one.weight])).toEqual([
      [{ kind: "script", path: "/usr/bin/check", arguments: ["-x", "a b"] }, 1, 1, 0],
      [{ kind: "process", process: "bgpd", minimum: 2 }, 1, 1, 0],
      [{ kind: "file", path: "/run/bias" }, 1, 1, 1],
      [{ kind: "file", path: "/run/bias" }, 1, 1, 0],
    ]);
  });

  it("damping", () => {
    const [one] = trackers({ name: "w", interface: "w", damping: { flaps: 3, within: "1m", hold: "5m" } });
    expect(one?.damping).toEqual({ flaps: 3, withinUs: 60_000_000, holdUs: 300_000_000 });
  });
});

describe("track", () => {
  it("takes names, weights of its own, and trackers in place", () => {
    const config = defineConfig({
      virtualRouters: [
        {
          ...ROUTER,
          track: [
            "wan",
            { tracker: "isp", weight: -30, reverse: true },
            { interface: "wan1" },
            { tracker: "bias" },
          ],
        },
        { ...ROUTER, vrid: 11, addresses: ["192.0.2.9"], track: [{ interface: "wan1", weight: -5 }] },
      ],
      trackers: [
        { name: "wan", interface: "wan0", weight: -20 },
        { name: "isp", tcp: "203.0.113.1:1" },
        { name: "bias", file: "/run/bias" },
      ],
    });
    expect(config.virtualRouters.map((one) => one.track)).toEqual([
      [
        { tracker: "wan", weight: -20, reverse: false },
        { tracker: "isp", weight: -30, reverse: true },
        { tracker: "interface:wan1", weight: 0, reverse: false },
        { tracker: "bias", weight: 1, reverse: false },
      ],
      [{ tracker: "interface:wan1", weight: -5, reverse: false }],
    ]);
    expect(config.trackers.map((one) => one.name)).toEqual(["wan", "isp", "bias", "interface:wan1"]);
  });

  it("changes without a restart", () => {
    const with_ = (weight: number) =>
      defineConfig({ virtualRouters: [{ ...ROUTER, track: [{ interface: "wan0", weight }] }] });
    expect(diffConfig(with_(-10), with_(-20)).changed).toMatchObject([{ restart: false, fields: ["track"] }]);
  });
});

/** A virtual router, then these lines from line 5 on. */
const text = (...lines: string[]): string =>
  [
    "virtualRouters:",
    "  - interface: eth0",
    "    vrid: 10",
    "    addresses: [192.0.2.1/24]",
    ...lines,
    "",
  ].join("\n");
const tracker = (line: string): string => text("trackers:", `  - { name: t, ${line} }`);

const MISTAKES: readonly Mistake[] = [
  [
    "no kind",
    text("trackers:", "  - name: t"),
    "6:5",
    /what it looks at is missing: one of route, tcp, .*interface/,
  ],
  ["two kinds", tracker("tcp: 203.0.113.1:1, file: /x"), "6:42", /looks at one thing: tcp is given already/],
  ["no name", text("trackers:", "  - interface: wan0"), "6:5", /name is missing/],
  [
    "a name twice",
    text("trackers: [{ name: a, interface: b }, { name: a, interface: c }]"),
    "5:47",
    /another tracker \(line 5\)/,
  ],
  ["a name with a colon", text("trackers: [{ name: 'a:b', interface: b }]"), "5:20", /'a:b' is no name/],
  [
    "a misspelt key",
    tracker("interface: wan0, weigth: 5"),
    "6:33",
    /unknown key weigth: did you mean weight\?/,
  ],
  [
    "a key of another kind",
    tracker("interface: wan0, arguments: [a]"),
    "6:44",
    /arguments has no meaning for interface/,
  ],
  [
    "an interval of what follows news",
    tracker("interface: wan0, interval: 1s"),
    "6:43",
    /interval has no meaning for interface/,
  ],
  ["a fall of a file", tracker("file: /x, fall: 3"), "6:32", /fall has no meaning for file/],
  [
    "a weight beyond",
    tracker("interface: wan0, weight: 300"),
    "6:41",
    /300 is not a whole number from -254 to 254/,
  ],
  [
    "a time-out above the interval",
    tracker("tcp: '203.0.113.1:1', timeout: 2s"),
    "6:47",
    /2s is longer than the interval 1s/,
  ],
  ["an endpoint without a port", tracker("tcp: 203.0.113.1"), "6:21", /no address with a port/],
  [
    "an IPv6 endpoint without brackets",
    tracker("tcp: '2001:db8::1:443'"),
    "6:21",
    /write 203.0.113.1:443 or "\[2001:db8::1\]:443"/,
  ],
  ["a name for an endpoint", tracker("udp: 'dns.example:53'"), "6:21", /no address with a port/],
  [
    "a source of another family",
    tracker("tcp: '203.0.113.1:1', source: '2001:db8::1'"),
    "6:46",
    /another family/,
  ],
  ["a link-local target without an interface", tracker("tcp: '[fe80::1]:1'"), "6:5", /name the interface/],
  [
    "a virtual source",
    tracker("tcp: '203.0.113.1:1', source: 192.0.2.1"),
    "6:46",
    /a virtual address: name an own one \(line 4\)/,
  ],
  [
    "a URL with a name",
    tracker("http: 'http://www.example.net/'"),
    "6:22",
    /www.example.net is a name: write an address/,
  ],
  [
    "a URL of another protocol",
    tracker("http: 'ftp://203.0.113.1/'"),
    "6:22",
    /only http:\/\/ and https:\/\//,
  ],
  [
    "a status of nowhere",
    tracker("http: 'http://203.0.113.1/', status: [6xx]"),
    "6:54",
    /a status is written 200, 2xx or 200-399/,
  ],
  ["a relative script", tracker("script: check"), "6:24", /'check' is no absolute path/],
  ["a prefix with host bits", tracker("route: 203.0.113.1/24"), "6:23", /no prefix/],
  ["a default route by its nickname", tracker("route: default"), "6:23", /write 0.0.0.0\/0 or ::\/0/],
  [
    "a protocol of nowhere",
    tracker("route: 0.0.0.0/0, protocol: bpg"),
    "6:44",
    /a routing protocol is a number up to 255, or one of .*bgp/,
  ],
  [
    "damping without a hold",
    tracker("interface: a, damping: { flaps: 1, within: 1s }"),
    "6:39",
    /hold is missing/,
  ],
  [
    "an unknown tracker",
    text("    track: [wna]", "trackers: [{ name: wan, interface: wan0 }]"),
    "5:13",
    /there is no tracker wna: did you mean wan\?/,
  ],
  [
    "a tracker tracked twice",
    text("    track: [wan, { tracker: wan }]", "trackers: [{ name: wan, interface: wan0 }]"),
    "5:29",
    /wan is tracked twice here/,
  ],
  [
    "a target in a reference",
    text("    track: [{ tracker: wan, interface: b }]", "trackers: [{ name: wan, interface: wan0 }]"),
    "5:40",
    /interface belongs to the tracker itself/,
  ],
  [
    "a BFD key that is too long for MD5",
    text("    bfd: { authentication: { type: keyed-md5, key: abcdefghijklmnopq } }"),
    "5:52",
    /for keyed-md5 has 1 to 16 octets, this one has 17/,
  ],
  [
    "the same of a tracker",
    tracker("bfd: 192.0.2.9, authentication: { type: keyed-md5, key: abcdefghijklmnopq }"),
    "6:72",
    /for keyed-md5 has 1 to 16 octets, this one has 17/,
  ],
  [
    "a BFD authentication that nobody has",
    text("    bfd: { authentication: { type: sha256, key: secret } }"),
    "5:36",
    /meticulous-keyed-sha1/,
  ],
  [
    "two BFD authentications on one interface",
    text(
      "    bfd: { authentication: { type: keyed-sha1, key: one } }",
      "  - interface: eth0",
      "    vrid: 11",
      "    addresses: [192.0.2.2/24]",
      "    bfd: {}",
    ),
    "9:10",
    /shares its BFD sessions with this one/,
  ],
  [
    "a misspelt key in track",
    text("    track: [{ tracker: wan, weihgt: 3 }]", "trackers: [{ name: wan, interface: wan0 }]"),
    "5:29",
    /unknown key weihgt: did you mean weight\?/,
  ],
  ["a number in track", text("    track: [5]"), "5:13", /a text|text is expected|name of a tracker/],
  ["a text for track", text("    track: wan"), "5:12", /a list of trackers is expected/],
  [
    "the same in place twice",
    text("    track: [{ interface: b }, { interface: b, weight: -5 }]"),
    "5:31",
    /the same is tracked twice here \(line 5\)/,
  ],
  ["a link-local BFD neighbour of nowhere", tracker("bfd: 'fe80::1'"), "6:5", /name the interface/],
  [
    "more neighbours than are followed",
    tracker("neighbours: eth0, threshold: 300"),
    "6:45",
    /300 can't be reached: at most 256 are followed/,
  ],
  [
    "the same in place twice, written in two ways",
    text("    track: [{ icmp: '2001:db8::1' }, { icmp: '2001:DB8:0::1', weight: -5 }]"),
    "5:38",
    /the same is tracked twice here \(line 5\)/,
  ],
  [
    "what is in place in two ways",
    text("    track: [{ interface: b }, { interface: b, upDelay: 1s }]"),
    "5:31",
    /other settings already/,
  ],
];

describe("warnings", () => {
  it("whoever asks a virtual address asks himself while he is Active; also in place", () => {
    const text = `virtualRouters:
  - interface: eth0
    vrid: 10
    addresses: [192.0.2.1/24, 192.0.2.2]
    track: [{ tcp: 192.0.2.2:80 }]
    notify: { command: /bin/echo hello }
trackers:
  - { name: gw, icmp: 192.0.2.1 }
  - { name: isp, icmp: 203.0.113.1 }
`;
    const warnings = parseConfig(text).problems.map(({ line, column, message }) => [line, column, message]);
    expect(warnings).toEqual([
      [5, 20, expect.stringContaining("192.0.2.2 is a virtual address: while this router is Active")],
      [6, 24, expect.stringContaining("arguments are given as args: [...]")],
      [8, 23, expect.stringContaining("192.0.2.1 is a virtual address")],
    ]);
  });

  it("tell of weights that an owner does not feel", () => {
    const { config, problems } = parseConfig(
      text("    priority: 255", "    track: [{ interface: wan0, weight: -50 }, { interface: wan1 }]"),
    );
    expect(config).not.toBeNull();
    expect(problems.map((one) => `${one.severity} ${one.line}:${one.column} ${one.message}`)).toEqual([
      "warning 6:40 no effect: the owner of the addresses keeps its priority of 255",
    ]);
  });
});

describe("mistakes", () => {
  it.each(MISTAKES)("%s", (_, text, place, message) => expectMistake(text, place, message));
});
