/** Recordings on their way to the server, two at a time. A lost network only makes them wait. */

import { api } from "../api/client";
import { connection } from "../api/connection.svelte";
import { asFailure, type Failure } from "../api/failure";
import { session } from "../api/session.svelte";
import type { Picked } from "../send/chosen.svelte";
import { holdWhile } from "../shell/leaving";
import { isSame, problemOf, type Entry, type Fields } from "./entry";
import { readAll, remove, take, write, writeWithFile } from "./store";
import { freshId, isOpen, tabName, tabOf } from "./tabs";
import { LACKING, transfer } from "./transfer";

const AT_ONCE = 2;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
/** Refusals that pass, but not soon: the person should know. */
const SLOW: readonly string[] = ["quota_exceeded"];

class Queue {
  entries = $state<Entry[]>([]);
  /** How many became tasks since the page was opened. */
  done = $state(0);
  /** Hears of each that became one. */
  onTask: (task: string) => void = () => {};

  #tab = "";
  #page = freshId();
  #isStarted = false;
  #running = new Map<string, AbortController>();
  #wake = new Set<() => void>();

  constructor() {
    holdWhile(() => this.entries.some(({ state }) => state === "waiting" || state === "sending"));
    connection.onReturn(() => this.#wakeAll());
  }

  /** Each page of a tab is another owner, so that of two that take up the same entry one is refused. */
  get #owner(): string {
    return `${this.#tab}.${this.#page}`;
  }

  get sentBytes(): number {
    return this.entries.reduce((sum, entry) => sum + entry.sent, 0);
  }

  get bytes(): number {
    return this.entries.reduce((sum, entry) => sum + entry.size, 0);
  }

