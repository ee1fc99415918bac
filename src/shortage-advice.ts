/** What to do where this process or machine has too little of something, by the errno that tells so. */
export const SHORTAGE_ADVICE: { readonly [errno: string]: string } = {
  EMFILE: "too few file descriptors: raise the limit of this process (ulimit -n, LimitNOFILE=)",
  ENFILE: "the machine has no file descriptors left (fs.file-max)",
  ENOMEM: "too little memory",
  ENOBUFS: "the kernel has no memory left for sockets",
};

/** Whether something failed because this process or machine has too few descriptors, processes or octets of memory. */
export function isShortage(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" && Object.hasOwn(SHORTAGE_ADVICE, code);
}
