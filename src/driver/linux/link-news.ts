/**
 * Links and addresses: a picture of the kernel's that is kept up to date, and the differences as they happen. When
 * news got lost for want of room, the picture is taken anew and what differs is reported.
 */
import { setTimeout as delay } from "node:timers/promises";
import type {
  AddressRow,
  LinkRow,
  NativeNetlinkApi,
  NetlinkMonitor,
  NetlinkNews,
} from "../../native/netlink.js";
import type { AddressInfo, KernelNews, LinkInfo, MacvlanMode } from "../driver.js";

export interface LinkFollower {
  /** The picture as it is now; from then on each difference is reported. */
  snapshot(): Promise<{ readonly links: readonly LinkInfo[]; readonly addresses: readonly AddressInfo[] }>;
  close(): void;
}

const RETRY_MS = 50;

export function followLinks(native: NativeNetlinkApi, onNews: (news: KernelNews) => void): LinkFollower {
  const socket = new native.NetlinkSocket();
  const links = new Map<number, LinkInfo>();
  const addresses = new Map<string, AddressInfo>();
  /** The last word on each link and address since a dump began, in order of the words; null: live. */
  let pending: Map<string, NetlinkNews> | null = null;
  let lostAgain = false;
  let monitor: NetlinkMonitor | null = null;
  let closed = false;
  let first: Promise<void> | null = null;

  const apply = (news: NetlinkNews, report: (news: KernelNews) => void): void => {
    if ("link" in news) {
      const link = toLinkInfo(news.link);
      if (!news.gone) {
        if (sameFields(links.get(link.ifindex), link)) return;
        links.set(link.ifindex, link);
        report({ type: "link", link });
      } else if (links.delete(link.ifindex)) {
        for (const [key, address] of addresses) if (address.ifindex === link.ifindex) addresses.delete(key);
        report({ type: "linkGone", ifindex: link.ifindex, name: link.name });
      }
      return;
    }
    const address = toAddressInfo(news.address);
    const key = addressKey(address);
    if (news.gone) {
      if (addresses.delete(key)) report({ type: "addressGone", address });
    } else if (!sameFields(addresses.get(key), address)) {
      addresses.set(key, address);
      report({ type: "address", address });
    }
  };

  const takePicture = async (report: (news: KernelNews) => void): Promise<void> => {
    do {
      lostAgain = false;
      pending = new Map();
      const [linkRows, addressRows] = await Promise.all([socket.dump("links"), socket.dump("addresses")]);
      for (const news of differences(links, addresses, linkRows, addressRows)) apply(news, report);
    } while (lostAgain);
    // Words older than the dump are harmless: only the last one on each thing is taken, and it holds in any case.
    const words = [...pending.values()];
    pending = null;
    for (const news of words) apply(news, report);
  };

  const resync = async (): Promise<void> => {
    while (!closed) {
      try {
        await takePicture(onNews);
        return;
      } catch {
        // The kernel was too busy for a dump that fits together; nothing is lost by asking again.
        await delay(RETRY_MS);
      }
    }
  };

  const hear = (news: readonly NetlinkNews[], complete: boolean): void => {
    if (pending) {
      for (const one of news) {
        const key = newsKey(one);
        pending.delete(key);
        pending.set(key, one);
      }
      if (!complete) lostAgain = true;
      return;
    }
    for (const one of news) apply(one, onNews);
    if (!complete) void resync();
  };

  return {
    async snapshot() {
      first ??= (async () => {
        pending = new Map();
        monitor = new native.NetlinkMonitor(hear);
        await takePicture(() => undefined);
      })();
      await first;
      return { links: [...links.values()], addresses: [...addresses.values()] };
    },
    close() {
      closed = true;
      monitor?.close();
      monitor = null;
      socket.close();
    },
  };
}

/** What leads from the known picture to the dumped one, as news. */
function differences(
  links: ReadonlyMap<number, LinkInfo>,
  addresses: ReadonlyMap<string, AddressInfo>,
  linkRows: readonly LinkRow[],
  addressRows: readonly AddressRow[],
): NetlinkNews[] {
  const present = new Set(linkRows.map((row) => row.ifindex));
  const assigned = new Set(addressRows.map((row) => addressKey(row)));
  const news: NetlinkNews[] = [];
  for (const [key, address] of addresses) {
    if (!assigned.has(key)) news.push({ gone: true, address: { ...address, origin: 0 } });
  }
  for (const link of links.values()) {
    if (!present.has(link.ifindex)) news.push({ gone: true, link: { ...link, ...UNSEEN } });
  }
  for (const link of linkRows) news.push({ gone: false, link });
  for (const address of addressRows) news.push({ gone: false, address });
  return news;
}

/** Fields of a row that LinkInfo leaves out. */
const UNSEEN = { slaveKind: null, group: 0, macvlanMode: 0, vrfTable: null };

/** linux/if_link.h: enum macvlan_mode. */
const MACVLAN_MODES: Readonly<Record<number, MacvlanMode>> = {
  1: "private",
  2: "vepa",
  4: "bridge",
  8: "passthru",
  16: "source",
};

function toLinkInfo(row: LinkRow): LinkInfo {
  const { ifindex, name, mac, mtu, adminUp, carrier, kind, parentIfindex, masterIfindex, alias } = row;
  const macvlanMode = MACVLAN_MODES[row.macvlanMode] ?? null;
  return {
    ifindex,
    name,
    mac,
    mtu,
    adminUp,
    carrier,
    kind,
    parentIfindex,
    masterIfindex,
    alias,
    macvlanMode,
  };
}

function toAddressInfo(row: AddressRow): AddressInfo {
  const { ifindex, address, prefixLength, family, tentative, secondary } = row;
  return { ifindex, address, prefixLength, family, tentative, secondary };
}

function addressKey(address: Pick<AddressInfo, "ifindex" | "address" | "prefixLength">): string {
  return `${address.ifindex}/${address.address}/${address.prefixLength}`;
}

function newsKey(news: NetlinkNews): string {
  return "link" in news ? `link ${news.link.ifindex}` : addressKey(news.address);
}

/** Whether two flat objects with the same keys are equal. */
function sameFields<Fields extends object>(a: Fields | undefined, b: Fields): boolean {
  if (!a) return false;
  return (Object.keys(b) as (keyof Fields)[]).every((key) => a[key] === b[key]);
}
