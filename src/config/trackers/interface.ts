/** interface: a link of this machine, followed by the kernel's news. */
import { leaving, trackerKind } from "./kind.js";

export interface InterfaceSpec {
  readonly kind: "interface";
  readonly interface: string;
}

export const interfaceKind = trackerKind({
  keys: { interface: leaving.interface },
  polling: null,
  covers: () => ["upstream-interface"],
  normalize: (checked): InterfaceSpec => ({ kind: "interface", interface: checked.interface as string }),
  target: (spec) => spec.interface,
});
