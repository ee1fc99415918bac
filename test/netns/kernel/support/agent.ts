/**
 * A process inside a network namespace that drives the kernel side for a test. Reads one JSON request a line from
 * standard input, answers with one line each, and reports news in between.
 */
import { createInterface } from "node:readline";
import type { VirtualInterface, VirtualInterfaceRequest } from "../../../../src/driver/driver.js";
import { openLinuxKernel } from "../../../../src/driver/linux/kernel.js";
import { FirsthopError } from "../../../../src/errors.js";

const write = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);

const kernel = openLinuxKernel({
  onNews: (news) => write({ news }),
  ownership: "off",
  stateDirectory: process.argv[2] as string,
});
const places = new Map<string, VirtualInterface>();

const place = (owner: string): VirtualInterface => {
  const found = places.get(owner);
  if (!found) throw new Error(`${owner} was not prepared`);
  return found;
};

/** What became of each: the device, or the error's code and line. */
async function prepare(requests: readonly VirtualInterfaceRequest[]): Promise<object> {
  const startedNs = process.hrtime.bigint();
  const results = await Promise.all(
    requests.map(async (request) => {
      try {
        const made = await kernel.prepare(request);
        places.set(request.owner, made);
        const labels = [...made.open, ...made.settle].map((step) =>
          step.step === "netlink" ? step.label : step.step,
        );
        return { ifindex: made.ifindex, name: made.name, mac: made.mac, labels };
      } catch (error) {
        if (!(error instanceof FirsthopError)) throw error;
        return { code: error.code, message: error.message };
      }
    }),
  );
  return { results, tookMs: Number(process.hrtime.bigint() - startedNs) / 1e6 };
}

/** Opens and closes again and again: microseconds from the call to its promise's end. */
async function measure(owner: string, rounds: number): Promise<object> {
  const timed = async (steps: VirtualInterface["open"]): Promise<number> => {
    const startedNs = process.hrtime.bigint();
    const failures = await kernel.perform(steps);
    const tookUs = Number(process.hrtime.bigint() - startedNs) / 1e3;
    if (failures.length > 0) throw new Error(JSON.stringify(failures));
    return tookUs;
  };
  const openUs: number[] = [];
  const closeUs: number[] = [];
  const nothingUs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    nothingUs.push(await timed([]));
    openUs.push(await timed([...place(owner).open, ...place(owner).settle]));
    closeUs.push(await timed(place(owner).close));
  }
  return { openUs, closeUs, nothingUs };
}

const CALLS: { readonly [name: string]: (argument: never) => Promise<unknown> } = {
  prepare,
  measure: ({ owner, rounds }: { owner: string; rounds: number }) => measure(owner, rounds),
  open: (owner: string) => kernel.perform([...place(owner).open, ...place(owner).settle]),
  close: (owner: string) => kernel.perform(place(owner).close),
  release: async (owners: string[]) => {
    const startedNs = process.hrtime.bigint();
    await kernel.release(owners);
    return { tookMs: Number(process.hrtime.bigint() - startedNs) / 1e6 };
  },
  recover: () => kernel.recover(),
  snapshot: () => kernel.snapshot(),
  end: () => kernel.close(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, call, argument } = JSON.parse(line) as { id: number; call: string; argument: never };
  try {
    write({ id, result: (await CALLS[call]?.(argument)) ?? null });
  } catch (error) {
    const code = error instanceof FirsthopError ? error.code : "";
    write({ id, error: { code, message: error instanceof Error ? error.message : String(error) } });
  }
}
