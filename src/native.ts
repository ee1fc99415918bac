/**
 * The native addon: its only loader and the one declaration of its surface. `driver/linux` and `lab` wrap what
 * is declared here into the friendly interfaces; nobody else imports this file.
 *
 * The addon is thin: it moves bytes, keeps appointments and speaks rtnetlink. Everything it is told was decided
 * in TypeScript.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { FirsthopError } from "./errors.js";
import type { NativeAlarmApi } from "./native/alarm.js";
import type { NativeHeartbeatApi } from "./native/heartbeat.js";
import type { NativeLocalDatagramApi } from "./native/local-datagram.js";
import type { NativeNetlinkApi } from "./native/netlink.js";
import type { NativeOutgoingSocketApi } from "./native/outgoing-socket.js";
import type { NativeOwnershipApi } from "./native/ownership.js";
import type { NativeProberApi } from "./native/prober.js";
import type { NativeProgramPagesApi } from "./native/program-pages.js";
import type { NativePromptLoopApi } from "./native/prompt-loop.js";
import type { NativeRoutesApi } from "./native/routes.js";
import type { NativeTrafficApi } from "./native/traffic.js";

/** Everything that the addon exports. */
export interface NativeAddon
  extends NativeAlarmApi,
    NativeHeartbeatApi,
    NativeLocalDatagramApi,
    NativeNetlinkApi,
    NativeOwnershipApi,
    NativeProberApi,
    NativeProgramPagesApi,
    NativePromptLoopApi,
    NativeOutgoingSocketApi,
    NativeRoutesApi,
    NativeTrafficApi {}

let loaded: NativeAddon | null = null;

/**
 * Loads the addon: a prebuilt binary when one fits, else what `npm install` compiled.
 * @throws FirsthopError NATIVE_UNAVAILABLE on other systems than Linux, or when neither is there.
 */
export function loadNative(): NativeAddon {
  if (loaded) return loaded;
  if (process.platform !== "linux") {
    throw new FirsthopError(
      "NATIVE_UNAVAILABLE",
      `routers run on Linux only, this is ${process.platform}; config, election and decode work here`,
    );
  }
  const require = createRequire(import.meta.url);
  const root = packageFolder(dirname(fileURLToPath(import.meta.url)));
  try {
    loaded = require("node-gyp-build")(root) as NativeAddon;
    return loaded;
  } catch (cause) {
    throw new FirsthopError(
      "NATIVE_UNAVAILABLE",
      "the native addon is not there: run `npm rebuild firsthop` with a C++ tool chain and python3 installed",
      { cause },
    );
  }
}

/** The folder of this package: this code may be bundled, at another depth than its source. */
function packageFolder(from: string): string {
  if (existsSync(join(from, "package.json")) || from === dirname(from)) return from;
  return packageFolder(dirname(from));
}
