/** Whatever is typed, whenever the network fails, others write or the page is killed: nothing is lost or misplaced. */

import fc from "fast-check";
import { expect, it } from "vitest";
import { nameOf, textOf } from "../model/steps";
import { Archive, type Weather } from "./archive";
import { Outbox } from "./outbox";
import type { Server } from "./server";
import { MemoryStore } from "./store";

const TASKS = ["a", "b"];
const SEGMENTS = 3;
const PATIENCE_MS = 60_000; // of a machine with other things to do

type Action =
  | { do: "type" | "commit" | "theirs" | "undo" | "redo"; task: string; segment: number }
  | { do: "weather"; weather: Weather }
  | { do: "wait" | "retry" | "crash" };

const task = fc.constantFrom(...TASKS);
const segment = fc.nat(SEGMENTS - 1);
const about = (...kinds: ("type" | "commit" | "theirs" | "undo" | "redo")[]): fc.Arbitrary<Action> =>
  fc.record({ do: fc.constantFrom(...kinds), task, segment });
const weather: fc.Arbitrary<Action> = fc.record({
  do: fc.constant("weather" as const),
  weather: fc.constantFrom<Weather>("fine", "request lost", "answer lost", "busy"),
});
const plain = (...kinds: ("wait" | "retry" | "crash")[]): fc.Arbitrary<Action> => fc.record({ do: fc.constantFrom(...kinds) });

/** Pages of one browser, of which one lives at a time, before one server. */
class Browser {
  readonly archive = new Archive();
  readonly store = new MemoryStore();
  page!: Outbox;
  #isDead = { now: false };

  constructor() {
    for (const name of TASKS) this.archive.add(name, ...Array.from({ length: SEGMENTS }, (_, n) => `${name}: ${n}`));
  }

