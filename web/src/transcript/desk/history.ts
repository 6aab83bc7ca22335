/** What can be undone and redone in one recording, by this page. Undoing makes edits like any other. */

import type { Step } from "../model/steps";

/** Something that was done: an edit, or a version that was made the newest again. */
export type Deed =
  | { readonly kind: "edit"; edit: string; steps: readonly Step[] }
  | { readonly kind: "restore"; from: number; to: number };

export class History {
  #done: Deed[] = [];
  #undone: Deed[] = [];

  get canUndo(): boolean {
    return this.#done.length > 0;
  }

  get canRedo(): boolean {
    return this.#undone.length > 0;
  }

  /** Takes a new deed. What was undone before it cannot be redone any more. */
  add<D extends Deed>(deed: D): D {
    this.#done.push(deed);
    this.#undone = [];
    return deed;
  }

  /** Whether this is what would be undone now. */
  isNewest(deed: Deed): boolean {
    return this.#done.at(-1) === deed;
  }

  /** Whether an edit can be undone. */
  has(edit: string): boolean {
    return this.#done.some((deed) => deed.kind === "edit" && deed.edit === edit);
  }

  /** An edit that is still here has other steps by now; without any it never happened. */
  update(edit: string, steps: readonly Step[]): void {
    const isOther = (deed: Deed): boolean => deed.kind !== "edit" || deed.edit !== edit;
    const deed = this.#done.find((one) => !isOther(one));
    if (deed?.kind === "edit" && steps.length) deed.steps = steps;
    else this.#done = this.#done.filter(isOther);
  }

  /** The deed that is to be taken back. */
  undo(): Deed | undefined {
    const deed = this.#done.pop();
    if (deed) this.#undone.push(deed);
    return deed;
  }

  /** The deed that is to be done again. */
  redo(): Deed | undefined {
    const deed = this.#undone.pop();
    if (deed) this.#done.push(deed);
    return deed;
  }
}
