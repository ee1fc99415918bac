/** Three ways to tell what the lab does: live on a terminal, line by line, as one document. */
import type { LabReporter, LabSettings, RouterView, StepResult } from "./model.js";
import { closingLines, drawing, liveLines, type Style, stepLines } from "./render.js";
import { OUTAGE_MARGIN_MS } from "./scenarios.js";
import type { Screen } from "./screen.js";

function headLines(
  settings: LabSettings,
  routers: readonly RouterView[],
  setUpMs: number,
  style: Style,
): string[] {
  const family = settings.family === "ipv4" ? "IPv4" : "IPv6";
  return [
    "",
    `${style.bold("firsthop lab")}  VRRPv3 for ${family}, advertisements every ${settings.intervalMs} ms; ` +
      `the host sends ${settings.rate.toLocaleString("en")} packets a second`,
    style.dim(`two daemons in private network namespaces, ready after ${(setUpMs / 1000).toFixed(1)} s`),
    "",
    ...drawing(routers, style),
    "",
  ];
}

/** For a terminal: finished steps scroll by, the running one moves at the lower end. */
export function terminalReporter(screen: Screen, style: Style): LabReporter {
  return {
    began: (settings, routers, setUpMs) => screen.print(headLines(settings, routers, setUpMs, style)),
    tick: (view) => screen.live(liveLines(view, style)),
    stepEnded: (result) => screen.print(stepLines(result, style)),
    busy: (text) => screen.live(text === null ? [] : [style.dim(`  ${text} …`)]),
    ended: (results, elapsedMs) => {
      screen.print(closingLines(results, elapsedMs, style));
      screen.close();
    },
  };
}

/** For pipes and files: the same, without anything that moves. */
export function plainReporter(write: (line: string) => void, style: Style): LabReporter {
  const print = (lines: readonly string[]): void => {
    for (const line of lines) write(line);
  };
  return {
    began: (settings, routers, setUpMs) => print(headLines(settings, routers, setUpMs, style)),
    tick: () => {},
    stepEnded: (result) => print(stepLines(result, style)),
    busy: () => {},
    ended: (results, elapsedMs) => print(closingLines(results, elapsedMs, style)),
  };
}

export const SILENT_REPORTER: LabReporter = {
  began: () => {},
  tick: () => {},
  stepEnded: () => {},
  busy: () => {},
  ended: () => {},
};

/** The outcome as one JSON document with stable keys; times in milliseconds. */
export function jsonDocument(
  settings: LabSettings,
  results: readonly StepResult[],
  kept: boolean,
  elapsedMs: number,
): object {
  return {
    kept,
    elapsedMs: round(elapsedMs),
    family: settings.family,
    rate: settings.rate,
    outageMarginMs: OUTAGE_MARGIN_MS,
    steps: results.map((result) => ({
      number: result.number,
      scenario: result.plan.scenario,
      action: result.plan.action,
      title: result.plan.title,
      promise: result.plan.promise,
      kept: result.kept,
      broken: result.broken,
      activeBefore: result.plan.successor === 2 ? "r1" : "r2",
      activeAfter: `r${result.plan.successor}`,
      advertisementIntervalMs: result.intervalMs,
      activeDownIntervalMs: round(result.activeDownIntervalMs),
      outageMs: round(result.outageMs),
      longestGapMs: round(result.longestGapMs),
      slowestMs: round(result.slowestMs),
      stallMs: round(result.stallMs),
      afterDeadlineMs: result.afterDeadlineMs === null ? null : round(result.afterDeadlineMs),
      sent: result.sent,
      lost: result.lost,
      duplicated: result.duplicated,
      events: result.happenings.map((happening) => ({ ...happening, atMs: round(happening.atMs) })),
    })),
  };
}

const round = (ms: number): number => Math.round(ms * 1000) / 1000;
