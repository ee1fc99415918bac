/** Punctual timers for JavaScript, on one descriptor of the kernel's that is set to the next of them. */
import type { NativeAlarm, NativeAlarmApi } from "../../native/alarm.js";
import type { NativeHeartbeatApi } from "../../native/heartbeat.js";

export interface Alarms {
  /** Monotonic microseconds. */
  now(): number;
  /** As `Driver.setAlarm`. */
  set(atUs: number, run: () => void): () => void;
}

export interface LinuxAlarms extends Alarms {
  /** Takes the descriptor now, and not with the first alarm. */
  open(): void;
  close(): void;
}

interface Alarm {
  readonly atUs: number;
  run: (() => void) | null;
}

export function openLinuxAlarms(
  load: () => NativeAlarmApi & Pick<NativeHeartbeatApi, "monotonicUs">,
): LinuxAlarms {
  /** The next one first; those of one moment as they were set. */
  const waiting: Alarm[] = [];
  let native: NativeAlarm | null = null;
  let closed = false;
  let setToUs: number | null = null;

  const now = (): number => load().monotonicUs();
  const open = (): void => {
    if (!closed) native ??= new (load().NativeAlarm)(ring);
  };
  const arm = (): void => {
    const atUs = waiting[0]?.atUs ?? null;
    if (atUs === setToUs) return;
    setToUs = atUs;
    native?.set(atUs);
  };
  const ring = (): void => {
    setToUs = null;
    // Those that are set from here on have another turn, also where they are due.
    const due = waiting.splice(0, placeAfter(waiting, now()));
    let rung = 0;
    try {
      while (rung < due.length && !closed) due[rung++]?.run?.();
    } finally {
      // Those behind one that throws have another turn, too.
      if (!closed) waiting.unshift(...due.slice(rung));
      arm();
    }
  };
  return {
    now,
    open,
    set(atUs, run) {
      if (closed) return () => {};
      const alarm: Alarm = { atUs: Math.max(1, Math.ceil(atUs)), run };
      open();
      waiting.splice(placeAfter(waiting, alarm.atUs), 0, alarm);
      arm();
      return () => {
        alarm.run = null;
        let at = placeAfter(waiting, alarm.atUs) - 1;
        while (at >= 0 && waiting[at]?.atUs === alarm.atUs && waiting[at] !== alarm) at--;
        if (waiting[at] !== alarm) return;
        waiting.splice(at, 1);
        arm();
      };
    },
    close() {
      closed = true;
      waiting.length = 0;
      native?.close();
      native = null;
    },
  };
}

/** How many of a sorted list are due at a moment. */
function placeAfter(list: readonly Alarm[], atUs: number): number {
  let from = 0;
  let to = list.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((list[middle] as Alarm).atUs <= atUs) from = middle + 1;
    else to = middle;
  }
  return from;
}
