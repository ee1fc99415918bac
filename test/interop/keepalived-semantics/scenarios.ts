/**
 * What happens to two routers whose priorities follow trackers: plain data, from which the configurations of both makes
 * are derived. An outcome is written "R1/R2" for each virtual router: A130 is Active and advertises 130, B is Backup,
 * F is in fault.
 */

/** Not processes: keepalived hears of them from the kernel, which tells nobody inside a network namespace. */
export type TrackerKind = "file" | "script" | "interface";

/** Each router has one of its own. */
export interface Tracker {
  readonly kind: TrackerKind;
  readonly fall?: number;
  readonly rise?: number;
  /** Of router 1 and router 2; default: well, and the number 0. */
  readonly initially?: readonly [string, string];
}

export interface Follows {
  readonly tracker: string;
  readonly weight?: number;
  readonly reverse?: true;
}

export interface Instance {
  /** Of router 1 and router 2. */
  readonly priorities: readonly [number, number];
  readonly preempt?: false;
  readonly follows?: readonly Follows[];
  /** Those with a number of their own may lose their line; 0 is shared. */
  readonly lan?: number;
}

export interface Scenario {
  readonly title: string;
  readonly version?: 2;
  readonly family?: "ipv6";
  /** Advertisement_Interval in seconds, where it matters. */
  readonly intervalS?: number;
  readonly trackers?: Readonly<Record<string, Tracker>>;
  readonly instances: readonly Instance[];
  /** All instances are one sync group. `follows`: for keepalived at the group, for firsthop at each member. */
  readonly group?: { readonly follows?: readonly Follows[]; readonly trackingWeight?: true };
  readonly begins: string;
  /** "r1.wan=down r2.bias=5" (tracker, or lanN), and what that ends in. */
  readonly steps: readonly (readonly [string, string])[];
}

const one = (
  priorities: readonly [number, number],
  follows: readonly Follows[] = [],
  more: Partial<Instance> = {},
): readonly Instance[] => [{ priorities, follows, ...more }];

const FILE = { bias: { kind: "file" } } as const;
const LINK = { wan: { kind: "interface" } } as const;
const SCRIPT = { check: { kind: "script" } } as const;

