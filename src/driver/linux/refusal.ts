/** What the kernel refuses, in one line with a stable code. */
import { getSystemErrorName } from "node:util";
import { type ErrorCode, FirsthopError } from "../../errors.js";
import { unlessRoot } from "../../root-advice.js";
import { SHORTAGE_ADVICE } from "../../shortage-advice.js";

/** "EEXIST" of 17. */
export function errnoName(errno: number): string {
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `errno ${errno}`;
  }
}

const CODES: { readonly [errno: string]: ErrorCode } = {
  EPERM: "PERMISSION",
  EACCES: "PERMISSION",
  ENODEV: "INTERFACE_MISSING",
  EBUSY: "INTERFACE_CONFLICT",
  EEXIST: "INTERFACE_CONFLICT",
  EADDRINUSE: "INTERFACE_CONFLICT",
};

const RIGHTS = unlessRoot("give the process CAP_NET_ADMIN and CAP_NET_RAW");

const ADVICE: { readonly [errno: string]: string } = {
  EPERM: RIGHTS,
  EACCES: RIGHTS,
  EROFS: "the file system is read-only",
  ENOSPC: "the file system is full; nothing was changed",
  ENODEV: "the interface is gone",
  ENOTDIR: "something that is no directory is in the way",
  EADDRINUSE: "something else uses the MAC address",
  EBUSY: "something else uses the interface or the MAC address",
  ...SHORTAGE_ADVICE,
  EOPNOTSUPP: "this kernel lacks what is needed (CONFIG_MACVLAN, `modprobe macvlan`)",
};

/** Errors of undoing that mean that it is undone already. */
export const ALREADY_GONE: ReadonlySet<string> = new Set([
  "ENODEV",
  "EADDRNOTAVAIL",
  "ESRCH",
  "ENOENT",
  "ENXIO",
]);

/** "could not <what>: <errno>: <the kernel's words>; <advice>" as a FirsthopError. */
export function refusalOf(what: string, errno: string, kernelSays = ""): FirsthopError {
  const advice = ADVICE[errno];
  const parts = [errno, kernelSays, advice ?? ""].filter((part) => part !== "");
  return new FirsthopError(CODES[errno] ?? "KERNEL_REFUSED", `could not ${what}: ${parts.join(": ")}`);
}

/** The same for a sysctl. */
export function sysctlRefusal(what: string, error: unknown): FirsthopError {
  const { code, message } = refusal(what, error);
  if ((error as NodeJS.ErrnoException).code !== "EROFS") return new FirsthopError(code, message);
  const advice = "leave out ProtectKernelTunables= (systemd), or mount /proc/sys writable (containers)";
  return new FirsthopError(code, `${message}: ${advice}`);
}

/** The same for what Node's file functions throw. */
export function refusal(what: string, error: unknown): FirsthopError {
  if (error instanceof Error && "errno" in error && typeof error.errno === "number") {
    return refusalOf(what, errnoName(Math.abs(error.errno)));
  }
  return refusalOf(what, error instanceof Error ? error.message : String(error));
}
