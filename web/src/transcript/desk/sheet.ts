/** One recording's transcript as the server has it, and the edits that the server does not have: what is kept of both, and told. */

import { docOf, type Doc } from "../model/doc";
import { apply, compare, read, type Place, type Step } from "../model/steps";
import { newId, placeOf, type Edit } from "./edit";
import { History } from "./history";
import type { Server } from "./server";
import type { EditStore } from "./store";

export class Sheet {
  readonly history = new History();
  #doc: Doc | null = null;
  #shown: Doc | null = null;
  #edits: readonly Edit[];
  #lost: readonly Edit[] = [];
  #isGone = false;
  readonly #listeners = new Set<() => void>();

  constructor(
    readonly task: string,
    readonly name: string,
    readonly owner: string,
    private readonly server: Pick<Server, "result">,
    private readonly store: EditStore,
    edits: readonly Edit[],
  ) {
    this.#edits = edits.map((edit) => (edit.state === "sending" ? { ...edit, state: "waiting", isUnsure: true } : edit));
  }

  /** The newest transcript that the server is known to have; null before it was read. */
  get doc(): Doc | null {
    return this.#doc;
  }

  /** The same with all edits in it. */
  get shown(): Doc | null {
    return this.#shown;
  }

  /** What the server does not have yet, in the order in which it was made. */
  get edits(): readonly Edit[] {
    return this.#edits;
  }

  /** What the server did not have when the recording was erased. It is on this page alone. */
  get lost(): readonly Edit[] {
    return this.#lost;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads the transcript, and looks what others did to the places of edits. */
  async load(): Promise<void> {
    let doc: Doc;
    do doc = docOf(await this.server.result(this.task));
    while (this.#doc && doc.version < this.#doc.version); // an answer from before our last correction
    this.#doc = doc;
    for (const edit of this.#edits) if (edit.state === "conflict") this.#compareAgain(edit, doc);
    this.changed();
  }

  /** Reads the transcript for what is about to be sent. */
  async reread(): Promise<void> {
    const doc = docOf(await this.server.result(this.task));
    if (!this.#doc || doc.version >= this.#doc.version) this.#doc = doc;
    this.changed();
  }

  /** The server has taken these steps, and they are its version `version`. */
  advance(steps: readonly Step[], version: number): void {
    // what was read while they were on their way may have them already
    if (this.#doc && this.#doc.version < version) this.#doc = { ...apply(this.#doc, steps), version };
  }

  // ---- edits

  /** What stands in a place, with all edits. */
  now(place: Place): string | null {
    if (!this.#shown) throw new Error("The transcript has not been read.");
    return read(this.#shown, place);
  }

  edit(id: string | undefined): Edit | undefined {
    return this.#edits.find((one) => one.id === id);
  }

  /** The edit that typing in a place goes on with: the last one there, unless the server may have it. */
  editAt(place: Place): Edit | undefined {
    const last = this.#edits.findLast(({ steps }) => steps.some((step) => step.place === place));
    return last && placeOf(last) && last.state !== "sending" && !last.isUnsure ? last : undefined;
  }

  add(steps: readonly Step[], state: Edit["state"]): Edit {
    const { task, name, owner } = this;
    const order = Math.max(Date.now(), (this.#edits.at(-1)?.order ?? 0) + 1);
    const base = this.#doc?.version ?? 0;
    const edit: Edit = { id: newId(), owner, task, name, base, order, steps, state };
    this.put(edit);
    return edit;
  }

  put(edit: Edit): void {
    if (this.#isGone) return;
    this.#edits = this.edit(edit.id) ? this.#edits.map((one) => (one.id === edit.id ? edit : one)) : [...this.#edits, edit];
    if (this.history.has(edit.id)) this.history.update(edit.id, edit.steps);
    this.#keep(this.store.put(edit));
    this.changed();
  }

  drop(id: string): void {
    this.#edits = this.#edits.filter((edit) => edit.id !== id);
    this.#keep(this.store.remove(id));
  }

  /** The recording was erased, here or elsewhere: nothing of it is sent any more, or kept in the browser. */
  erased(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#lost = this.#edits;
    for (const { id } of this.#edits) this.drop(id);
    this.changed();
  }

  changed(): void {
    if (this.#doc) this.#shown = apply(this.#doc, this.#edits.flatMap(({ steps }) => steps));
    for (const listener of this.#listeners) listener();
  }

  #compareAgain(edit: Edit, doc: Doc): void {
    const { conflicts } = compare(doc, edit.steps);
    const { theirs: _, ...rest } = edit;
    if (conflicts.size) this.put({ ...edit, theirs: conflicts });
    else this.put({ ...rest, state: "waiting" });
  }

  /** What the browser does not keep is counted by the outbox, and kept by this page as long as it is open. */
  #keep(writing: Promise<void>): void {
    writing.catch(() => undefined);
  }
}
