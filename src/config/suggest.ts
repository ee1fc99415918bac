/** What somebody who mistyped a word may have meant. */

/** What other programs call a key of ours, in lower case without separators. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  virtualrouterid: "vrid",
  vrrpid: "vrid",
  id: "vrid",
  dev: "interface",
  iface: "interface",
  ifname: "interface",
  prio: "priority",
  virtualipaddress: "addresses",
  ip: "addresses",
  vip: "addresses",
  vips: "addresses",
  advertint: "advertisementInterval",
  interval: "advertisementInterval",
  vrrpversion: "version",
  preemptmode: "preempt",
  acceptmode: "accept",
  usevmac: "virtualMac",
  vmac: "virtualMac",
  auth: "authentication",
  authpass: "password",
  authtype: "type",
  unicastpeer: "peers",
  unicastsrcip: "source",
  trackinterface: "track",
  trackscript: "track",
  trackfile: "track",
  trackprocess: "track",
  trackbfd: "track",
  notifymaster: "notify",
  notifybackup: "notify",
  notifyfault: "notify",
  notifystop: "notify",
  vrrpstartupdelay: "startupDelay",
  syncgroup: "syncGroup",
  vrrpsyncgroup: "syncGroups",
  vrrpscript: "trackers",
  vrrptrackfile: "trackers",
  vrrptrackprocess: "trackers",
  vrrpinstance: "virtualRouters",
  instances: "virtualRouters",
  routers: "virtualRouters",
};

/** Words that no key stands for: what to write, where `key` is known. */
const INSTEAD: Readonly<Record<string, { readonly key: string; readonly advice: string }>> = {
  state: { key: "priority", advice: "there is no initial state, the highest priority becomes Active" },
  nopreempt: { key: "preempt", advice: "write preempt: false" },
  noaccept: { key: "accept", advice: "write accept: false" },
  shutdown: { key: "preempt", advice: "leave the entry out, or `firsthop drain` it at run time" },
};

/** What to write in place of an unknown key, if that can be told. */
export function meant(key: string, known: readonly string[]): string | null {
  const plain = key.toLowerCase().replace(/[_.-]/g, "");
  const instead = Object.hasOwn(INSTEAD, plain) ? INSTEAD[plain] : undefined;
  if (instead && known.includes(instead.key)) return instead.advice;
  const elsewhere = Object.hasOwn(ELSEWHERE, plain) ? ELSEWHERE[plain] : undefined;
  const word = elsewhere && known.includes(elsewhere) ? elsewhere : closest(key, known);
  return word === null || word === undefined ? null : `did you mean ${word}?`;
}

/** Words longer than this are not compared. */
const WORD_MAX = 64;

/** The closest of `words`, if it is close: at most a third of its letters differ. */
export function closest(word: string, words: readonly string[]): string | null {
  if (word.length > WORD_MAX) return null;
  let best: string | null = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of words) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance && distance <= Math.max(2, Math.floor(candidate.length / 3))) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions and replacements between two words (Levenshtein). */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (previous[column - 1] as number) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] as number) + 1, (current[column - 1] as number) + 1));
    }
    previous = current;
  }
  return previous[b.length] as number;
}
