/** What is wanted of a virtual router beside its configuration, until it is taken back or the daemon ends. */
export interface Orders {
  /** Takes no part in the election. */
  readonly drained: boolean;
  /** Stands for the configured priority. */
  readonly priority: number | null;
  /** Has handed over by command: does not preempt until it was Active again. */
  readonly holdsBack: boolean;
  /** Why its sync group keeps it out; null: it does not. */
  readonly groupFault: string | null;
  /** Its sync group says when it becomes Active. */
  readonly waits: boolean;
}

export const NO_ORDERS: Orders = {
  drained: false,
  priority: null,
  holdsBack: false,
  groupFault: null,
  waits: false,
};

export function sameOrders(a: Orders, b: Orders): boolean {
  return (Object.keys(a) as (keyof Orders)[]).every((key) => a[key] === b[key]);
}