const FILES: readonly Scenario[] = [
  {
    title: "file: its number is the weight",
    trackers: FILE,
    instances: one([100, 120], [{ tracker: "bias" }]),
    begins: "B/A120",
    steps: [
      ["r1.bias=30", "A130/B"],
      ["r1.bias=-10", "B/A120"],
      ["r2.bias=-40", "A90/B"],
    ],
  },
  {
    title: "file: the number is multiplied",
    trackers: FILE,
    instances: one([100, 120], [{ tracker: "bias", weight: 5 }]),
    begins: "B/A120",
    steps: [
      ["r1.bias=10", "A150/B"],
      ["r1.bias=3", "B/A120"],
    ],
  },
  {
    title: "file: a negative factor turns the sign",
    trackers: FILE,
    instances: one([150, 120], [{ tracker: "bias", weight: -2 }]),
    begins: "A150/B",
    steps: [
      ["r1.bias=20", "B/A120"],
      ["r1.bias=-10", "A170/B"],
    ],
  },
  {
    title: "file: reverse turns the sign",
    trackers: FILE,
    instances: one([150, 120], [{ tracker: "bias", weight: 1, reverse: true }]),
    begins: "A150/B",
    steps: [
      ["r1.bias=40", "B/A120"],
      ["r1.bias=-40", "A190/B"],
    ],
  },
  {
    title: "file: clamped at 254",
    trackers: FILE,
    instances: one([200, 100], [{ tracker: "bias" }]),
    begins: "A200/B",
    steps: [
      ["r1.bias=100", "A254/B"],
      ["r1.bias=253", "A254/B"],
      ["r1.bias=9999", "A254/B"],
    ],
  },
  {
    title: "file: clamped at 1",
    trackers: FILE,
    instances: one([2, 200], [{ tracker: "bias" }]),
    begins: "B/A200",
    steps: [
      ["r1.bias=-50", "B/A200"],
      // A tie: whoever is Active stays; here it has the higher address too.
      ["r2.bias=-253", "B/A1"],
      ["r1.bias=0", "A2/B"],
    ],
  },
  {
    title: "file: two virtual routers make of its number what each of them will",
    trackers: FILE,
    instances: [
      { priorities: [150, 100], follows: [{ tracker: "bias" }] },
      { priorities: [100, 120], follows: [{ tracker: "bias", weight: -2 }] },
    ],
    begins: "A150/B B/A120",
    steps: [
      ["r1.bias=-60", "B/A100 A220/B"],
      ["r1.bias=20", "A170/B B/A120"],
    ],
  },
  {
    title: "file: a large factor adds 253 at most, and forbids sooner",
    trackers: FILE,
    instances: one([1, 200], [{ tracker: "bias", weight: 200 }]),
    begins: "B/A200",
    steps: [
      ["r1.bias=2", "A254/B"],
      ["r1.bias=-1", "B/A200"],
      ["r1.bias=-2 r2.bias=-1", "F/A1"],
    ],
  },
  {
    title: "file: -254 forbids Active",
    trackers: FILE,
    instances: one([200, 100], [{ tracker: "bias" }]),
    begins: "A200/B",
    steps: [
      ["r1.bias=-254", "F/A100"],
      ["r2.bias=-254", "F/F"],
      ["r1.bias=0", "A200/F"],
      ["r2.bias=0", "A200/B"],
    ],
  },
  {
    title: "file: with weight 0 any number is a failure",
    trackers: FILE,
    instances: one([200, 100], [{ tracker: "bias", weight: 0 }]),
    begins: "A200/B",
    steps: [
      ["r1.bias=1", "F/A100"],
      ["r1.bias=0", "A200/B"],
    ],
  },
  {
    title: "file: with weight 0 and reverse, 0 is the failure",
    trackers: { bias: { kind: "file", initially: ["1", "1"] } },
    instances: one([200, 100], [{ tracker: "bias", weight: 0, reverse: true }]),
    begins: "A200/B",
    steps: [
      ["r1.bias=0", "F/A100"],
      ["r1.bias=7", "A200/B"],
    ],
  },
  {
    title: "file: -254 at the start",
    trackers: { bias: { kind: "file", initially: ["-254", "0"] } },
    instances: one([200, 100], [{ tracker: "bias" }]),
    begins: "F/A100",
    steps: [["r1.bias=0", "A200/B"]],
  },
  {
    title: "the owner of the addresses keeps 255, and may be forbidden",
    trackers: FILE,
    instances: one([255, 100], [{ tracker: "bias", weight: 0 }]),
    begins: "A255/B",
    steps: [
      ["r1.bias=1", "F/A100"],
      ["r1.bias=0", "A255/B"],
    ],
  },
];

