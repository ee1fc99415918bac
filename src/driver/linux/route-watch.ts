/**
 * Routes to the prefixes that trackers follow. The kernel's news only tell when to look again: it takes routes away
 * without a word when a device goes down or a next hop object is removed, so what is there is always read from the
 * tables. What hangs on a line that just failed is left out at once, before the tables were read.
 */
import type { NativeRoutesApi, RouteWatch } from "../../native/routes.js";
import type { KernelNews, RouteInfo } from "../driver.js";

export interface RouteFollower {
  watch(prefix: string, onRoutes: (routes: readonly RouteInfo[]) => void): () => void;
  /** Links and addresses changed: routes may have gone or come with them. */
  hear(news: KernelNews): void;
  close(): void;
}

/** A link's news come while the kernel is still at work on its routes. */
const AFTER_LINK_NEWS_MS = 20;
const RETRY_MS = 50;

interface Follower {
  readonly prefix: string;
  readonly onRoutes: (routes: readonly RouteInfo[]) => void;
}

export function followRoutes(native: NativeRoutesApi): RouteFollower {
  const followers = new Set<Follower>();
  let watch: RouteWatch | null = null;
  /** Null: not read yet. */
  let known: readonly RouteInfo[] | null = null;
  let reading = false;
  let again = false;
  let timer: NodeJS.Timeout | null = null;

  const tell = (routes: readonly RouteInfo[]): void => {
    known = routes;
    for (const one of [...followers]) one.onRoutes(routes.filter((route) => route.prefix === one.prefix));
  };
  const read = async (): Promise<void> => {
    if (reading) {
      again = true;
      return;
    }
    reading = true;
    do {
      again = false;
      try {
        const routes = (await watch?.dump()) ?? [];
        if (watch && !again) tell(routes);
      } catch {
        // The tables change faster than they can be read.
        readSoon(RETRY_MS);
      }
    } while (again && watch);
    reading = false;
  };
  const readSoon = (afterMs: number): void => {
    if (!watch || timer) return;
    timer = setTimeout(() => {
      timer = null;
      void read();
    }, afterMs);
  };
  const setPrefixes = (): void => {
    watch?.setPrefixes([...new Set([...followers].map((one) => one.prefix))]);
  };
  const stop = (): void => {
    if (timer) clearTimeout(timer);
    timer = null;
    watch?.close();
    watch = null;
    known = null;
  };

  return {
    watch(prefix, onRoutes) {
      const follower = { prefix, onRoutes };
      followers.add(follower);
      watch ??= new native.RouteWatch(() => void read());
      setPrefixes();
      void read();
      return () => {
        followers.delete(follower);
        setPrefixes();
        if (followers.size === 0) stop();
      };
    },
    hear(news) {
      if (!watch) return;
      readSoon(AFTER_LINK_NEWS_MS);
      const dead = deadLink(news);
      if (dead === null || !known) return;
      const left = known.map((route) => ({
        ...route,
        nextHops: route.nextHops.filter((hop) => hop.ifindex !== dead),
      }));
      if (left.some((route, at) => route.nextHops.length !== known?.[at]?.nextHops.length)) tell(left);
    },
    close() {
      followers.clear();
      stop();
    },
  };
}

function deadLink(news: KernelNews): number | null {
  if (news.type === "linkGone") return news.ifindex;
  if (news.type !== "link") return null;
  return news.link.adminUp && news.link.carrier ? null : news.link.ifindex;
}
