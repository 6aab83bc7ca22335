import fc from "fast-check";
import { afterEach, beforeEach, expect, it, vi } from "vitest";

import type { Failure } from "../api/failure";
import type { Frame } from "./backlog";
import { Talk, type Ended, type Line } from "./talk";

/** A server with one session, which stores what it is sent, and its lines, of which the last is open. */
class Server {
  stored: number[] = [];
  seq = 0;
  lines: ServerLine[] = [];
  queries: Record<string, string>[] = [];
  ended = "";
  isAway = false;

  open(query: Record<string, string>): Line {
    const line = new ServerLine(this);
    this.queries.push(query);
    this.lines.push(line);
    queueMicrotask(() => (this.isAway ? line.drop() : line.say({ type: "hello", session: "s", seq: this.seq, event: 0 })));
    return line;
  }

  get line(): ServerLine {
    return this.lines.at(-1)!;
  }
}

class ServerLine implements Line {
  onopen = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  sent: (Frame | string)[] = [];
  taken = 0;
  isClosed = false;

  constructor(private readonly server: Server) {}

  send(data: unknown): void {
    this.sent.push(data as Frame | string);
  }

  close(): void {
    this.isClosed = true;
  }

  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) } as MessageEvent);
  }

  /** Stores so many of the frames that were sent, and says so unless the answer is lost. */
  store(count: number, isTold = true): void {
    for (const frame of this.sent.slice(this.taken, this.taken + count)) {
      if (typeof frame === "string") continue;
      this.server.stored.push(...frame);
      this.server.seq += 1;
    }
    this.taken = Math.min(this.sent.length, this.taken + count);
    if (isTold) this.say({ type: "ack", seq: this.server.seq, bytes: 0 });
  }

  drop(): void {
    this.isClosed = true;
    this.onclose?.({} as CloseEvent);
  }
}

let server: Server;
let heard: { lines: boolean[]; texts: string[]; ended: [Ended, Frame[]][]; refused: string[]; isAsked: number };

beforeEach(() => {
  vi.useFakeTimers();
  server = new Server();
  heard = { lines: [], texts: [], ended: [], refused: [], isAsked: 0 };
});

afterEach(() => void vi.useRealTimers());

const begin = (isPatient = false): Talk =>
  new Talk(
    { rate: "16000" },
    {
      open: (query) => server.open(query),
      onLine: (isOpen) => void heard.lines.push(isOpen),
      onText: (event) => void heard.texts.push(event.type),
      onStored: () => {},
      onEnded: (ended, rest) => void heard.ended.push([ended, rest]),
      onRefused: (failure: Failure) => void heard.refused.push(failure.code),
      onUnauthorized: () => void heard.isAsked++,
    },
    isPatient,
  );

const soon = () => vi.advanceTimersByTimeAsync(0);
const later = (ms: number) => vi.advanceTimersByTimeAsync(ms);

it("loses and doubles nothing, however often the line is cut, and whatever answers are lost", async () => {
  const steps = fc.array(fc.oneof(fc.constant("say"), fc.constant("cut"), fc.constant("store"), fc.constant("store untold"), fc.constant("wait")), {
    maxLength: 120,
  });
  await fc.assert(
    fc.asyncProperty(steps, async (steps) => {
      server = new Server();
      const talk = begin();
      await soon();
      let count = 0;
      for (const step of steps) {
        if (step === "say") talk.add(new Uint8Array([count++ % 256]));
        else if (step === "cut") server.line.drop();
        else if (step === "wait") await later(6_000);
        else server.line.store(3, step === "store");
      }
      talk.end();
      await later(20_000);
      for (let round = 0; round < 10; round++) server.line.store(40);
      expect(server.stored).toEqual(Array.from({ length: count }, (_, n) => n % 256));
      expect(server.line.sent.at(-1)).toBe('{"type": "end"}');
      talk.leave();
    }),
    { numRuns: 60 },
  );
});

it("comes back to its session behind the last event, and is told nothing twice", async () => {
  begin();
  await soon();
  const final = { type: "final", id: 3, utterance: 0, start: 0, text: "One." };
  server.line.say(final);
  server.line.drop();
  await later(1_000);
  expect(server.queries).toEqual([{ rate: "16000" }, { rate: "16000", session: "s", after: "3" }]);
  server.line.say(final);
  expect(heard.texts).toEqual(["final"]);
  expect(heard.lines).toEqual([true, false, true]);
});

it("gives a line up on which nothing is acknowledged", async () => {
  const talk = begin();
  await soon();
  await later(60_000);
  expect(server.lines).toHaveLength(1); // there was nothing to acknowledge
  talk.add(new Uint8Array([1]));
  await later(9_000);
  talk.add(new Uint8Array([2]));
  await later(2_000);
  expect(server.lines).toHaveLength(2);
  server.line.store(9);
  expect(server.stored).toEqual([1, 2]);
});

it("has no more than ten seconds on the way", async () => {
  const talk = begin();
  await soon();
  for (let count = 0; count < 100; count++) talk.add(new Uint8Array([count]));
  expect(server.line.sent).toHaveLength(40);
  server.line.store(10);
  expect(server.line.sent).toHaveLength(50);
  expect(talk.backlog.bytes).toBe(90);
});

it("says why it cannot begin", async () => {
  server.isAway = true;
  begin();
  await soon();
  expect(heard.refused).toEqual(["no_line"]);
  server.isAway = false;
  begin(); // and is refused before it is greeted
  server.line.say({ type: "error", code: "service_busy", message: "", detail: { retry_after_s: 10 } });
  server.line.drop();
  await later(10_000);
  expect(heard.refused).toEqual(["no_line", "service_busy"]);
  expect(server.lines).toHaveLength(2);
});

it("goes on when the server was busy or restarted, and asks for the key when the browser's session is over", async () => {
  begin();
  await soon();
  for (const code of ["service_busy", "database_unavailable", "unauthorized"]) {
    server.line.say({ type: "error", code, message: "" });
    server.line.drop();
    await later(6_000);
  }
  expect(heard.refused).toEqual([]);
  expect(heard.isAsked).toBe(1);
  expect(heard.lines.at(-1)).toBe(true);
  server.line.say({ type: "error", code: "cancelled", message: "" });
  server.line.drop();
  expect(heard.refused).toEqual(["cancelled"]);
});

it("hands over what a session that has ended did not take", async () => {
  const talk = begin();
  await soon();
  talk.add(new Uint8Array([1]));
  server.line.store(1);
  server.isAway = true;
  server.line.drop();
  for (const sample of [2, 3]) talk.add(new Uint8Array([sample]));
  talk.add(new Uint8Array()); // a cut is no sound
  await later(30_000);
  server.isAway = false;
  talk.wake();
  await soon();
  server.line.say({ type: "ended", reason: "abandoned" });
  expect(heard.ended).toEqual([[{ reason: "abandoned", task: "s" }, [new Uint8Array([2]), new Uint8Array([3])]]]);
  talk.wake();
  expect(server.line.isClosed).toBe(true);
});

it("waits for room where it goes on with what had begun", async () => {
  server.isAway = true;
  const talk = begin(true);
  talk.add(new Uint8Array([1]));
  await soon();
  expect(heard.refused).toEqual([]);
  server.isAway = false;
  await later(500);
  server.line.store(1);
  expect(server.stored).toEqual([1]);
  server.isAway = true;
  const refused = begin(true);
  await soon();
  server.isAway = false;
  await later(500);
  server.line.say({ type: "error", code: "forbidden", message: "" });
  server.line.drop();
  expect([heard.refused, refused.backlog.last]).toEqual([["forbidden"], 0]);
});
