/** Which checksum forms a virtual router sends: those configured, or those that its peers were heard to use. */
import type { VirtualRouterConfig } from "../../config/index.js";
import type { ChecksumForm } from "../../core/vrrp/advertisement.js";
import { formsToSend, type LearnedForms, learnForm, refreshForm } from "../../core/vrrp/checksum-policy.js";
import type { Driver } from "../../driver/driver.js";

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

/** Strangers may teach a form with each frame; a file is not written for each. */
const SAVED_AFTER_US = 1_000_000;

/** The forms of all virtual routers in the driver's store. */
export class KeptForms implements FormsStore {
  readonly #driver: Driver;
  readonly #unsaved = new Map<string, LearnedForms>();
  #cancelSaving: (() => void) | null = null;

  constructor(driver: Driver) {
    this.#driver = driver;
  }

  loadForms(name: string): LearnedForms {
    return this.#unsaved.get(name) ?? decodeForms(this.#driver.store.read(formsKey(name)));
  }

  saveForms(name: string, forms: LearnedForms): void {
    this.#unsaved.set(name, forms);
    this.#cancelSaving ??= this.#driver.setTimer(SAVED_AFTER_US, () => this.save());
  }

  /** Writes what was not written yet. */
  save(): void {
    this.#cancelSaving?.();
    this.#cancelSaving = null;
    for (const [name, forms] of this.#unsaved) {
      this.#driver.store.write(formsKey(name), encodeForms(forms));
    }
    this.#unsaved.clear();
  }
}

function formsKey(name: string): string {
  return `checksum-forms-${name.replaceAll("/", "-")}`;
}

/** Learned checksum forms as they are kept across restarts: {"192.0.2.2": ["pseudo-header"]}. */
function encodeForms(forms: LearnedForms): string {
  return JSON.stringify(Object.fromEntries([...forms].map(([source, seen]) => [source, [...seen]])));
}

/** What can't be read is not worth a failure: the forms are learned again from the next advertisement. */
function decodeForms(text: string | null): LearnedForms {
  const forms = new Map<string, Set<ChecksumForm>>();
  if (text === null) return forms;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return forms;
  }
  if (typeof parsed !== "object" || parsed === null) return forms;
  for (const [source, seen] of Object.entries(parsed)) {
    if (!Array.isArray(seen)) continue;
    const known = seen.filter(
      (form): form is ChecksumForm => form === "message-only" || form === "pseudo-header",
    );
    if (known.length > 0) forms.set(source, new Set(known));
  }
  return forms;
}
