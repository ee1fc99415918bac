/** Guards of patterns of the simulated heartbeat engine, as native/frame_guard.cc has them. */
import type { FrameGuard } from "../../core/automaton.js";
import { onesComplementSum } from "../../core/checksum.js";

/** Whether all of them hold. The frame is as long as their pattern, or longer. */
export function guardsHold(guards: readonly FrameGuard[], frame: Uint8Array): boolean {
  return guards.every((guard) => holds(guard, frame));
}

function holds(guard: FrameGuard, frame: Uint8Array): boolean {
  switch (guard.guard) {
    case "octet": {
      const octet = frame[guard.at] as number;
      return octet >= guard.least && octet <= guard.most;
    }
    case "differs":
      return guard.octets.some((octet, index) => octet !== frame[guard.at + index]);
    case "checksum": {
      const { pseudoHeader } = guard;
      const covered = onesComplementSum(frame.subarray(guard.from, guard.to));
      if (!pseudoHeader || (pseudoHeader.optional && covered === 0xffff)) return covered === 0xffff;
      const { from, to, rest } = pseudoHeader;
      return onesComplementSum(frame.subarray(from, to), covered + rest) === 0xffff;
    }
  }
}
