/** Sends the edits of one sheet, one after another, each only where its places stand as they did when it was made. */

import { asFailure, Failure } from "../../api/failure";
import { compare, correctionOf, parts, type Place } from "../model/steps";
import type { Edit } from "./edit";
import { isSignedOut, isUnknown, type Server } from "./server";
import type { Sheet } from "./sheet";

/** Of a transcript that others correct at the same time, for one edit. */
const MOST_REREADS = 5;

export class Sender {
  /** Why the server cannot be asked at the moment. */
  trouble: Failure | null = null;
  /** How many edits the server has taken. */
  savedCount = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly sheet: Sheet,
    private readonly server: Server,
  ) {}

  /** Sends what waits, one edit after another. Resolves when nothing more can be sent now. */
  send(): Promise<void> {
    return this.#inTurn(() => this.#sendAll());
  }

  /** Makes a version the newest again, behind all edits that can be sent. Resolves to the version that was the newest before. */
  restore(version: number): Promise<number> {
    return this.#inTurn(async () => {
      await this.#sendAll();
      if (!this.sheet.doc) await this.sheet.reread();
      const from = this.sheet.doc!.version;
      try {
        await this.server.correct(this.sheet.task, { restore: version, version: from });
      } finally {
        await this.sheet.reread();
      }
      return from;
    });
  }

  /** Resolves when nothing is on its way. */
  async idle(): Promise<void> {
    for (let turn: unknown; turn !== this.#turn; ) await (turn = this.#turn);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #sendAll(): Promise<void> {
    for (let edit = this.#next(); edit; edit = this.#next()) {
      try {
        await this.#sendOne(edit);
        this.trouble = null;
      } catch (error) {
        const failure = asFailure(error); // whatever it is, the edit must not stay on its way
        if (this.sheet.isGone) return;
        this.#failed(edit.id, failure);
        if (failure.isPassing || isSignedOut(failure)) break;
      }
    }
    this.sheet.changed();
  }

  /** The first edit that may be sent: before it nothing is left that changes the same place. */
  #next(): Edit | undefined {
    if (this.sheet.isGone) return undefined;
    const taken = new Set<Place>();
    for (const edit of this.sheet.edits) {
      if (edit.state === "waiting" && !edit.steps.some(({ place }) => taken.has(place))) return edit;
      for (const { place } of edit.steps) taken.add(place);
    }
    return undefined;
  }

  async #sendOne({ id }: Edit): Promise<void> {
    const { sheet } = this;
    for (let rereads = 0; ; rereads++) {
      if (!sheet.doc) {
        await sheet.reread().catch(async (error: unknown) => {
          // only a correction is sure to be asked for this key: it carries the session's token
          const { steps, base } = sheet.edit(id) ?? { steps: [], base: 0 };
          if (isUnknown(error) && steps.length) await this.#correct({ ...correctionOf(steps), version: base });
          throw error;
        });
      }
      const doc = sheet.doc!;
      const edit = sheet.edit(id);
      if (edit?.state !== "waiting") return; // given up or typed on meanwhile
      const { open, conflicts } = compare(doc, edit.steps);
      if (conflicts.size) return sheet.put({ ...edit, state: "conflict", theirs: conflicts });
      if (!open.length) return this.#settled(id);
      sheet.put({ ...edit, state: "sending" });
      try {
        sheet.advance(open, await this.#correct({ ...correctionOf(open), version: doc.version }));
        if (open.some(({ place }) => parts(place)[0] === "name")) await sheet.reread(); // who shares a name is known there
        return this.#settled(id);
      } catch (error) {
        if (!(error instanceof Failure) || error.code !== "version_conflict") throw error;
        if (rereads === MOST_REREADS) throw new Failure("busy", error.message, 503);
      }
      this.#backToWaiting(id);
      await sheet.reread();
    }
  }

  async #correct(correction: Parameters<Server["correct"]>[1]): Promise<number> {
    const { task } = this.sheet;
    try {
      return await this.server.correct(task, correction);
    } catch (error) {
      // it may also be that the recording is there without a transcript
      if (isUnknown(error) && !(await this.server.exists(task))) this.sheet.erased();
      throw error;
    }
  }

  #settled(id: string): void {
    if (!this.sheet.edit(id)) return;
    this.sheet.drop(id);
    this.savedCount += 1;
    this.sheet.changed();
  }

  #failed(id: string, error: Failure): void {
    const edit = this.sheet.edit(id);
    if (error.isPassing || isSignedOut(error)) {
      this.trouble = error;
      this.#backToWaiting(id, true);
    } else if (edit) {
      this.sheet.put({ ...edit, state: "refused", problem: { code: error.code, message: error.message } });
    }
  }

  /** Nothing was heard of an edit: the server may have it, so it is sent as it was. */
  #backToWaiting(id: string, isUnsure = false): void {
    const edit = this.sheet.edit(id);
    if (edit?.state === "sending") this.sheet.put({ ...edit, state: "waiting", ...(isUnsure ? { isUnsure } : {}) });
  }
}
