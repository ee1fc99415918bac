/** Kinds that try something at each interval. One try at a time, on a fixed grid. */
import type { TrackerSpec } from "../../../config/index.js";
import { checkDeadlineUs, nextCheckUs } from "../../../core/tracking/index.js";
import type { ProbePath, ProbeRequest, ProbeRun } from "../../../driver/driver.js";
import type { TrackerKind, Watch } from "../kind.js";

/** `request`: what to try now; a text: why nothing can be tried, which is a failure. */
export function polled<Spec extends TrackerSpec>(
  request: (watch: Watch<Spec>) => ProbeRequest | string,
): TrackerKind<Spec> {
  return {
    begin(watch) {
      const { heartbeat, driver, intervalUs, timeoutUs } = watch;
      let dueUs = heartbeat.now();
      let run: ProbeRun | null = null;
      let cancel: (() => void) | null = null;
      let ended = false;

      const next = (): void => {
        if (ended) return;
        dueUs = nextCheckUs(dueUs, intervalUs, heartbeat.now());
        cancel = driver.setAlarm(dueUs, attempt);
      };
      const attempt = (): void => {
        cancel = null;
        const what = request(watch);
        if (typeof what === "string") {
          watch.tell({ up: false, evidence: what });
          next();
          return;
        }
        const deadlineUs = checkDeadlineUs(dueUs, timeoutUs, heartbeat.now());
        run = watch.probes.start(what, { timeoutUs, deadlineUs });
        void run.result.then((result) => {
          run = null;
          if (ended) return;
          if ("untried" in result) watch.untried(result.untried);
          else watch.tell(result);
          next();
        });
      };
      attempt();
      return {
        stop() {
          ended = true;
          cancel?.();
          run?.cancel();
        },
      };
    },
  };
}

/** Where probes to `target` leave now; a text: why they can't. */
export function pathTo(
  watch: Watch<TrackerSpec>,
  { interface: name, source }: ProbePath,
  target: string,
): ProbePath | string {
  if (name === null) return { interface: null, source };
  if (!watch.network.linkByName(name)) return `${name} does not exist`;
  const own = source ?? watch.sourceOn(name, target);
  return own === null ? `${name} has no address to reach ${target} from` : { interface: name, source: own };
}

/** For kinds that ask over the network. */
export function asking<Spec extends TrackerSpec & ProbePath & { readonly address: string }>(
  request: (spec: Spec, path: ProbePath) => ProbeRequest,
): TrackerKind<Spec> {
  return polled((watch) => {
    const path = pathTo(watch, watch.spec, watch.spec.address);
    return typeof path === "string" ? path : request(watch.spec, path);
  });
}
