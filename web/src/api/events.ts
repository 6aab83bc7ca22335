/** GET /events: all tasks of the key in one stream, shared by whoever listens. */

import { send } from "./client";
import { connection } from "./connection.svelte";
import { Failure } from "./failure";

/** Where a task stands, as the stream tells it. */
export type TaskNews = {
  task_id: string;
  status: string;
  progress: number;
  eta_seconds: number | null;
  queue_position: number | null;
  stage_detail: string | null;
  error: { code: string; message: string } | null;
};

const ENDS: readonly string[] = ["done", "error", "cancelled"];

export const hasEnded = (status: string): boolean => ENDS.includes(status);

/** What listeners hear. `ready` comes whenever the stream was begun anew, when anything may have been missed. */
export type News = { event: "ready" } | { event: "status"; data: TaskNews } | { event: "deleted"; data: { task_id: string } };

/** As it comes: what an event tells stands beside its name and id. */
type Line = { event: string; id?: string } & Record<string, unknown>;

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 15_000;
const SILENCE_MS = 45_000; // four heartbeats
const NDJSON = "application/x-ndjson";

/** The JSON objects of a body that has one per line. */
export async function* lines<T>(answer: Response, onLife: () => void = () => {}): AsyncGenerator<T> {
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    onLife();
    const whole = (rest + value).split("\n");
    rest = whole.pop()!;
    for (const line of whole) if (line) yield JSON.parse(line) as T;
  }
}

class Events {
  #listeners = new Set<(news: News) => void>();
  #standings = new Map<string, TaskNews>(); // of tasks that run, for screens that are loaded after the stream has begun
  #stop: AbortController | null = null;
  #last = "";

  /** Hears all news from now on. Returns what ends that. */
  listen(hear: (news: News) => void): () => void {
    this.#listeners.add(hear);
    return () => this.#listeners.delete(hear);
  }

  /** Where a task that runs stands, as far as the stream has told. It tells nothing twice. */
  standing(task: string): TaskNews | undefined {
    return this.#standings.get(task);
  }

  /** Follows for as long as the tab is seen: a browser has six connections to a server, whatever the number of tabs. */
  start(): () => void {
    const turn = () => (document.visibilityState === "visible" ? this.#begin() : this.#end());
    document.addEventListener("visibilitychange", turn);
    turn();
    return () => {
      document.removeEventListener("visibilitychange", turn);
      this.#end();
      this.#standings.clear(); // whoever signs in next may have another key
      this.#last = "";
    };
  }

  #begin(): void {
    if (this.#stop) return;
    this.#stop = new AbortController();
    void this.#follow(this.#stop.signal);
  }

  #end(): void {
    this.#stop?.abort();
    this.#stop = null;
  }

  async #follow(signal: AbortSignal): Promise<void> {
    for (let pause = FIRST_PAUSE_MS; !signal.aborted; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      try {
        await this.#hear(signal, () => (pause = FIRST_PAUSE_MS));
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Failure && !error.isPassing) {
          if (error.status !== 401) console.warn(error);
          if (error.status === 403) return this.#end();
        }
        // where the session is over this is ended; else it was refused for the one before
        if (!(error instanceof Failure && error.status === 401)) connection.lost();
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  #keep(news: News): void {
    if (news.event === "ready") this.#standings.clear();
    else if (news.event === "status" && !hasEnded(news.data.status)) this.#standings.set(news.data.task_id, news.data);
    else this.#standings.delete(news.data.task_id);
  }

  async #hear(signal: AbortSignal, onLife: () => void): Promise<void> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      connection.reached();
      onLife();
    };
    try {
      const answer = await send("get", "events", {
        headers: { Accept: NDJSON, ...(this.#last ? { "Last-Event-ID": this.#last } : {}) },
        signal: AbortSignal.any([signal, silence.signal]),
      });
      for await (const { event, id, ...data } of lines<Line>(answer, alive)) {
        if (id) this.#last = id;
        if (event === "heartbeat") continue;
        const news = { event, data } as News;
        this.#keep(news);
        for (const hear of this.#listeners) hear(news);
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

export const events = new Events();
