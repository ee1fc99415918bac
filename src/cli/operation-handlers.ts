/** The control socket's methods that change a running router: drain, undrain, priority, switchover. */
import type { Handlers } from "../control/server.js";
import type { Router } from "../engine/router.js";
import { FirsthopError } from "../errors.js";

type Params = Readonly<Record<string, unknown>>;

export function operationHandlers(ready: () => Promise<Router>): Handlers {
  return {
    drain: async (params) => {
      const router = await ready();
      return router.operations.drain(namesOf(params, router), params.force === true);
    },
    undrain: async (params) => {
      const router = await ready();
      return router.operations.undrain(namesOf(params, router));
    },
    priority: async (params) => {
      const { priority } = params;
      if (priority !== null && typeof priority !== "number")
        throw new FirsthopError("USAGE", "priority needs a `priority`: a number, or null to reset it");
      return (await ready()).operations.setPriority(nameOf(params), priority);
    },
    switchover: async (params) => {
      const { testForUs = null } = params;
      if (testForUs !== null && !(Number.isSafeInteger(testForUs) && Number(testForUs) >= 0))
        throw new FirsthopError("USAGE", "`testForUs` is a number of microseconds");
      return (await ready()).operations.switchover(nameOf(params), testForUs as number | null);
    },
  };
}

function nameOf({ name }: Params): string {
  if (typeof name !== "string") throw new FirsthopError("USAGE", "the `name` of a virtual router is needed");
  return name;
}

/** `names`, or every virtual router with `all`. */
function namesOf({ names, all }: Params, router: Router): readonly string[] {
  if (all === true) return router.status().virtualRouters.map((one) => one.name);
  if (Array.isArray(names) && names.length > 0 && names.every((one) => typeof one === "string")) return names;
  throw new FirsthopError("USAGE", "`names` of virtual routers are needed, or `all`");
}