const INTERFACES: readonly Scenario[] = [
  {
    title: "interface: without weight it forbids Active",
    trackers: LINK,
    instances: one([150, 100], [{ tracker: "wan" }]),
    begins: "A150/B",
    steps: [
      ["r1.wan=down", "F/A100"],
      ["r2.wan=down", "F/F"],
      ["r1.wan=up r2.wan=up", "A150/B"],
    ],
  },
  {
    title: "interface: a negative weight counts while it is down",
    trackers: LINK,
    instances: one([150, 100], [{ tracker: "wan", weight: -60 }]),
    begins: "A150/B",
    steps: [
      ["r1.wan=down", "B/A100"],
      ["r2.wan=down", "A90/B"],
      ["r1.wan=up r2.wan=up", "A150/B"],
    ],
  },
  {
    title: "interface: a positive weight counts while it is up",
    trackers: LINK,
    instances: one([100, 110], [{ tracker: "wan", weight: 20 }]),
    begins: "B/A130",
    steps: [
      ["r2.wan=down", "A120/B"],
      ["r1.wan=down", "B/A110"],
      ["r1.wan=up r2.wan=up", "B/A130"],
    ],
  },
  {
    title: "interface: a positive weight reversed is taken off while it is up",
    trackers: LINK,
    instances: one([150, 140], [{ tracker: "wan", weight: 20, reverse: true }]),
    begins: "A130/B",
    steps: [
      ["r2.wan=down", "B/A140"],
      ["r1.wan=down", "A150/B"],
    ],
  },
  {
    title: "interface: a negative weight reversed is added while it is down",
    trackers: LINK,
    instances: one([150, 140], [{ tracker: "wan", weight: -20, reverse: true }]),
    begins: "A150/B",
    steps: [
      ["r2.wan=down", "B/A160"],
      ["r1.wan=down", "A170/B"],
    ],
  },
  {
    title: "interface: reversed without weight, up forbids",
    trackers: { wan: { kind: "interface", initially: ["down", "down"] } },
    instances: one([150, 100], [{ tracker: "wan", weight: 0, reverse: true }]),
    begins: "A150/B",
    steps: [
      ["r1.wan=up", "F/A100"],
      ["r1.wan=down", "A150/B"],
    ],
  },
  {
    title: "interface: down at the start",
    trackers: { wan: { kind: "interface", initially: ["down", "up"] } },
    instances: one([150, 100], [{ tracker: "wan" }]),
    begins: "F/A100",
    steps: [["r1.wan=up", "A150/B"]],
  },
  {
    title: "interface: clamped at 1, and a tie goes to the higher address",
    trackers: LINK,
    instances: one([150, 100], [{ tracker: "wan", weight: -253 }]),
    begins: "A150/B",
    steps: [
      ["r1.wan=down", "B/A100"],
      ["r2.wan=down", "B/A1"],
    ],
  },
  {
    title: "the line of the virtual router itself",
    instances: one([150, 100], [], { lan: 1 }),
    begins: "A150/B",
    steps: [
      ["r1.lan1=down", "F/A100"],
      ["r2.lan1=down", "F/F"],
      ["r1.lan1=up", "A150/F"],
      ["r2.lan1=up", "A150/B"],
    ],
  },
  {
    title: "two causes: well again only when both are gone",
    trackers: LINK,
    instances: one([150, 100], [{ tracker: "wan" }], { lan: 2 }),
    begins: "A150/B",
    steps: [
      ["r1.lan2=down r1.wan=down", "F/A100"],
      ["r1.lan2=up", "F/A100"],
      ["r1.wan=up", "A150/B"],
    ],
  },
];

const SCRIPTS: readonly Scenario[] = [
  {
    title: "script: without weight it forbids Active",
    trackers: SCRIPT,
    instances: one([150, 100], [{ tracker: "check" }]),
    begins: "A150/B",
    steps: [
      ["r1.check=1", "F/A100"],
      ["r1.check=0", "A150/B"],
    ],
  },
  {
    title: "script: fall and rise, negative weight",
    trackers: { check: { kind: "script", fall: 2, rise: 2 } },
    instances: one([150, 100], [{ tracker: "check", weight: -60 }]),
    begins: "A150/B",
    steps: [
      ["r1.check=1", "B/A100"],
      ["r1.check=0", "A150/B"],
    ],
  },
  {
    title: "script: positive weight, failing at the start",
    trackers: { check: { kind: "script", initially: ["1", "0"] } },
    instances: one([100, 100], [{ tracker: "check", weight: 20 }]),
    begins: "B/A120",
    steps: [
      ["r2.check=1", "B/A100"],
      ["r1.check=0", "A120/B"],
    ],
  },
  {
    title: "script: failing at the start forbids, whatever fall says",
    trackers: { check: { kind: "script", fall: 3, rise: 2, initially: ["1", "0"] } },
    instances: one([150, 100], [{ tracker: "check" }]),
    begins: "F/A100",
    steps: [["r1.check=0", "A150/B"]],
  },
  {
    title: "script: a negative weight reversed is added while it fails",
    trackers: SCRIPT,
    instances: one([100, 110], [{ tracker: "check", weight: -30, reverse: true }]),
    begins: "B/A110",
    steps: [
      ["r1.check=1", "A130/B"],
      ["r2.check=7", "B/A140"],
      ["r1.check=0 r2.check=0", "B/A110"],
    ],
  },
  {
    title: "script: reversed without weight, success forbids",
    trackers: { check: { kind: "script", initially: ["1", "1"] } },
    instances: one([150, 100], [{ tracker: "check", weight: 0, reverse: true }]),
    begins: "A150/B",
    steps: [
      ["r1.check=0", "F/A100"],
      ["r1.check=3", "A150/B"],
    ],
  },
];

const SEVERAL = { wan: { kind: "interface" }, bias: { kind: "file" }, check: { kind: "script" } } as const;

