/**
 * What a person does to one recording's transcript.
 *
 * A desk knows its own recording and no other, and asks nobody what is shown. Its sheet has the transcript and the edits,
 * its sender brings them to the server. An edit ends when the server has it, or when the person gives it up.
 */

import type { Failure } from "../../api/failure";
import { clean, type Doc } from "../model/doc";
import { inverse, parts, type Place, type Step } from "../model/steps";
import type { Edit } from "./edit";
import type { Deed, History } from "./history";
import { Sender } from "./sender";
import type { Server } from "./server";
import { Sheet } from "./sheet";
import type { EditStore } from "./store";

export class Desk {
  readonly history: History;
  readonly #sheet: Sheet;
  readonly #sender: Sender;

  constructor(
    readonly task: string,
    readonly name: string,
    readonly owner: string,
    server: Server,
    store: EditStore,
    edits: readonly Edit[] = [],
  ) {
    this.#sheet = new Sheet(task, name, owner, server, store, edits);
    this.#sender = new Sender(this.#sheet, server);
    this.history = this.#sheet.history;
  }

  /** The newest transcript that the server is known to have; null before `load`. */
  get doc(): Doc | null {
    return this.#sheet.doc;
  }

  /** The same with all edits in it. */
  get shown(): Doc | null {
    return this.#sheet.shown;
  }

  /** What the server does not have yet, in the order in which it was made. */
  get edits(): readonly Edit[] {
    return this.#sheet.edits;
  }

  /** What the server did not have when the recording was erased: for the person to copy, and kept nowhere else. */
  get lost(): readonly Edit[] {
    return this.#sheet.lost;
  }

  /** How many edits the server has taken from this desk. */
  get savedCount(): number {
    return this.#sender.savedCount;
  }

  /** Why the server cannot be asked at the moment. */
  get trouble(): Failure | null {
    return this.#sender.trouble;
  }

  /** Whether the recording was erased. */
  get isGone(): boolean {
    return this.#sheet.isGone;
  }

  subscribe(listener: () => void): () => void {
    return this.#sheet.subscribe(listener);
  }

  /** Reads the transcript, and looks what others did to the places of edits. */
  async load(): Promise<void> {
    await this.#sheet.load();
    void this.send();
  }

  /** Sends what waits, one edit after another. Resolves when nothing more can be sent now. */
  send(): Promise<void> {
    return this.#sender.send();
  }

  /** Resolves when nothing is on its way. */
  idle(): Promise<void> {
    return this.#sender.idle();
  }

  /** The recording was erased, here or elsewhere: nothing of it is sent any more, or kept in the browser. */
  erased(): void {
    this.#sheet.erased();
  }

  // ---- what a person does

  /** The edit that typing in a place goes on with, as it is now. */
  pendingAt(place: Place): Edit | undefined {
    return this.#sheet.editAt(place);
  }

  /**
   * Takes what stands in a field, with each letter that is typed. `before` is what the field had before this letter:
   * others may have written in the place since the field was opened.
   */
  type(place: Place, text: string, before = this.#sheet.now(place)): void {
    const old = this.#sheet.editAt(place);
    if (old) {
      const [step] = old.steps as [Step];
      const state = old.state === "conflict" ? "conflict" : "typing";
      this.#sheet.put({ ...old, state, steps: [{ ...step, after: text }] });
    } else if (text !== before) {
      this.#sheet.add([{ place, before, after: text }], "typing");
    }
  }

  /** Takes back what was typed in a place since its field was opened, when `old` was pending there. Returns whether anything was. */
  giveUp(place: Place, old: Edit | undefined): boolean {
    const edit = this.#sheet.editAt(place);
    if (edit && edit.id === old?.id) {
      const [[step], [oldStep]] = [edit.steps as [Step], old.steps as [Step]];
      if (step.after === oldStep.after && (edit.state === old.state || edit.state !== "typing")) return false;
      const state = edit.state === "conflict" ? "conflict" : old.state;
      this.#sheet.put({ ...edit, state, steps: [{ ...step, after: oldStep.after }] });
      void this.send();
      return true;
    }
    if (edit?.state !== "typing") return false;
    this.discard(edit.id);
    return true;
  }

