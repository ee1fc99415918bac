/** Where the filter hooks in, and what becomes of its slots, with an addon that only takes notes. */
import { describe, expect, it } from "vitest";
import {
  awaitSuccessors,
  type GroupRequest,
  openOwnershipFilter,
} from "../../../src/driver/linux/ownership.js";
import type {
  FoundOwnership,
  NativeOwnership,
  NativeOwnershipApi,
  OwnershipHook,
} from "../../../src/native/ownership.js";

const TOKEN = "0000002a";

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}

interface Notes {
  readonly native: NativeOwnershipApi;
  readonly attached: OwnershipHook[];
  readonly groups: Map<number, string>;
}

function notes(more: Partial<NativeOwnership> = {}, api: Partial<NativeOwnershipApi> = {}): Notes {
  const attached: OwnershipHook[] = [];
  const groups = new Map<number, string>();
  const table = {
    attach: (_: number, hook: OwnershipHook) => {
      attached.push(hook);
      return hook;
    },
    detach: () => undefined,
    setGroup: (slot: number, { mac }: { readonly mac: string }) => void groups.set(slot, mac),
    removeGroup: (slot: number) => void groups.delete(slot),
    ...more,
  } as unknown as NativeOwnership;
  const native = { openOwnership: () => table, adoptOwnership: () => table, findOwnership: () => [], ...api };
  return { native: native as unknown as NativeOwnershipApi, attached, groups };
}

const request = (more: Partial<GroupRequest> = {}): GroupRequest => ({
  parentIfindex: 2,
  parentKind: null,
  hasVlans: false,
  mac: "00:00:5e:00:01:0a",
  addresses: [],
  ...more,
});

describe("the hook that is found", () => {
  it.each<[string, Partial<GroupRequest>, readonly OwnershipHook[]]>([
    ["native XDP on hardware", {}, ["xdp"]],
    ["tc on hardware with VLAN interfaces", { hasVlans: true }, ["tc"]],
    ["tc on a virtual device", { parentKind: "veth" }, ["tc"]],
  ])("is %s", (_, more, hooks) => {
    const { native, attached } = notes();
    const lease = openOwnershipFilter(native, "auto", TOKEN).place(request(more));
    expect(lease?.slot).toBe(1);
    expect(attached).toEqual(hooks);
  });
});

describe("a slot", () => {
  it("is used again after a group that was refused, and after one that went", () => {
    let refuses = true;
    const { native, groups } = notes({
      setGroup: (slot: number, { mac }) => {
        if (refuses) throw failure("EEXIST");
        groups.set(slot, mac);
      },
    });
    const filter = openOwnershipFilter(native, "tc", TOKEN);
    expect(() => filter.place(request())).toThrow("EEXIST");
    refuses = false;
    const [one, two] = [filter.place(request()), filter.place(request({ mac: "00:00:5e:00:01:0b" }))];
    expect([one?.slot, two?.slot]).toEqual([1, 2]);
    if (one) filter.remove([one]);
    expect(filter.place(request({ mac: "00:00:5e:00:01:0c" }))?.slot).toBe(1);
    expect([...groups.keys()].sort()).toEqual([1, 2]);
  });

  it("is refused in words when there is none left", () => {
    const { native } = notes();
    const filter = openOwnershipFilter(native, "tc", TOKEN);
    for (let count = 1; count < 8192; count++) filter.place(request());
    expect(() => filter.place(request())).toThrow(/room for 8191 virtual routers/);
  });
});

describe("looking whether the filter stands", () => {
  const [program, lost] = [{ ifindex: 2, place: "tcx-ingress", programId: 7 } as const, { ifindex: 2 }];
  const mended: number[] = [];
  const watch = (there: unknown) => {
    mended.length = 0;
    const mend = (ifindex: number) => [mended.push(ifindex), lost] as never;
    const listPrograms = async () => [there] as never;
    const filter = openOwnershipFilter(
      notes({ mend, attached: () => [program] }, { listPrograms }).native,
      "tc",
      TOKEN,
    );
    filter.place(request());
    return filter;
  };

  it("costs the JavaScript thread no question to the kernel while it does", async () => {
    expect(await watch([{ ifindex: 2, place: "tcx-egress", programId: 6 }, program]).mend()).toEqual([]);
    expect(await watch(null).mend()).toEqual([]);
    expect(mended).toEqual([]);
  });

  it("puts back what is missing, and what another program took the place of", async () => {
    for (const there of [[], [{ ...program, programId: 8 }], [{ ...program, place: "tcx-egress" }]]) {
      expect(await watch(there).mend()).toEqual([{ ifindex: 2, outcome: "put back" }]);
      expect(mended).toEqual([2]);
    }
  });
});

