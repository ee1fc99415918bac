/** Every error that a user may meet has a stable code here; the message is one line that says what to do. */

export const ERROR_CODES = [
  "CONFIG_INVALID",
  "CONFIG_UNREADABLE",
  "NATIVE_UNAVAILABLE",
  "PERMISSION",
  "INTERFACE_MISSING",
  "INTERFACE_CONFLICT",
  "KERNEL_REFUSED",
  "SOCKET_IN_USE",
  "DAEMON_UNREACHABLE",
  "NOT_FOUND",
  "REFUSED",
  "USAGE",
  "LAB_FAILED",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** An error with a stable code and a message in one line, meant for people. */
export class FirsthopError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "FirsthopError";
    this.code = code;
  }
}
