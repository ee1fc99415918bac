/** The five places where a gateway fails; the third in two parts. */
export const FAILURES = [
  "lan-line",
  "lan-interface",
  "router-hardware",
  "router-software",
  "upstream-interface",
  "upstream-network",
] as const;
export type Failure = (typeof FAILURES)[number];