const TOGETHER: readonly Scenario[] = [
  {
    title: "three trackers add up",
    trackers: SEVERAL,
    instances: one(
      [150, 145],
      [
        { tracker: "wan", weight: -10 },
        { tracker: "bias", weight: 2 },
        { tracker: "check", weight: 30 },
      ],
    ),
    begins: "A180/B",
    steps: [
      ["r1.wan=down", "B/A175"],
      ["r1.bias=10", "A190/B"],
      ["r1.check=1", "B/A175"],
      ["r2.check=1", "A160/B"],
    ],
  },
  {
    title: "the sum is clamped, not its parts",
    trackers: SEVERAL,
    instances: one(
      [200, 100],
      [
        { tracker: "bias", weight: 1 },
        { tracker: "wan", weight: -100 },
      ],
    ),
    begins: "A200/B",
    steps: [
      ["r1.bias=100", "A254/B"],
      ["r1.wan=down", "A200/B"],
      ["r1.bias=-150", "B/A100"],
    ],
  },
  {
    title: "a fault goes before all weights",
    trackers: SEVERAL,
    instances: one([150, 100], [{ tracker: "bias" }, { tracker: "wan" }]),
    begins: "A150/B",
    steps: [
      ["r1.wan=down r1.bias=100", "F/A100"],
      ["r1.wan=up", "A250/B"],
    ],
  },
  {
    title: "no preemption: a better Backup waits",
    // Whoever was held up for Active_Down_Interval would have lost its role for good.
    intervalS: 2,
    trackers: FILE,
    instances: one([150, 100], [{ tracker: "bias" }], { preempt: false }),
    begins: "A150/B",
    steps: [
      ["r2.bias=100", "A150/B"],
      ["r1.bias=-254", "F/A200"],
      ["r1.bias=100", "B/A200"],
    ],
  },
  {
    title: "version 2",
    version: 2,
    trackers: LINK,
    instances: one([150, 100], [{ tracker: "wan", weight: -60 }]),
    begins: "A150/B",
    steps: [
      ["r1.wan=down", "B/A100"],
      ["r1.wan=up", "A150/B"],
    ],
  },
  {
    title: "IPv6",
    family: "ipv6",
    trackers: { bias: { kind: "file" }, wan: { kind: "interface" } },
    instances: one([150, 100], [{ tracker: "bias" }, { tracker: "wan" }]),
    begins: "A150/B",
    steps: [
      ["r1.bias=-60", "B/A100"],
      ["r2.wan=down", "A90/F"],
    ],
  },
];

const pair = (follows: readonly Follows[] = [], lan = 0): readonly Instance[] => [
  { priorities: [150, 100], follows, lan },
  { priorities: [150, 100] },
];

const GROUPS: readonly Scenario[] = [
  {
    title: "sync group: one member's tracker without weight takes all to fault",
    trackers: LINK,
    instances: pair([{ tracker: "wan" }]),
    group: {},
    begins: "A150/B A150/B",
    steps: [
      ["r1.wan=down", "F/A100 F/A100"],
      ["r1.wan=up", "A150/B A150/B"],
    ],
  },
  {
    title: "sync group: one member's line",
    instances: pair([], 3),
    group: {},
    begins: "A150/B A150/B",
    steps: [
      ["r1.lan3=down", "F/A100 F/A100"],
      ["r2.lan3=down", "F/F F/F"],
      ["r1.lan3=up r2.lan3=up", "A150/B A150/B"],
    ],
  },
  {
    title: "sync group: weights of the group move all",
    trackers: SCRIPT,
    instances: pair(),
    group: { follows: [{ tracker: "check", weight: -60 }] },
    begins: "A150/B A150/B",
    steps: [
      ["r1.check=1", "B/A100 B/A100"],
      ["r1.check=0", "A150/B A150/B"],
    ],
  },
  {
    title: "sync group: a tracker of the group without weight",
    trackers: FILE,
    instances: pair(),
    group: { follows: [{ tracker: "bias", weight: 0 }] },
    begins: "A150/B A150/B",
    steps: [
      ["r1.bias=1", "F/A100 F/A100"],
      ["r1.bias=0", "A150/B A150/B"],
    ],
  },
];

export const SCENARIOS: readonly Scenario[] = [...FILES, ...INTERFACES, ...SCRIPTS, ...TOGETHER, ...GROUPS];