  /** Takes up what this tab, or one that is closed by now, had not sent to its end. */
  async start(): Promise<void> {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#tab = await tabName();
    for (const entry of this.entries) this.#change(entry, { owner: this.#owner }); // those that were added meanwhile
    for (const { id, keyId, owner } of await readAll()) {
      if (keyId !== session.info?.key_id) continue;
      if (owner === this.#owner || (tabOf(owner) !== this.#tab && (await isOpen(tabOf(owner))))) continue;
      const entry = await take(id, owner, this.#owner);
      if (!entry) continue; // another tab was quicker
      const isHere = entry.url !== null || entry.file !== null;
      const state = !isHere ? "lacking" : entry.state === "sending" || entry.state === "lacking" ? "waiting" : entry.state;
      this.entries.push({ ...entry, state });
    }
    this.#next();
  }

  /** Adds files and addresses, with the fields that they are submitted with. */
  add(files: { file: File; name: string }[], urls: string[], fields: (isUrl: boolean) => Fields): void {
    const common = { owner: this.#owner, keyId: session.info!.key_id, uploadId: null, state: "waiting", sent: 0, problem: null } as const;
    for (const { file, name } of files) {
      const { size, lastModified } = file;
      this.#keep({ ...common, id: freshId(), name, size, modified: lastModified, fields: fields(false), url: null, file });
    }
    for (const url of urls) {
      this.#keep({ ...common, id: freshId(), name: url, size: 0, modified: 0, fields: fields(true), url, file: null });
    }
    this.#next();
  }

  /** Gives files to the entries that wait for them, and returns the others. */
  takeAwaited(files: Picked[]): Picked[] {
    return files.filter(({ file }) => {
      const entry = this.entries.find((one) => one.state === "lacking" && isSame(one, file));
      if (!entry) return true;
      Object.assign(entry, { file, state: "waiting", problem: null });
      void writeWithFile($state.snapshot(entry) as Entry);
      this.#next();
      return false;
    });
  }

  pause(entry: Entry): void {
    this.#change(entry, { state: "paused" });
    this.#running.get(entry.id)?.abort();
    this.#next();
  }

  resume(entry: Entry): void {
    this.#change(entry, { state: entry.file || entry.url !== null ? "waiting" : "lacking", problem: null });
    this.#next();
  }

  /** Stops sending and takes back what the server has of it. */
  async remove(entry: Entry): Promise<void> {
    const dropped = this.#drop(entry);
    this.#running.get(entry.id)?.abort();
    this.#next();
    await dropped;
    if (entry.uploadId) await api.delete("/uploads/{upload_id}", { path: { upload_id: entry.uploadId } }).catch(() => {});
  }

  /** How many there are of this key, in all tabs. */
  async count(): Promise<number> {
    return new Set([...this.entries, ...(await this.#kept())].map(({ id }) => id)).size;
  }

  /** Takes back all of this key, in all tabs. */
  async removeAll(): Promise<void> {
    const own = this.entries.map((entry) => this.remove(entry));
    const others = (await this.#kept()).filter(({ id }) => !this.#find(id)).map((entry) => this.remove(entry));
    await Promise.all([...own, ...others]);
  }

  /** Another tab takes back all of this key: nothing stays here. */
  async forget(): Promise<void> {
    const drops = this.entries.map((entry) => this.#drop(entry));
    for (const stop of this.#running.values()) stop.abort();
    await Promise.all(drops);
  }

  async #kept(): Promise<Entry[]> {
    return (await readAll()).filter(({ keyId }) => keyId === session.info?.key_id);
  }

  // ---- sending

  #next(): void {
    for (const entry of this.entries) {
      if (this.#running.size >= AT_ONCE) return;
      if (entry.state === "waiting" && !this.#running.has(entry.id)) void this.#send(entry.id);
    }
  }

  async #send(id: string): Promise<void> {
    const stop = new AbortController();
    this.#running.set(id, stop);
    this.#update(id, { state: "sending", problem: null });
    try {
      const task = await this.#persist(id, stop.signal);
      const entry = this.#find(id);
      if (entry) void this.#drop(entry);
      this.done++;
      if (task) this.onTask(task);
    } catch (error) {
      if (!stop.signal.aborted) this.#fail(id, asFailure(error));
    } finally {
      this.#running.delete(id);
      this.#next();
    }
  }

  /** The task: tries until it is sent, or fails in a way that does not pass. Undefined where the entry is gone. */
  async #persist(id: string, signal: AbortSignal): Promise<string | undefined> {
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      const entry = this.#find(id);
      if (!entry) return undefined;
      try {
        return await transfer($state.snapshot(entry) as Entry, {
          signal,
          onUpload: (uploadId) => this.#update(id, { uploadId, sent: 0 }),
          onSent: (sent) => {
            pause = FIRST_PAUSE_MS;
            const now = this.#find(id);
            if (now) Object.assign(now, { sent, problem: null }); // not kept: the server knows it better
          },
        });
      } catch (error) {
        if (signal.aborted) throw error;
        const failure = asFailure(error);
        const isPassing = (failure.isPassing && !SLOW.includes(failure.code)) || failure.status === 401;
        if (!isPassing) throw failure;
        this.#update(id, { problem: problemOf(failure) });
      }
      await this.#rest(pause, signal);
    }
  }

  /** Waits for so long, or until the server is back, and in any case until somebody is signed in. */
  async #rest(pause: number, signal: AbortSignal): Promise<void> {
    do {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pause);
        const wake = () => {
          clearTimeout(timer);
          resolve();
        };
        this.#wake.add(wake);
        signal.addEventListener("abort", wake, { once: true });
      });
      signal.throwIfAborted();
    } while (session.standing !== "in");
  }

  #wakeAll(): void {
    for (const wake of this.#wake) wake();
    this.#wake.clear();
  }

  #fail(id: string, failure: Failure): void {
    this.#update(id, { state: failure.code === LACKING ? "lacking" : "failed", problem: problemOf(failure) });
  }

  // ---- entries

  #find(id: string): Entry | undefined {
    return this.entries.find((entry) => entry.id === id);
  }

  #keep(entry: Entry): void {
    this.entries.push(entry);
    void writeWithFile(entry);
  }

  #update(id: string, change: Partial<Entry>): void {
    const entry = this.#find(id);
    if (entry) this.#change(entry, change);
  }

  #change(entry: Entry, change: Partial<Entry>): void {
    Object.assign(entry, change);
    void write($state.snapshot(entry) as Entry);
  }

  #drop(entry: Entry): Promise<void> {
    this.entries = this.entries.filter((one) => one.id !== entry.id);
    return remove(entry.id);
  }
}

export const queue = new Queue();