  /** Sends what was typed in a place, once it is left. An empty name gives a speaker back their id. */
  commit(place: Place): void {
    const edit = this.#sheet.editAt(place);
    if (edit?.state !== "typing" && edit?.state !== "conflict") return;
    const [step] = edit.steps as [Step];
    const line = clean(step.after ?? "");
    const after = parts(place)[0] === "name" && !line ? null : line;
    if (edit.state === "typing" && after === step.before) return this.discard(edit.id);
    this.#sheet.put({ ...edit, state: edit.state === "typing" ? "waiting" : "conflict", steps: [{ ...step, after }] });
    if (!this.history.has(edit.id)) this.history.add({ kind: "edit", edit: edit.id, steps: [{ ...step, after }] });
    this.#sheet.changed();
    void this.send();
  }

  /** Changes places at once, as one edit. Returns what can be undone; null where nothing changes. */
  change(changes: Iterable<readonly [Place, string | null]>): Deed | null {
    const steps = [...changes]
      .map(([place, after]) => ({ place, before: this.#sheet.now(place), after }))
      .filter(({ before, after }) => before !== after);
    if (!steps.length) return null;
    const edit = this.#sheet.add(steps, "waiting");
    const deed = this.history.add({ kind: "edit", edit: edit.id, steps });
    this.#sheet.changed();
    void this.send();
    return deed;
  }

  /** Puts an edit in place of what others have written there. */
  keepMine(id: string): void {
    const edit = this.#sheet.edit(id);
    if (!edit?.theirs) return;
    const { theirs, ...rest } = edit;
    const steps = edit.steps.map((step) => ({ ...step, before: theirs.has(step.place) ? theirs.get(step.place) ?? null : step.before }));
    this.#sheet.put({ ...rest, state: "waiting", steps });
    void this.send();
  }

  /** Gives an edit up: its places have the server's values again. */
  discard(id: string): void {
    this.#sheet.drop(id);
    this.history.update(id, []);
    this.#sheet.changed();
    void this.send();
  }

  get canUndo(): boolean {
    return this.history.canUndo;
  }

  get canRedo(): boolean {
    return this.history.canRedo;
  }

  /** Takes the last deed back. Resolves once it is on its way; rejects where a version could not be restored. */
  async undo(): Promise<void> {
    const deed = this.history.undo();
    if (deed?.kind === "restore") return void (await this.#sender.restore(deed.from));
    if (!deed) return;
    const pending = this.edits.find((edit) => edit.id === deed.edit && edit.state !== "sending" && !edit.isUnsure);
    if (pending) this.#sheet.drop(pending.id);
    else this.#sheet.add(inverse(deed.steps), "waiting");
    this.#sheet.changed();
    void this.send();
  }

  /** Does again what was undone last. */
  async redo(): Promise<void> {
    const deed = this.history.redo();
    if (deed?.kind === "restore") return void (await this.#sender.restore(deed.to));
    if (!deed) return;
    deed.edit = this.#sheet.add(deed.steps, "waiting").id;
    void this.send();
  }

  /** Makes a version the newest again, behind all edits that can be sent. */
  async restore(version: number): Promise<Deed> {
    const from = await this.#sender.restore(version);
    const deed = this.history.add({ kind: "restore", from, to: version });
    this.#sheet.changed();
    return deed;
  }

  /** Tries again what could not be sent; what the server has refused only when it is asked for by its id. */
  retry(id?: string): void {
    const edit = this.#sheet.edit(id);
    if (edit?.state === "refused" || edit?.state === "typing") {
      const { problem: _, ...rest } = edit;
      this.#sheet.put({ ...rest, state: "waiting" });
    }
    void this.send();
  }
}
