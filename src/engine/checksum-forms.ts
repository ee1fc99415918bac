/** Which checksum forms a virtual router sends: those configured, or those that its peers were heard to use. */
import type { VirtualRouterConfig } from "../config/index.js";
import type { ChecksumForm } from "../core/vrrp/advertisement.js";
import { formsToSend, type LearnedForms, learnForm, refreshForm } from "../core/vrrp/checksum-policy.js";

/** Where learned forms survive a restart. */
export interface FormsStore {
  loadForms(name: string): LearnedForms;
  saveForms(name: string, forms: LearnedForms): void;
}

export class ChecksumForms {
  readonly #store: FormsStore;
  #learned: LearnedForms;

  constructor(name: string, store: FormsStore) {
    this.#store = store;
    this.#learned = store.loadForms(name);
  }

  toSend({ version, family, checksum }: VirtualRouterConfig): readonly ChecksumForm[] {
    if (family === "ipv6") return ["pseudo-header"];
    return version === 2 ? ["message-only"] : formsToSend(checksum, this.#learned);
  }

  /** `source` used this form; `active` is who is Active as far as this router knows. The forms to send from now on, when that changes them. */
  learn(
    config: VirtualRouterConfig,
    source: string,
    form: ChecksumForm,
    active: string | null,
  ): readonly ChecksumForm[] | null {
    if (config.version !== 3 || config.family !== "ipv4") return null;
    const before = this.toSend(config).join();
    const learned = learnForm(this.#learned, source, form, active);
    if (learned === this.#learned) {
      this.#learned = refreshForm(learned, source);
      return null;
    }
    this.#learned = learned;
    this.#store.saveForms(config.name, learned);
    const after = this.toSend(config);
    return before === after.join() ? null : after;
  }
}
