/** A lab that vanishes afterwards. */
import { type Lab, type LabOptions, openLab } from "../../src/lab/topology.js";

/** Runs `use` in a lab of its own, which is removed afterwards whatever happened. */
export async function withLab<T>(options: LabOptions, use: (lab: Lab) => Promise<T>): Promise<T> {
  const lab = await openLab(options);
  try {
    return await use(lab);
  } finally {
    lab.close();
  }
}
