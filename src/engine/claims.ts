/**
 * Claims that nobody has made yet. When an Active dies, the Backups' deadlines pass one after the other: with an interval
 * of 10 ms, some hundred microseconds lie between two of them, and JavaScript needs milliseconds to hear the one who was
 * faster. So a Backup's automaton knows the advertisement of whoever has as much priority as it takes, before it was
 * heard. It does nothing about it but put the deadline off, whoever sent it; JavaScript hears it as well, judges it in
 * full, and makes the step.
 */
import type { FramePattern, Operation, PortId } from "../core/automaton.js";
import { GROUP_ADDRESS, GROUP_MAC, PRIORITY_OWNER, PRIORITY_RELEASE } from "../core/vrrp/advertisement.js";
import { advertisementOfAny } from "../core/vrrp/any-sender.js";
import {
  step,
  timersOf,
  VRRP_TIMERS,
  type VrrpEffect,
  type VrrpEvent,
  type VrrpSettings,
  type VrrpState,
} from "../core/vrrp/machine.js";
import { encodeAdvertisementFrame, readVrrpFrame } from "../core/vrrp/packet.js";
import type { Foreseen } from "./compile.js";

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
}

/** In what claims differ without naming another priority or sender. */
interface Kind {
  readonly addresses: number;
  readonly intervalUs: number;
}

/** What a Backup does about a claim of at least this priority. */
interface Answer {
  readonly priority: number;
  readonly meanwhile: readonly Operation[];
}

type Foresight = Extract<Foreseen<VrrpEvent>, { meanwhile: readonly Operation[] }>;

/** Nobody sends from there, and nobody's address is lower. */
const NOBODY = { ipv4: "0.0.0.0", ipv6: "::" } as const;

/** For one automaton. */
export class Claims {
  readonly #input: ClaimsInput;
  readonly #kinds: readonly Kind[];
  readonly #patterns = new Map<string, readonly FramePattern[]>();
  readonly #foresights = new Map<string, readonly Foresight[]>();
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
    ];
  }

  foresee(state: VrrpState): readonly Foreseen<VrrpEvent>[] {
    if (state.name !== "backup") return [];
    return this.#kinds.flatMap((kind) => {
      const answer = this.#answer(state, kind.intervalUs);
      return answer ? this.#transitions(kind, answer) : [];
    });
  }

  /** Shared between states: most of them answer alike. */
  #transitions(kind: Kind, { priority, meanwhile }: Answer): readonly Foresight[] {
    return remembered(this.#foresights, JSON.stringify([kind, priority, meanwhile]), () =>
      this.#patternsOf(kind, priority).map((pattern) => ({
        trigger: { on: "pattern", pattern },
        meanwhile,
      })),
    );
  }

  #answer(state: VrrpState, intervalUs: number): Answer | null {
    const meanwhile = this.#rearm(state, PRIORITY_OWNER, intervalUs);
    if (!meanwhile) return null;
    const highest = JSON.stringify(meanwhile);
    // Who is answered like that, all above are, too.
    const isAnswered = (priority: number): boolean =>
      JSON.stringify(this.#rearm(state, priority, intervalUs)) === highest;
    if (!isLeast(this.#least, isAnswered)) this.#least = leastThat(isAnswered);
    return { priority: this.#least, meanwhile };
  }

  /** What a claim does to timers; null where it does more, which would depend on whose it is. */
  #rearm(state: VrrpState, priority: number, intervalUs: number): readonly Operation[] | null {
    const { settings } = this.#input;
    const source = NOBODY[settings.family];
    const made = step(settings, state, { type: "advertisement", source, priority, intervalUs });
    const armed: Operation[] = [];
    for (const effect of made.effects) {
      if (effect.effect === "arm") armed.push(armOperation(effect));
      else if (effect.effect !== "count") return null; // JavaScript counts
    }
    const awaited = (of: VrrpState): string => timersOf(settings, of).join();
    const staysPut = made.reason === null && awaited(made.state) === awaited(state);
    return staysPut && armed.length > 0 ? armed : null;
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

function remembered<Value>(by: Map<string, Value>, key: string, make: () => Value): Value {
  const known = by.get(key);
  if (known !== undefined) return known;
  const made = make();
  by.set(key, made);
  return made;
}
