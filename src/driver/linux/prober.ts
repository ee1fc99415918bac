/** The native prober behind the driver seam. Its thread begins with the first thing that it has to do. */
import { canonicalIp } from "../../core/address.js";
import type { NativeProber, NativeProberApi } from "../../native/prober.js";
import type { ProbeNews, Prober, Sighting } from "../prober.js";

export interface LinuxProber extends Prober {
  close(): void;
}

const NOTHING = {
  sent: 0,
  answered: 0,
  timeouts: 0,
  errors: 0,
  answeredAtUs: null,
  roundTripUs: null,
  mac: null,
};

export function openLinuxProber(load: () => NativeProberApi): LinuxProber {
  const listeners = new Map<number, (news: ProbeNews) => void>();
  const followers = new Map<number, (seen: Sighting) => void>();
  let opened: NativeProber | null = null;
  let closed = false;

  const native = (): NativeProber => {
    const { NativeProber } = load();
    opened ??= new NativeProber(
      (reports) => {
        for (const report of reports) listeners.get(report.target)?.(report);
      },
      (sightings) => {
        for (const { follower, address, mac } of sightings) {
          followers.get(follower)?.({ address: canonicalIp(address) ?? address, mac });
        }
      },
    );
    return opened;
  };

  return {
    probe(target, onNews) {
      const number = native().add(target);
      listeners.set(number, onNews);
      return {
        changeSource: (source) => void (closed || opened?.changeSource(number, source)),
        counts: () => (closed ? null : opened?.counters(number)) ?? NOTHING,
        end() {
          if (listeners.delete(number) && !closed) opened?.remove(number);
        },
      };
    },
    followNeighbours(interfaceName, onSighting) {
      const number = native().follow(interfaceName);
      followers.set(number, onSighting);
      return () => {
        if (followers.delete(number) && !closed) opened?.unfollow(number);
      };
    },
    refresh: () => void (closed || opened?.refresh()),
    close() {
      closed = true;
      opened?.close();
    },
  };
}
