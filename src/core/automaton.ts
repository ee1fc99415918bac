/**
 * The plan that TypeScript hands to the heartbeat engine: a timed automaton over frames.
 *
 * The engine knows no protocol. It sleeps until a timer of the current posture passes or a frame comes in
 * that equals a pattern of the current posture under its mask, carries out that transition's operations in
 * order, and moves to the next posture. Periodic advertisements are a transition that re-arms its own timer;
 * a heard Active is a transition that re-arms another one; a take-over is a transition like any other.
 *
 * Programs are not written by hand: `engine/automaton/compile.ts` obtains them by evaluating the pure state machine
 * ahead of time, so that no rule of a protocol exists twice. The same program runs on the native engine
 * (`native/heartbeat.cc`) and on the simulated one (`driver/simulated`).
 *
 * Times are integer microseconds. Relative times count from the moment that triggered the transition: the
 * deadline that passed (so that a period does not drift) or the kernel's receive stamp of the frame (so that
 * queueing does not lengthen a deadline).
 */

/** Index of a port (a packet or raw socket) that the driver opened. */
export type PortId = number;

/** A frame to compare incoming frames with, byte by byte, where the mask has ones. */
export interface FramePattern {
  /** The port that the frame must come in by. */
  readonly port: PortId;
  /** The frame as it was received, Ethernet header first, padding included. */
  readonly bytes: Uint8Array;
  /** Same length as `bytes`; 0xff compares the octet, 0x00 lets it differ. */
  readonly mask: Uint8Array;
  /**
   * Where what the program's seal covers begins. The frame is only known if the digest is right and its number from 1
   * (0 with `repeats`) to `sealWindow` ahead of the last one that was believed; the first one may have any.
   */
  readonly sealAt?: number;
  readonly sealWindow?: number;
  /**
   * What must hold beside, all of it. A pattern with guards is one for frames that nobody has seen before: it is asked
   * when no other one knows a frame, it fits longer frames as well (what is behind is not compared), and its transition
   * is what must not wait for JavaScript, which gets the frame all the same.
   */
  readonly guards?: readonly FrameGuard[];
}

/** Places count from the frame's first octet and lie within the pattern; `to` is the one behind the last. */
export type FrameGuard =
  | { readonly guard: "octet"; readonly at: number; readonly least: number; readonly most: number }
  /** Something else than `octets` stands there. */
  | { readonly guard: "differs"; readonly at: number; readonly octets: Uint8Array }
  /** The internet checksum over these octets (RFC 1071) is right. */
  | {
      readonly guard: "checksum";
      readonly from: number;
      readonly to: number;
      /**
       * It covers these octets of the frame, too, and the number `rest` (0..65535) for all else that is in the
       * pseudo-header. `optional`: it does or it does not; either is right.
       */
      readonly pseudoHeader?: {
        readonly from: number;
        readonly to: number;
        readonly rest: number;
        readonly optional?: boolean;
      };
    };

/**
 * A digest with a sequence number in each frame: made anew for each one that leaves, judged in each that comes in.
 * Places count from the first octet that is covered; the last one covered is the digest's last. The two octets before
 * are an internet checksum that covers all of it as well, or 0. Numbers count modulo 2^32.
 */
export interface Seal {
  readonly algorithm: "md5" | "sha1";
  /** As long as the digest; stands in its place while that is computed. */
  readonly key: Uint8Array;
  readonly sequenceAt: number;
  readonly digestAt: number;
  /** Whether a peer's number may come twice in a row. */
  readonly repeats: boolean;
}

/** One thing the kernel lane does, in the order given. A failed step stops none behind it but the sending of frames. */
export type KernelStep =
  /** A complete rtnetlink request, as encoded by the native netlink encoder. */
  | { readonly step: "netlink"; readonly message: Uint8Array; readonly label: string }
  /** Write a value to a file under /proc/sys. */
  | { readonly step: "write"; readonly path: string; readonly value: string }
  /** Send a frame once the steps before it are done. */
  | { readonly step: "send"; readonly port: PortId; readonly frame: Uint8Array };

