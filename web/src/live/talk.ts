/** A live session as its client has it: sends frames, keeps what is not acknowledged, and comes back when the line is cut. */

import { Failure } from "../api/failure";
import { Backlog, type Frame } from "./backlog";
import type { TextEvent } from "./text";

/** What is used of a WebSocket. */
export type Line = Pick<WebSocket, "send" | "close" | "onopen" | "onmessage" | "onclose">;

export type Ended = { reason: string; task: string };

export type Hooks = {
  /** Opens a line with this query. */
  open: (query: Record<string, string>) => Line;
  onLine: (isOpen: boolean) => void;
  onText: (event: TextEvent) => void;
  /** Less waits to be acknowledged. */
  onStored: () => void;
  /** The session has ended. `rest` is sound that it did not take. */
  onEnded: (ended: Ended, rest: Frame[]) => void;
  /** It cannot begin, or not go on. */
  onRefused: (failure: Failure) => void;
  /** The browser's session is over: it is asked for the key. */
  onUnauthorized: () => void;
};

type Message =
  | { type: "hello"; session: string; seq: number; event: number }
  | { type: "ack"; seq: number }
  | { type: "ended"; reason: string }
  | { type: "error"; code: string; message: string; detail?: Record<string, unknown> }
  | ({ id: number } & (TextEvent | { type: "speech_started" | "speech_stopped" | "cut" }));

const IN_FLIGHT = 40; // frames: ten seconds
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5_000;
const SILENCE_MS = 10_000; // of a server that has something to acknowledge
const OPENING_MS = 15_000;

/** Refusals with which a session that has begun is over. */
const FINAL: readonly string[] = ["forbidden", "not_found", "session_taken", "cancelled", "invalid_request", "csrf_failed"];

export const NO_LINE = "no_line";

export class Talk {
  readonly backlog = new Backlog();
  #line: Line | null = null;
  #session = "";
  #isGreeted = false;
  #event = 0; // the last that was told
  #sent = 0; // the last frame that this line has
  #isEnding = false;
  #hasSaidEnd = false;
  #isOver = false;
  #pause = FIRST_PAUSE_MS;
  #alarm: ReturnType<typeof setTimeout> | undefined;
  #problem: Failure | null = null;

  constructor(
    private readonly query: Record<string, string>,
    private readonly hooks: Hooks,
    /** Whether it goes on with one that had begun: then it waits until there is room for it. */
    private readonly isPatient = false,
  ) {
    this.#open();
  }

  get task(): string {
    return this.#session;
  }

  /** A frame of sound; an empty one ends what is being said. */
  add(frame: Frame): void {
    this.backlog.add(frame);
    this.#pump();
  }

  /** No more comes. */
  end(): void {
    this.#isEnding = true;
    this.#pump();
  }

  /** Tries again now, where it waits to. */
  wake(): void {
    if (this.#line || this.#isOver) return;
    this.#open();
  }

  /** Leaves. A session that has begun ends on the server after a while. */
  leave(): void {
    this.#isOver = true;
    this.#drop();
  }

  #open(): void {
    clearTimeout(this.#alarm);
    const place = this.#session ? { session: this.#session, after: String(this.#event) } : {};
    this.#problem = null;
    const line = this.hooks.open({ ...this.query, ...place });
    this.#line = line;
    line.onmessage = ({ data }) => this.#hear(JSON.parse(String(data)) as Message);
    line.onclose = () => this.#lose();
    this.#watch(OPENING_MS);
  }

  /** Gives a line up that says nothing for so long: a network that is gone tells nobody. */
  #watch(ms: number): void {
    clearTimeout(this.#alarm);
    this.#alarm = setTimeout(() => this.#lose(), ms);
  }

  #drop(): void {
    clearTimeout(this.#alarm);
    const line = this.#line;
    this.#line = null;
    this.#isGreeted = false;
    if (!line) return;
    line.onmessage = line.onclose = null;
    line.close();
  }

  #lose(): void {
    this.#drop();
    if (this.#isOver) return;
    const problem = this.#problem;
    if (problem?.code === "unauthorized") this.hooks.onUnauthorized();
    else if ((problem && FINAL.includes(problem.code)) || !(this.#session || this.isPatient)) {
      this.#isOver = true;
      this.hooks.onRefused(problem ?? new Failure(NO_LINE, "No live connection could be made."));
      return;
    }
    this.hooks.onLine(false);
    this.#alarm = setTimeout(() => this.#open(), this.#pause);
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE_MS);
  }

  #hear(message: Message): void {
    if (this.#isGreeted) this.#rest();
    switch (message.type) {
      case "hello":
        this.#session = message.session;
        this.#isGreeted = true;
        this.#hasSaidEnd = false;
        this.#pause = FIRST_PAUSE_MS;
        this.backlog.ack(message.seq);
        this.#sent = message.seq;
        this.hooks.onLine(true);
        break;
      case "ack":
        this.backlog.ack(message.seq);
        this.hooks.onStored();
        break;
      case "ended":
        this.#isOver = true;
        this.#drop();
        this.hooks.onEnded({ reason: message.reason, task: this.#session }, this.backlog.take());
        return;
      case "error":
        this.#problem = new Failure(message.code, message.message, 0, message.detail ?? {});
        return;
      default:
        if (message.id <= this.#event) return;
        this.#event = message.id;
        if (message.type === "partial" || message.type === "final") this.hooks.onText(message);
    }
    this.#rest();
    this.#pump();
  }

  /** As long as nothing is to be acknowledged, a server may say nothing. */
  #rest(): void {
    clearTimeout(this.#alarm);
    if (this.#sent > this.backlog.acked) this.#watch(SILENCE_MS);
  }

  #pump(): void {
    if (!this.#isGreeted || !this.#line) return;
    const isIdle = this.#sent <= this.backlog.acked;
    while (this.#sent < this.backlog.last && this.#sent - this.backlog.acked < IN_FLIGHT) this.#line.send(this.backlog.at(++this.#sent));
    if (this.#isEnding && !this.#hasSaidEnd && this.#sent === this.backlog.last) {
      this.#hasSaidEnd = true;
      this.#line.send('{"type": "end"}');
    }
    if (isIdle && this.#sent > this.backlog.acked) this.#watch(SILENCE_MS);
  }
}