  async start(): Promise<void> {
    const life = (this.#isDead = { now: false });
    const whileAlive = <T>(work: () => Promise<T>): Promise<T> => (life.now ? new Promise(() => undefined) : work());
    const server: Server = {
      exists: (name) => whileAlive(() => this.archive.exists(name)),
      result: (name) => whileAlive(() => this.archive.result(name).then((one) => whileAlive(async () => one))),
      correct: (name, body) => whileAlive(() => this.archive.correct(name, body).then((one) => whileAlive(async () => one))),
    };
    const { all, put, remove } = this.store;
    const store = { // what a dead page writes does not arrive
      all: (owner: string) => all.call(this.store, owner),
      put: (edit: Parameters<typeof put>[0]) => whileAlive(() => put.call(this.store, structuredClone(edit))),
      remove: (id: string) => whileAlive(() => remove.call(this.store, id)),
    };
    this.page = new Outbox("key", server, store);
    await this.page.open(async () => new Set());
    for (const name of TASKS) await this.page.desk(name, name).load();
  }

  async crash(): Promise<void> {
    this.#isDead.now = true;
    this.page.close();
    await this.start();
  }

  /** Sends all there is; what is asked about is kept, and what stands in a field is left. */
  async finish(): Promise<void> {
    this.archive.weather = [];
    for (let rounds = 0; this.page.edits.length; rounds++) {
      if (rounds > 20) throw new Error(`These edits never end: ${JSON.stringify(this.page.edits.map(({ edit }) => edit))}`);
      for (const { desk, edit } of this.page.edits) {
        if (edit.state === "typing") for (const { place } of edit.steps) desk.commit(place);
        if (edit.state === "conflict") desk.keepMine(edit.id);
      }
      this.page.retry();
      for (const name of TASKS) await this.page.desk(name, name).idle();
    }
    this.page.close();
  }
}

it("loses and misplaces nothing", async () => {
  const actions = fc.array(fc.oneof(about("type"), about("commit", "theirs"), weather, plain("wait", "retry", "crash")), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(actions, async (plan) => {
      const browser = new Browser();
      await browser.start();
      const last = new Map<string, string>();
      for (const [number, action] of plan.entries()) {
        if (action.do === "weather") browser.archive.weather.push(action.weather);
        else if (action.do === "wait") await new Promise((resolve) => setImmediate(resolve));
        else if (action.do === "retry") browser.page.retry();
        else if (action.do === "crash") await browser.crash();
        else if ("task" in action) {
          const desk = browser.page.desk(action.task, action.task);
          const place = textOf(action.segment);
          const text = `${action.task}: ${action.do} ${number}`;
          if (action.do === "type") {
            desk.type(place, text);
            last.set(`${action.task} ${action.segment}`, text);
          } else if (action.do === "commit") desk.commit(place);
          else browser.archive.write(action.task, { segments: [{ id: action.segment, text }] });
        }
      }
      await browser.finish();
      expect(browser.store.edits.size).toBe(0);
      for (const name of TASKS) {
        const written = browser.archive.written(name);
        for (const text of written) expect(text.startsWith(`${name}: `)).toBe(true);
        for (const [where, text] of last) if (where.startsWith(name)) expect(written).toContain(text);
        const desk = browser.page.desk(name, name);
        await desk.load();
        expect(desk.shown?.segments.map(({ text }) => text)).toEqual(browser.archive.texts(name));
      }
    }),
    { numRuns: 100 },
  );
}, PATIENCE_MS);

it("undoes and redoes on the server what it undoes and redoes on the screen", async () => {
  const actions = fc.array(fc.oneof(about("type"), about("undo", "redo"), weather, plain("wait", "retry")), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(actions, async (plan) => {
      const browser = new Browser();
      await browser.start();
      const [desk] = TASKS.map((name) => browser.page.desk(name, name)) as [ReturnType<Outbox["desk"]>];
      const look = (): string[] => desk.shown?.segments.map(({ text }) => text) ?? [];
      const before = look();
      const states = [before];
      let place = 0;
      for (const [number, action] of plan.entries()) {
        if (action.do === "weather") browser.archive.weather.push(action.weather);
        else if (action.do === "wait") await new Promise((resolve) => setImmediate(resolve));
        else if (action.do === "retry") browser.page.retry();
        else if (action.do === "undo" && place > 0) {
          await desk.undo();
          place -= 1;
        } else if (action.do === "redo" && place < states.length - 1) {
          await desk.redo();
          place += 1;
        } else if (action.do === "type" && "segment" in action) {
          desk.change([[textOf(action.segment), `a: new ${number}`]]);
          states.splice(place + 1, Infinity, look());
          place += 1;
        }
        expect(look()).toEqual(states[place]);
      }
      await browser.finish();
      expect(browser.archive.texts("a")).toEqual(states[place]);
      for (; place > 0; place--) await desk.undo();
      await desk.idle();
      expect(browser.archive.texts("a")).toEqual(before);
      while (desk.canRedo) await desk.redo();
      await desk.idle();
      expect(browser.archive.texts("a")).toEqual(states.at(-1));
    }),
    { numRuns: 100 },
  );
}, PATIENCE_MS);

it("merges speakers and separates them as they were, whatever is typed meanwhile", async () => {
  const names = fc.constantFrom("Anna", "Bert", null);
  const actions = fc.array(fc.record({ first: names, second: names, segment, isUndone: fc.boolean() }), { maxLength: 10 });
  await fc.assert(
    fc.asyncProperty(actions, async (plan) => {
      const browser = new Browser();
      await browser.start();
      const desk = browser.page.desk("a", "a");
      for (const [number, { first, second, segment: at, isUndone }] of plan.entries()) {
        const before = browser.archive.voices("a");
        desk.change([[nameOf("spk_1"), first], [nameOf("spk_2"), second]]);
        const isChanged = desk.edits.length > 0;
        await desk.idle();
        if (isUndone && isChanged) {
          await desk.undo();
          await desk.idle();
          expect(browser.archive.voices("a")).toEqual(before);
        }
        desk.change([[textOf(at), `a: new ${number}`]]);
      }
      for (let count = 0; desk.canUndo && count < 100; count++) await desk.undo();
      await desk.idle();
      expect(desk.edits).toEqual([]);
      expect(browser.archive.voices("a")).toEqual(["spk_1", "spk_2", "spk_1"]);
      expect(browser.archive.texts("a")).toEqual(["a: 0", "a: 1", "a: 2"]);
      browser.page.close();
    }),
    { numRuns: 100 },
  );
}, PATIENCE_MS);
