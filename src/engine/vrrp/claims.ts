/**
 * Claims that nobody has made yet. When an Active dies, the Backups' deadlines pass one after the other: with an interval
 * of 10 ms, some hundred microseconds lie between two of them, and JavaScript needs milliseconds to hear the one who was
 * faster. So a Backup's automaton knows the advertisement of whoever has as much priority as it takes, before it was
 * heard. It does nothing about it but put the deadline off, and call its turn off, whoever sent it; JavaScript hears it
 * as well, judges it in full, and makes the step.
 */
import type { FramePattern, Operation, PortId } from "../../core/automaton.js";
import { GROUP_ADDRESS, GROUP_MAC, PRIORITY_OWNER, PRIORITY_RELEASE } from "../../core/vrrp/advertisement.js";
import { advertisementOfAny } from "../../core/vrrp/any-sender.js";
import {
  type BackupState,
  step,
  timersOf,
  VRRP_TIMERS,
  type VrrpEffect,
  type VrrpSettings,
  type VrrpState,
  type VrrpTimer,
} from "../../core/vrrp/machine.js";
import { encodeAdvertisementFrame, readVrrpFrame } from "../../core/vrrp/packet.js";
import type { Meanwhile } from "../automaton/compile.js";

/** What claims are made of here. */
export interface ClaimsInput {
  readonly settings: VrrpSettings;
  readonly vrid: number;
  /** The interface's own MAC; what stands in its place is not compared. */
  readonly interfaceMac: string;
  readonly authType: number;
  readonly authData: Uint8Array;
  readonly lanPort: PortId;
  readonly unicast: { readonly peers: readonly string[] } | null;
  /** Whom a BFD session watches. */
  readonly bfd: { readonly address: string } | null;
}

/** In what claims differ without naming another priority or sender. */
interface Kind {
  readonly addresses: number;
  readonly intervalUs: number;
}

/** What a Backup does about a claim. */
type Answer = Pick<Meanwhile<VrrpState>, "meanwhile" | "until">;

/** Nobody sends from there, and nobody's address is lower. */
const NOBODY = { ipv4: "0.0.0.0", ipv6: "::" } as const;

/**
 * The turn after a failure that BFD saw. The only timer that is called off without JavaScript: the next failure brings
 * another turn, while others would be waited for in vain if JavaScript never heard why they do not run.
 */
const TURN: VrrpTimer = "rank";

/**
 * So many kinds are expected, this router's own first: routers of one group are configured alike, and whoever forges
 * peers must not multiply what is compiled, nor what each unknown frame is compared with.
 */
const KINDS_MAX = 3;

/** For one automaton. */
export class Claims {
  readonly #input: ClaimsInput;
  readonly #kinds: readonly Kind[];
  readonly #patterns = new Map<string, readonly FramePattern[]>();
  readonly #transitionsOf = new Map<string, readonly Meanwhile<VrrpState>[]>();
  /** The priority from which on the last state answered: most often the next one's, too. */
  #least = PRIORITY_OWNER;

