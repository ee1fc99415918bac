/** The control socket's `events`: what happened, and what happens from now on, to one reader. */
import type { EventStream } from "../control/server.js";
import type { EventLog } from "../engine/events/event-log.js";
import { FirsthopError } from "../errors.js";

type Events = Pick<EventLog, "recent" | "since" | "last" | "on">;

/**
 * Events in order and without a gap: a slow reader gets them later, from what the router keeps; how many of them were
 * too old by then is said. `since` goes on after that number; without `follow` it ends with what there was when asked.
 */
export async function followEvents(
  events: Events,
  params: Readonly<Record<string, unknown>>,
  stream: EventStream,
): Promise<null> {
  const { since } = params;
  if (since !== undefined && !Number.isSafeInteger(since))
    throw new FirsthopError("USAGE", "`since` is the sequence number of an event");
  const begin = (events.recent()[0]?.sequence ?? events.last + 1) - 1;
  // A number that this daemon has not come to is one of the daemon before it.
  const after = typeof since === "number" && since <= events.last ? Math.max(since, 0) : begin;
  let last = since !== undefined || params.history === true ? after : events.last;
  const until = params.follow === false ? events.last : Number.POSITIVE_INFINITY;
  await new Promise<void>((resolve) => {
    const undo: (() => void)[] = [];
    const end = (): void => {
      for (const one of undo.splice(0)) one();
      resolve();
    };
    const pump = (): void => {
      const { events: next, missed } = events.since(last);
      if (missed > 0) stream.dropped(missed);
      last += missed;
      for (const event of next) {
        if (last >= until) break;
        if (!stream.offer(event)) return;
        last = event.sequence;
      }
      if (last >= until) end();
    };
    stream.signal.addEventListener("abort", end, { once: true });
    undo.push(events.on(pump), stream.onReady(pump), () => stream.signal.removeEventListener("abort", end));
    if (stream.signal.aborted) end();
    else pump();
  });
  return null;
}
