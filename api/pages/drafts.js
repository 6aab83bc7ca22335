/**
 * What a person has typed and the server does not have yet.
 *
 * A draft is bound to its task, its place in the transcript and the version that it changes when typing begins. Nothing
 * here asks what is shown. A desk holds one task's transcript as the server has it and the drafts that go with it; it
 * saves one after another, each to the version that the one before has made. A draft ends when the server has its text,
 * or when the person gives it up.
 */

const desks = new Map(); // task -> Desk, of the recording that is shown and of those that have drafts

const MOST_REREADS = 5; // of a transcript that others correct at the same time, for one save

/** A text as the server will write it: on one line, control characters and runs of white space as one space. */
const clean = (text) => text.replace(/[\0-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]/gu, " ").replace(/\s+/g, " ").trim();

/*
 * A place for drafts: `read` tells its text in a result, `change` is the body of a correction. `write` puts a text into a
 * result and tells whether that was all; else the result has to be read anew.
 */

/** A segment's text. */
const textOf = (number) => ({
  id: `text ${number}`,
  segment: number,
  read: (result) => result.segments.find(({ id }) => id === number)?.text ?? "",
  write: (result, text) => {
    result.segments.find(({ id }) => id === number).text = text;
    return true;
  },
  change: (text) => ({ segments: [{ id: number, text }] }),
});

const nameOf = (speaker) => speaker.name ?? speaker.id;

/** The name that these voices share; `segment` is where it is typed. An empty one gives them back their own ids. */
const nameAt = (voices, segment) => ({
  id: `name ${voices.join(" ")}`,
  segment,
  isName: true,
  read: (result) => {
    const names = result.speakers.filter(({ id }) => voices.includes(id)).map((speaker) => speaker.name ?? "");
    return [...new Set(names)].join(", ");
  },
  write: (result, name) => {
    if (!name && voices.length > 1) return false; // which of them says a segment is not in there
    const speakers = result.speakers.filter(({ id }) => voices.includes(id));
    const before = new Set(speakers.map(nameOf));
    for (const speaker of speakers) speaker.name = name || null;
    for (const segment of result.segments) if (before.has(segment.speaker)) segment.speaker = name || voices[0];
    return true;
  },
  change: (name) => ({ speakers: Object.fromEntries(voices.map((id) => [id, name || null])) }),
});

class Desk {
  constructor(task, name) {
    this.task = task;
    this.name = name;
    this.authorization = `Bearer ${key()}`;
    this.result = null;
    this.drafts = new Map(); // id of a place -> draft
    this.queue = Promise.resolve();
    this.isGone = false;
  }

