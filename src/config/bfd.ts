/** What BFD sessions have in common wherever they are configured. */
import { duration, integer } from "./fields.js";

export const bfdInterval = duration(
  {
    description: "Time between BFD packets, 1ms to 10s; both ends use the slower of theirs.",
    examples: ["10ms"],
  },
  { minUs: 1_000, maxUs: 10_000_000 },
).default("50ms");

export const bfdMultiplier = integer(1, 255, {
  description: "So many intervals without a packet, and the neighbour takes the session for down.",
  examples: [5],
}).default(3);
