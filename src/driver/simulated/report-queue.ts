/**
 * From the simulated heartbeat engine to JavaScript, as native/report_queue.h: reports in the order in which things
 * happened, handed over when JavaScript gets its turn. Frames wait until what happened before them is reported, and
 * only so many of them.
 */
import type { PortId } from "../../core/automaton.js";
import type { HeartbeatReport } from "../driver.js";

/** What the queue to JavaScript holds. */
const WAITING_FRAMES_MAX = 1024;

export type FrameReport = Extract<HeartbeatReport, { type: "frame" }>;

export interface ReportQueueHost {
  /** Runs this when JavaScript gets to it. */
  soon(run: () => void): void;
  /** It got to it; what this reports is delivered with the rest. */
  begun(): void;
  /** Takes what waited, maybe nothing. */
  deliver(reports: readonly HeartbeatReport[]): void;
  /** Where a port's frames are counted; undefined once it is closed. */
  counts(port: PortId): { delivered: number; droppedUnread: number } | undefined;
}

export class ReportQueue {
  readonly #host: ReportQueueHost;
  #reports: HeartbeatReport[] = [];
  /** Frames of this wake-up that are not in the queue yet. */
  #held: FrameReport[] = [];
  #waitingFrames = 0;
  #asked = false;

  constructor(host: ReportQueueHost) {
    this.#host = host;
  }

  push(report: HeartbeatReport): void {
    this.#reports.push(report);
    if (this.#asked) return;
    this.#asked = true;
    this.#host.soon(() => {
      this.#asked = false;
      this.#host.begun();
      const reports = this.#reports;
      this.#reports = [];
      this.#waitingFrames = 0;
      this.#host.deliver(reports);
    });
  }

  /** Keeps a frame back until `release`. */
  hold(report: FrameReport): void {
    this.#held.push(report);
  }

  /** Frames that came in by then: whatever is pushed after this happened later. */
  release(untilUs: number): void {
    const later: FrameReport[] = [];
    for (const report of this.#held) {
      if (report.atUs > untilUs) {
        later.push(report);
        continue;
      }
      const counts = this.#host.counts(report.port);
      if (!counts) continue;
      if (this.#waitingFrames >= WAITING_FRAMES_MAX) {
        counts.droppedUnread++;
        continue;
      }
      counts.delivered++;
      this.#waitingFrames++;
      this.push(report);
    }
    this.#held = later;
  }
}