  #call(method, path, json) {
    return call(method, path, json, { Authorization: this.authorization });
  }

  /** Reads the transcript, and looks what others did to the places where something was typed. */
  async read() {
    let result;
    do result = await (await this.#call("GET", `result/${this.task}?format=json`)).json();
    while (this.result && result.version < this.result.version); // an answer from before our last correction
    this.result = result;
    for (const draft of [...this.drafts.values()]) this.#compare(draft);
  }

  /** The transcript in a format, with all corrections that could be saved. */
  async export(format) {
    await this.queue;
    return (await this.#call("GET", `result/${this.task}?format=${format}`)).blob();
  }

  // ---- typing

  /** Takes a place's text, with each letter that is typed. */
  type(place, text) {
    let draft = this.drafts.get(place.id);
    if (!draft) {
      const { task, result } = this;
      draft = { task, baseVersion: result.version, base: place.read(result), desk: this, place, state: "typing" };
      this.drafts.set(place.id, draft);
    }
    draft.text = text;
    if (draft.state === "failed") draft.state = "typing";
    if (draft.state === "typing" && text === draft.base) this.drafts.delete(place.id);
    draftChanged(draft);
  }

  /** Saves what was typed in a place, if something was. */
  commit(place) {
    const draft = this.drafts.get(place.id);
    if (!draft) return;
    draft.text = clean(draft.text);
    if (draft.state === "typing" && draft.text === draft.base) this.discard(draft);
    else if (draft.state === "typing" || draft.state === "failed") this.#enqueue(draft);
    else if (draft.state === "saving" && draft.text !== draft.sent) this.#enqueue(draft);
    else draftChanged(draft);
  }

  /** Gives a draft up: its place has the server's text again. */
  discard(draft) {
    this.drafts.delete(draft.place.id);
    draftChanged(draft);
    letGo(this);
  }

  /** Saves a draft in place of what others have written there. */
  overrule(draft) {
    draft.base = draft.theirs;
    draft.baseVersion = this.result.version;
    this.#enqueue(draft);
  }

  /** Saves the failed drafts again; where the key was refused, with the one that stands in the form by now. */
  retry() {
    for (const draft of this.drafts.values()) {
      if (draft.state !== "failed") continue;
      if ([401, 403, 404].includes(draft.status)) this.authorization = `Bearer ${key()}`;
      this.#enqueue(draft);
    }
  }

  /** Makes a version the newest again, behind all that waits. Resolves to the one that was newest before. */
  restore(version) {
    const done = this.queue.then(async () => {
      const before = this.result.version;
      await this.#call("PATCH", `tasks/${this.task}`, { restore: version, version: before });
      await this.read();
      deskRead(this);
      return before;
    });
    this.queue = done.catch(() => {});
    return done.catch(async (error) => {
      if (error.code !== "version_conflict") throw error;
      await this.read();
      deskRead(this);
      throw new Error("It has been corrected elsewhere meanwhile, so nothing was undone. This is the newest version.");
    });
  }

  /** Erases the recording behind all that waits. Resolves to the receipt. */
  async erase() {
    await this.queue;
    const receipt = await (await this.#call("DELETE", `tasks/${this.task}`)).json();
    this.isGone = true;
    for (const draft of [...this.drafts.values()]) this.discard(draft);
    return receipt;
  }

  // ---- saving

  #enqueue(draft) {
    draft.state = "waiting";
    draftChanged(draft);
    this.queue = this.queue.then(() => this.#save(draft));
  }

  async #save(draft) {
    if (draft.state !== "waiting" || this.drafts.get(draft.place.id) !== draft) return; // an earlier turn has done it
    draft.state = "saving";
    draft.sent = clean(draft.text);
    draftChanged(draft);
    try {
      const version = await this.#send(draft);
      if (version !== null) await this.#saved(draft, version);
    } catch (error) {
      if (this.isGone) return;
      if (draft.state === "saving") draft.state = "failed"; // else more was typed, and its turn comes
      Object.assign(draft, { problem: error.message, code: error.code, status: error.status });
    }
    draftChanged(draft);
    letGo(this);
  }

  /** Resolves to the version that a draft has made, or to null when others have written in its place. */
  async #send(draft) {
    for (let rereads = 0; ; rereads++) {
      const change = { ...draft.place.change(draft.sent), version: draft.baseVersion };
      try {
        return (await (await this.#call("PATCH", `tasks/${this.task}`, change)).json()).version;
      } catch (error) {
        if (error.code !== "version_conflict" || rereads === MOST_REREADS) throw error;
      }
      await this.read();
      deskRead(this);
      if (draft.state === "conflict" || this.drafts.get(draft.place.id) !== draft) return null;
    }
  }

  async #saved(draft, version) {
    const { place, sent, baseVersion } = draft;
    for (const other of this.drafts.values()) if (other.baseVersion === baseVersion) other.baseVersion = version;
    draft.base = sent;
    if (draft.text === sent) this.drafts.delete(place.id);
    else if (draft.state === "saving") draft.state = "typing";
    const isWhole = this.result.version >= version || place.write(this.result, sent);
    this.result.version = Math.max(this.result.version, version);
    draftSaved(draft);
    for (const other of this.drafts.values()) if (other.state === "failed" && other.code === NETWORK) this.#enqueue(other);
    if (isWhole) return;
    await this.read();
    deskRead(this);
  }

  /** What the server has in a draft's place by now: what it had, what was typed, or what others wrote. */
  #compare(draft) {
    const { place, base, text, sent, state } = draft;
    const current = place.read(this.result);
    if (current === text) {
      this.drafts.delete(place.id);
      if (state !== "typing") draftSaved(draft); // and the answer was lost
    } else if (current === base || current === sent) {
      draft.base = current;
      draft.baseVersion = this.result.version;
      if (state === "conflict") this.#enqueue(draft);
    } else {
      draft.state = "conflict";
      draft.theirs = current;
    }
    draftChanged(draft);
  }
}

/** The desk of a task, which is made when there is none. */
function deskOf(task, name) {
  if (!desks.has(task)) desks.set(task, new Desk(task, name));
  return desks.get(task);
}

/** Forgets a desk that is neither shown nor has anything to save. */
function letGo(desk) {
  if (!desk.drafts.size && shown?.desk !== desk) desks.delete(desk.task);
}

window.addEventListener("online", () => { for (const desk of desks.values()) desk.retry(); });
