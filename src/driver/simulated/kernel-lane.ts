/**
 * The kernel lane of a simulated process: carries out steps one after the other on a thread of its own, each taking
 * its time, so that a crash or another router's plan can come in between.
 *
 * Requests that `prepare` writes into steps of the kind "netlink" are JSON of the `Request` below: whoever makes them
 * here also interprets them here.
 */
import type { KernelStep, PortId } from "../../core/automaton.js";
import type { Context } from "./context.js";
import type { NetworkStack, VirtualPlace } from "./network-stack.js";

export interface StepFailure {
  readonly label: string;
  readonly errno: string;
}

export type Request =
  | { readonly request: "mode"; readonly owner: string; readonly mode: "source" | "private" }
  | {
      readonly request: "addAddress";
      readonly owner: string;
      readonly address: string;
      readonly prefixLength: number;
    }
  | { readonly request: "deleteAddress"; readonly owner: string; readonly address: string };

export function encodeRequest(request: Request): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(request));
}

function decodeRequest(message: Uint8Array): Request | null {
  try {
    return JSON.parse(new TextDecoder().decode(message)) as Request;
  } catch {
    return null;
  }
}

/** Where IPv6 of a simulated device is switched. */
export function disableIpv6Path(device: string): string {
  return `/proc/sys/net/ipv6/conf/${device}/disable_ipv6`;
}

export interface KernelLaneHost {
  readonly stack: NetworkStack;
  readonly native: Context;
  /** How long a step takes, this time. */
  drawStepUs(): number;
  /** An errno for a step that is to fail. */
  failureOf(step: KernelStep): string | null;
  send(port: PortId, frame: Uint8Array): void;
  noteStep(label: string, errno: string | null): void;
}

interface Job {
  readonly steps: readonly KernelStep[];
  readonly done: (failures: readonly StepFailure[]) => void;
}

export class KernelLane {
  readonly #host: KernelLaneHost;
  readonly #jobs: Job[] = [];
  #busy = false;
  #idleWaiters: (() => void)[] = [];

  constructor(host: KernelLaneHost) {
    this.#host = host;
  }

  submit(steps: readonly KernelStep[], done: Job["done"]): void {
    this.#jobs.push({ steps, done });
    if (!this.#busy) this.#next();
  }

  /** Calls `run` when nothing is left to do. */
  whenIdle(run: () => void): void {
    if (this.#busy) this.#idleWaiters.push(run);
    else run();
  }

  #next(): void {
    const job = this.#jobs.shift();
    this.#busy = job !== undefined;
    if (job) {
      this.#carryOut(job, 0, []);
      return;
    }
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const wake of waiters) wake();
  }

  #carryOut(job: Job, index: number, failures: StepFailure[]): void {
    const step = job.steps[index];
    if (!step) {
      job.done(failures);
      this.#next();
      return;
    }
    // Hosts are not pointed to where their packets are not let in.
    if (step.step === "send" && failures.length > 0) {
      this.#carryOut(job, index + 1, failures);
      return;
    }
    const durationUs = step.step === "send" ? 0 : this.#host.drawStepUs();
    this.#host.native.post(durationUs, () => {
      const label = labelOf(step);
      const errno = this.#host.failureOf(step) ?? this.#perform(step);
      this.#host.noteStep(label, errno);
      this.#carryOut(job, index + 1, errno === null ? failures : [...failures, { label, errno }]);
    });
  }

  #perform(step: KernelStep): string | null {
    switch (step.step) {
      case "send":
        this.#host.send(step.port, step.frame);
        return null;
      case "write":
        return this.#write(step.path, step.value);
      case "netlink": {
        const request = decodeRequest(step.message);
        return request ? this.#request(request) : "EINVAL";
      }
    }
  }

  #write(path: string, value: string): string | null {
    for (const place of this.#host.stack.places.values()) {
      if (!place.device || path !== disableIpv6Path(place.device.name)) continue;
      place.ipv6Enabled = value === "0";
      const gone = place.ipv6Enabled ? [] : [...place.addresses.keys()];
      for (const address of gone) this.#host.stack.removePlaceAddress(place, address);
      this.#host.stack.changed(place);
      return null;
    }
    return "ENOENT";
  }

  #request(request: Request): string | null {
    const { stack } = this.#host;
    const place = stack.places.get(request.owner);
    if (!place) return "ENODEV";
    const errno = change(stack, place, request);
    stack.changed(place);
    return errno;
  }
}

function change(stack: NetworkStack, place: VirtualPlace, request: Request): string | null {
  switch (request.request) {
    case "mode":
      stack.setMode(place, request.mode);
      return null;
    case "addAddress":
      if (place.addresses.has(request.address)) return "EEXIST";
      if (place.device && place.family === "ipv6" && !place.ipv6Enabled) return "EACCES";
      stack.addPlaceAddress(place, request.address, request.prefixLength);
      return null;
    case "deleteAddress":
      return stack.removePlaceAddress(place, request.address) ? null : "EADDRNOTAVAIL";
  }
}

function labelOf(step: KernelStep): string {
  switch (step.step) {
    case "netlink":
      return step.label;
    case "write":
      return step.path;
    case "send":
      return "send";
  }
}
