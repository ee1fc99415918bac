/** The part of the addon's surface in native/alarm_addon.cc. */

/** It keeps the process alive only while it is set. */
export interface NativeAlarm {
  /** Goes off at this moment (monotonic microseconds), or as soon as the event loop turns where that is over; null: not. */
  set(atUs: number | null): void;
  close(): void;
}

export interface NativeAlarmApi {
  /**
   * `onDue`: it went off, once for each `set`. The event loop handles it in its turn: after what came in before that
   * moment. Throws with EMFILE and the like as `code`.
   */
  NativeAlarm: new (
    onDue: () => void,
  ) => NativeAlarm;
}
