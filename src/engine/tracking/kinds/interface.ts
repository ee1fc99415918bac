/** interface: up is a link that is set up and whose line works. */
import type { SpecOf, TrackerKind } from "../kind.js";
import { linkResult } from "../link.js";

export const interfaceKind: TrackerKind<SpecOf<"interface">> = {
  byNews: true,
  begin(watch) {
    const look = (): void => watch.tell(linkResult(watch.network, watch.spec.interface));
    look();
    return { networkChanged: look, stop: () => {} };
  },
};
