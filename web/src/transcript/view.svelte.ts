/** A desk as the screen shows it. */

import type { Desk } from "./desk/desk";
import type { Edit } from "./desk/edit";
import type { Doc, Word } from "./model/doc";
import { byVoice, peopleOf, type Person } from "./model/people";
import { parts } from "./model/steps";
import { blocksOf, type Block } from "./model/turns";

/** How a segment stands whose change the server does not have. */
export type Mark = "unsaved" | "asked" | "refused";

export class View {
  doc = $state.raw<Doc | null>(null);
  blocks = $state.raw<readonly Block[]>([]);
  edits = $state.raw<readonly Edit[]>([]);
  words = $state.raw<ReadonlyMap<number, readonly Word[]>>(new Map());
  canUndo = $state(false);
  canRedo = $state(false);
  isOffline = $state(false);
  savedCount = $state(0);
  /** The segment that is being edited; here, as it belongs to this recording. */
  edited = $state<number | null>(null);

  people = $state.raw<readonly Person[]>([]);
  readonly byVoice = $derived(byVoice(this.people));
  readonly marks = $derived(marksOf(this.edits));
  #isStale = false;

  constructor(readonly desk: Desk) {}

  /** Follows the desk. Returns what ends that. */
  start(): () => void {
    const end = this.desk.subscribe(() => {
      if (this.#isStale) return;
      this.#isStale = true;
      queueMicrotask(() => this.#read());
    });
    this.#read();
    return end;
  }

  /** What a speaker is called here. */
  nameOf(voice: string | null, unnamed: (voice: string) => string): string | null {
    return voice === null ? null : (this.byVoice.get(voice)?.name ?? unnamed(voice));
  }

  #read(): void {
    this.#isStale = false;
    const { shown, edits, history, trouble, savedCount } = this.desk;
    if (shown && shown !== this.doc) this.blocks = blocksOf(shown, this.doc?.names === shown.names ? this.blocks : []);
    if (shown && shown !== this.doc) {
      const people = peopleOf(shown);
      // the same people as before are the same objects, so that nothing is drawn anew for them
      if (JSON.stringify(people) !== JSON.stringify(this.people)) this.people = people;
    }
    this.doc = shown;
    this.edits = edits;
    this.canUndo = history.canUndo;
    this.canRedo = history.canRedo;
    this.isOffline = trouble !== null && edits.length > 0;
    this.savedCount = savedCount;
  }
}

function marksOf(edits: readonly Edit[]): ReadonlyMap<number, Mark> {
  const marks = new Map<number, Mark>();
  for (const { state, steps } of edits) {
    const mark = state === "conflict" ? "asked" : state === "refused" ? "refused" : "unsaved";
    for (const { place } of steps) {
      const [kind, what] = parts(place);
      if (kind !== "name") marks.set(Number(what), mark);
    }
  }
  return marks;
}
