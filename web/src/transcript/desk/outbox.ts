/** All desks of one key in this page, and what their edits wait for. */

import { Desk } from "./desk";
import { newId, type Edit } from "./edit";
import { isSignedOut, type Server } from "./server";
import type { EditStore } from "./store";
import { tabsThatAnswer, type Tabs } from "./tabs";

const FIRST_PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 30_000;

export class Outbox {
  readonly tab = newId();
  #desks = new Map<string, Desk>();
  #listeners = new Set<() => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pause = FIRST_PAUSE_MS;
  /** Edits whose newest state the browser has not kept yet, or does not keep. */
  #unkept = new Map<string, Edit>();
  #refused = new Set<string>();
  readonly #store: EditStore;

  constructor(
    readonly owner: string,
    private readonly server: Server,
    private readonly store: EditStore,
  ) {
    const { tab } = this;
    this.#store = {
      all: (key) => store.all(key),
      put: (edit) => this.#keep({ ...edit, tab }),
      remove: (id) => {
        this.#kept(id);
        return store.remove(id);
      },
    };
  }

  /** Takes over what pages that are gone have left, and sends what may be sent. */
  async open(tabs: Tabs = tabsThatAnswer): Promise<void> {
    const edits = await this.store.all(this.owner);
    if (!edits.length) return;
    const alive = await tabs(this.tab, edits.map(({ tab }) => tab ?? ""));
    const orphans = edits.filter(({ tab }) => !alive.has(tab ?? ""));
    for (const task of new Set(orphans.map((edit) => edit.task))) {
      const left = orphans.filter((edit) => edit.task === task);
      if (this.#desks.has(task)) continue; // its own edits came first; the others are taken at the next start
      const desk = this.#make(task, (left[0] as Edit).name, left);
      for (const edit of left) this.#store.put(edit).catch(() => undefined);
      void desk.send();
    }
    this.#changed();
  }

  /** The desk of a recording. */
  desk(task: string, name: string): Desk {
    return this.#desks.get(task) ?? this.#make(task, name, []);
  }

  /** A recording was erased, here or elsewhere: its edits go, too. */
  erased(task: string): void {
    this.#desks.get(task)?.erased();
  }

  /** All that the server does not have. */
  get edits(): readonly { desk: Desk; edit: Edit }[] {
    return [...this.#desks.values()].flatMap((desk) => desk.edits.map((edit) => ({ desk, edit })));
  }

  /** Whether something would be lost if the page were closed now: the browser has not kept all of it. */
  get isUnkept(): boolean {
    return this.#unkept.size > 0;
  }

  /** How many edits the browser does not keep, as it refuses to or is full. */
  get refusedCount(): number {
    return this.#refused.size;
  }

  /** Why the server cannot be asked at the moment. */
  get trouble(): Desk["trouble"] {
    for (const { edits, trouble } of this.#desks.values()) if (trouble && edits.length) return trouble;
    return null;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tries all again that waits for the server. */
  retry(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const desk of this.#desks.values()) if (desk.edits.length) void desk.send();
  }

  /** Sends what can be sent now. */
  async flush(): Promise<void> {
    await Promise.all([...this.#desks.values()].map((desk) => desk.edits.length && desk.send()));
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  async #keep(edit: Edit): Promise<void> {
    const { id } = edit;
    this.#unkept.set(id, edit);
    const isNewest = (): boolean => this.#unkept.get(id) === edit;
    try {
      await this.store.put(edit);
      if (isNewest()) this.#kept(id);
    } catch (error) {
      if (isNewest()) this.#refused.add(id);
      throw error;
    } finally {
      this.#tell();
    }
  }

  #kept(id: string): void {
    this.#unkept.delete(id);
    this.#refused.delete(id);
  }

  #make(task: string, name: string, edits: readonly Edit[]): Desk {
    const desk = new Desk(task, name, this.owner, this.server, this.#store, edits);
    this.#desks.set(task, desk);
    desk.subscribe(() => this.#changed());
    return desk;
  }

  #changed(): void {
    if (!this.trouble) {
      this.#pause = FIRST_PAUSE_MS;
    } else if (this.#timer === undefined && !isSignedOut(this.trouble)) {
      this.#timer = setTimeout(() => this.retry(), this.#pause);
      this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE_MS);
    }
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