  /** They are expected as this router would make them, and as those do whose frames are known. */
  constructor(
    input: ClaimsInput,
    known: readonly { readonly frame: Uint8Array; readonly intervalUs: number }[],
  ) {
    this.#input = input;
    const { version, addresses, intervalUs } = input.settings;
    const own: Kind = { addresses: addresses.length, intervalUs };
    const theirs = known.map(({ frame, intervalUs: learnedUs }) => ({
      addresses: readVrrpFrame(frame)?.message?.count ?? addresses.length,
      // Version 2 learns no interval, and refuses another one.
      intervalUs: version === 3 ? learnedUs : intervalUs,
    }));
    this.#kinds = [
      ...new Map([own, ...theirs].map((kind) => [`${kind.addresses}/${kind.intervalUs}`, kind])).values(),
    ].slice(0, KINDS_MAX);
  }

  foresee(state: VrrpState): readonly Meanwhile<VrrpState>[] {
    if (state.name !== "backup") return [];
    return this.#kinds.flatMap((kind) => {
      const answer = this.#answer(state, kind.intervalUs);
      if (!answer) return [];
      const priority = this.#leastOf(state, kind.intervalUs, answer);
      return this.#transitions(kind, priority, answer);
    });
  }

  /** Shared between states: most of them answer alike. */
  #transitions(kind: Kind, priority: number, answer: Answer): readonly Meanwhile<VrrpState>[] {
    return remembered(this.#transitionsOf, JSON.stringify([kind, priority, answer]), () =>
      this.#patternsOf(kind, priority).map((pattern) => ({ trigger: { on: "pattern", pattern }, ...answer })),
    );
  }

  /** The priority from which on claims are answered like the highest: who is, all above are, too. */
  #leastOf(state: BackupState, intervalUs: number, highest: Answer): number {
    const wanted = JSON.stringify(highest);
    const isAnswered = (priority: number): boolean =>
      JSON.stringify(this.#answer(state, intervalUs, priority)) === wanted;
    if (!isLeast(this.#least, isAnswered)) this.#least = leastThat(isAnswered);
    return this.#least;
  }

  /** What a claim does to timers; null where it does more, which must not be done without JavaScript. */
  #answer(state: BackupState, intervalUs: number, priority = PRIORITY_OWNER): Answer | null {
    const { settings, bfd } = this.#input;
    const source = NOBODY[settings.family];
    const made = step(settings, state, { type: "advertisement", source, priority, intervalUs });
    if (made.state.name !== "backup") return null;
    const meanwhile: Operation[] = [];
    for (const effect of made.effects) {
      if (effect.effect === "arm") meanwhile.push(armOperation(effect));
      else if (effect.effect === "cancel" && effect.timer === TURN) meanwhile.push(cancelOperation(effect));
      else if (effect.effect !== "count") return null; // JavaScript counts
    }
    const awaited = (of: VrrpState): string =>
      timersOf(settings, of)
        .filter((timer) => timer !== TURN)
        .join();
    if (meanwhile.length === 0 || awaited(made.state) !== awaited(state)) return null;
    // Whether the one who was Active fails does not matter any more, and who is it now is not known yet.
    const watched = bfd !== null && state.active?.address === bfd.address;
    return { meanwhile, until: watched ? { ...made.state, active: null } : null };
  }

  #patternsOf(kind: Kind, priority: number): readonly FramePattern[] {
    return remembered(this.#patterns, JSON.stringify([kind, priority]), () => {
      const { settings, unicast } = this.#input;
      const { family, primaryAddress: own } = settings;
      const lines: readonly (readonly [string, string])[] = unicast
        ? unicast.peers.map((peer) => [peer, own] as const)
        : [[own, GROUP_ADDRESS[family]]];
      return lines.flatMap(([source, destination]) => {
        const example = this.#example(kind, source, destination);
        const sameSource = unicast !== null;
        const pattern = advertisementOfAny({ example, sameSource, own, priority });
        return pattern ? [{ port: this.#input.lanPort, ...pattern }] : [];
      });
    });
  }

  #example({ addresses, intervalUs }: Kind, source: string, destination: string): Uint8Array {
    const { settings, vrid, interfaceMac, authType, authData } = this.#input;
    const { version, family } = settings;
    const advertisement = {
      version,
      family,
      vrid,
      priority: PRIORITY_OWNER,
      addresses: Array.from({ length: addresses }, () => settings.addresses[0] ?? NOBODY[family]),
      intervalUs,
      authType,
      authData,
    };
    return encodeAdvertisementFrame({
      advertisement,
      sourceMac: interfaceMac,
      destinationMac: GROUP_MAC[family],
      source,
      destination,
      checksumForm: "message-only",
    });
  }
}

function isLeast(priority: number, holds: (priority: number) => boolean): boolean {
  return holds(priority) && !holds(priority - 1);
}

/** Of the priorities from 1 to 255, of which the highest one does; that of a release never does. */
function leastThat(holds: (priority: number) => boolean): number {
  let [below, priority] = [PRIORITY_RELEASE, PRIORITY_OWNER];
  while (priority - below > 1) {
    const middle = (below + priority) >> 1;
    if (holds(middle)) priority = middle;
    else below = middle;
  }
  return priority;
}

export function armOperation({ timer, afterUs }: Extract<VrrpEffect, { effect: "arm" }>): Operation {
  return { op: "arm", timer: VRRP_TIMERS.indexOf(timer), afterUs };
}

export function cancelOperation({ timer }: Extract<VrrpEffect, { effect: "cancel" }>): Operation {
  return { op: "cancel", timer: VRRP_TIMERS.indexOf(timer) };
}

function remembered<Value>(by: Map<string, Value>, key: string, make: () => Value): Value {
  const known = by.get(key);
  if (known !== undefined) return known;
  const made = make();
  by.set(key, made);
  return made;
}