describe("the process that goes on", () => {
  const found = { tableId: 7, abi: 1, token: 42, yields: 0, groups: [], attached: [] } as FoundOwnership;
  const status = { hook: "tc", detail: null } as const;
  const inherited = (ifindex: number) => ({
    attachments: [{ ifindex, status, parentKind: null, hasVlans: false, slots: [1, 3] }],
  });

  it("goes on with the slots", () => {
    const { native } = notes({}, { findOwnership: () => [found] });
    const filter = openOwnershipFilter(native, "tc", TOKEN, inherited(2));
    expect(filter.inheritance(new Set([2]))).toEqual(inherited(2));
    expect(filter.place(request())?.slot).toBe(2);
    expect(filter.place(request({ mac: "00:00:5e:00:01:0b" }))?.slot).toBe(4);
  });

  it("hears nothing of interfaces that are gone", () => {
    const { native } = notes();
    const filter = openOwnershipFilter(native, "tc", TOKEN);
    filter.place(request());
    filter.place(request({ parentIfindex: 3 }));
    expect(filter.inheritance(new Set([3])).attachments.map(({ ifindex }) => ifindex)).toEqual([3]);
    expect(openOwnershipFilter(native, "tc", TOKEN, { attachments: [] }).place(request())?.slot).toBe(1);
  });

  it("says in words why it can't", () => {
    const open = (api: Partial<NativeOwnershipApi>) => () =>
      openOwnershipFilter(notes({}, api).native, "tc", TOKEN, inherited(2));
    expect(open({})).toThrow(expect.objectContaining({ code: "KERNEL_REFUSED" }));
    const adoptOwnership = (): never => {
      throw failure("ENOTSUP");
    };
    expect(open({ findOwnership: () => [found], adoptOwnership })).toThrow(/another version's/);
  });
});

describe("a dead daemon's successor", () => {
  const nowUs = (): number => Number(process.hrtime.bigint() / 1000n);
  const deadWith = (lease: object): FoundOwnership => {
    const groups = [{ slot: 1, ifindex: 2, vlans: [], mac: "", lease }];
    const attached = [{ ifindex: 2, place: "tcx-ingress", programId: 1 }];
    return { tableId: 1, abi: 1, token: 42, yields: 0, groups, attached } as unknown as FoundOwnership;
  };
  const links = [{ ifindex: 1 }, { ifindex: 2 }];

  it("is given its time, and no more than until it has come", async () => {
    const asked: (readonly number[])[] = [];
    const renewedUs = nowUs();
    const { native } = notes(
      {},
      {
        findOwnership: (ifindexes) => {
          asked.push(ifindexes);
          return [deadWith({ owner: asked.length < 4, renewedUs, overdueUs: 15_000_000 })];
        },
      },
    );
    await awaitSuccessors(native, links, () => false);
    expect(asked).toEqual([[1, 2], [2], [2], [2]]);
  });

  it("is not awaited for ever, nor where nobody forwards, nor beside a daemon that lives", async () => {
    const leases = [
      { owner: true, renewedUs: nowUs(), overdueUs: 15_000 },
      { owner: false, renewedUs: nowUs(), overdueUs: 15_000_000 },
    ];
    for (const lease of leases) {
      const { native } = notes({}, { findOwnership: () => [deadWith(lease)] });
      await awaitSuccessors(native, links, () => false);
    }
    const living = deadWith({ owner: true, renewedUs: nowUs(), overdueUs: 15_000_000 });
    await awaitSuccessors(notes({}, { findOwnership: () => [living] }).native, links, () => true);
  });
});
