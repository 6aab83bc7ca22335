/** Receipts of what was deleted here: the server answers with one and keeps none, so this browser does. */

import { session } from "../api/session.svelte";
import type { Schemas } from "../api/types";

export type Kept = Schemas["Receipt"] & { name: string };

const MOST = 1_000;
const place = (): string => `parley.receipts.${session.info?.key_id}`;

class Receipts {
  #list = $state.raw<Kept[] | null>(null);

  constructor() {
    // another tab has deleted or forgotten something
    globalThis.addEventListener?.("storage", ({ key }) => key === place() && (this.#list = read()));
  }

  /** Newest first; those of this key. */
  get list(): readonly Kept[] {
    return this.#list ?? read();
  }

  /** Begins with what is kept by now, as other tabs write there too. */
  change(work: (list: Kept[]) => Kept[]): void {
    this.#list = work(read()).slice(0, MOST);
    localStorage.setItem(place(), JSON.stringify(this.#list));
  }
}

function read(): Kept[] {
  try {
    return JSON.parse(localStorage.getItem(place()) ?? "[]") as Kept[];
  } catch {
    return [];
  }
}

export const receipts = new Receipts();

export function keepReceipt(receipt: Schemas["Receipt"], name: string): void {
  receipts.change((list) => [{ ...receipt, name }, ...without(list, receipt)]);
}

export function forgetReceipt(receipt: Kept): void {
  receipts.change((list) => without(list, receipt));
}

/** Back to its place in time. */
export function restoreReceipt(receipt: Kept): void {
  receipts.change((list) => {
    const others = without(list, receipt);
    const isNewer = (one: Kept) => Date.parse(one.erased_at) >= Date.parse(receipt.erased_at);
    return [...others.filter(isNewer), receipt, ...others.filter((one) => !isNewer(one))];
  });
}

const without = (list: Kept[], { task_id }: { task_id: string }): Kept[] => list.filter((one) => one.task_id !== task_id);