/** One operation of a transition. */
export type Operation =
  /** Send `frames[frame]` through a port. Several in one wake-up leave in one system call. */
  | {
      readonly op: "send";
      readonly port: PortId;
      readonly frame: number;
      /** Where what the program's seal covers begins; the number is one more than the last that left. */
      readonly sealAt?: number;
    }
  /**
   * Set timer `timer` (0..7) to the trigger's time plus `afterUs`; with `jitterUs` up to that much earlier, drawn anew
   * each time, every moment being as likely. A timer that sets itself off anew without jitter is a beat: it keeps its
   * schedule, but where it was late those after it follow in whole periods from then on, and return to the schedule
   * little by little, the sooner the more sessions there are.
   */
  | { readonly op: "arm"; readonly timer: number; readonly afterUs: number; readonly jitterUs?: number }
  | { readonly op: "cancel"; readonly timer: number }
  /** Add one to counter `counter` (0..31) of the session. */
  | { readonly op: "count"; readonly counter: number }
  /** Hand `kernelPlans[plan]` to the kernel lane: a thread of its own, because rtnetlink may block. */
  | { readonly op: "kernel"; readonly plan: number }
  /**
   * Open or close what the kernel's filter lets in for the session (see `Heartbeat.bindLease`). It opens at once, and
   * closes when the frames of the same transition have left; each frame that leaves while it is open renews it.
   */
  | { readonly op: "lease"; readonly open: boolean }
  /**
   * Set off signal `signal` (0..7) of another session, once the operations of this transition are done. Where that
   * session waits for no such signal, nothing happens. Sessions are numbers of the same engine.
   */
  | { readonly op: "signal"; readonly session: number; readonly signal: number }
  /** The next sealed frame may have any number. */
  | { readonly op: "forgetSequence" };

/** What sets a transition off. */
export type Trigger =
  | { readonly on: "timer"; readonly timer: number }
  | { readonly on: "pattern"; readonly pattern: number }
  /** Another session's `signal` operation; relative times count from what triggered that one. */
  | { readonly on: "signal"; readonly signal: number }
  /** JavaScript did not renew its lease for `controlTimeout`; also sent when the environment ends. */
  | { readonly on: "controlLost" }
  /** The kernel's filter gave the session's lease up for a successor, because it had not been renewed for long. */
  | { readonly on: "gaveWay" };

export interface Transition {
  readonly trigger: Trigger;
  readonly operations: readonly Operation[];
  /** Index of the posture afterwards; may be the same one. */
  readonly next: number;
  /** Whether JavaScript is told (true for all but the steady heartbeat). */
  readonly report: boolean;
}

/** What the engine waits for in one state of the machine. At most one transition for each trigger. */
export interface Posture {
  readonly transitions: readonly Transition[];
}

/** A closed automaton: every `next` is an index into `postures`. */
export interface HeartbeatProgram {
  readonly seal?: Seal;
  readonly frames: readonly Uint8Array[];
  readonly patterns: readonly FramePattern[];
  readonly kernelPlans: readonly (readonly KernelStep[])[];
  readonly postures: readonly Posture[];
}

/** How a program is started: the operations of the step that led to it, and the posture it begins in. */
export interface ProgramEntry {
  readonly posture: number;
  readonly operations: readonly Operation[];
  /**
   * The moment that relative times in `operations` count from (monotonic, microseconds). It may be past, because
   * JavaScript may be late: an `arm` does nothing to a running timer that was armed for a later moment than this,
   * and counts from now when its deadline would have passed already.
   */
  readonly baseUs: number;
}

export const MAX_TIMERS = 8;
export const MAX_COUNTERS = 32;
export const MAX_SIGNALS = 8;
