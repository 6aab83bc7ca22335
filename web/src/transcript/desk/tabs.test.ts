/** Pages of one browser, of which some are too busy to answer. */

import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { answerTabs, tabsThatAnswer } from "./tabs";

type Channel = { onmessage?: (message: { data: string }) => void };

let channels: Channel[];
let held: Set<string>;

/** Says something to all pages. */
const say = (data: string): void => channels.forEach((one) => one.onmessage?.({ data }));

beforeEach(() => {
  vi.useFakeTimers();
  channels = [];
  held = new Set();
  vi.stubGlobal("BroadcastChannel", function (this: Channel) {
    channels.push(this);
    Object.assign(this, { postMessage: () => {}, close: () => {} });
  });
  vi.stubGlobal("navigator", {
    locks: {
      request: async (name: string, whileHeld: () => Promise<unknown>) => {
        held.add(name);
        await whileHeld();
        held.delete(name);
      },
      query: async () => ({ held: [...held].map((name) => ({ name })) }),
    },
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("waits for the answer of a page that lives", async () => {
  answerTabs("busy");
  const found = tabsThatAnswer("own", ["busy", "gone"]);
  const ended = vi.fn();
  void found.then(ended);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(ended).not.toHaveBeenCalled();
  say("busy");
  await vi.advanceTimersByTimeAsync(250);
  expect(await found).toEqual(new Set(["busy"]));
});

it("takes a page for dead that lets go of its lock late", async () => {
  answerTabs("left");
  const found = tabsThatAnswer("own", ["left"]);
  await vi.advanceTimersByTimeAsync(1_000);
  held.clear();
  await vi.advanceTimersByTimeAsync(250);
  expect(await found).toEqual(new Set());
});

it("takes a page for alive that is stopped", async () => {
  answerTabs("stopped");
  const found = tabsThatAnswer("own", ["stopped"]);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await found).toEqual(new Set(["stopped"]));
});

it("asks those that answer where there are no locks", async () => {
  vi.stubGlobal("navigator", {});
  answerTabs("there");
  const found = tabsThatAnswer("own", ["there", "gone"]);
  say("there");
  await vi.advanceTimersByTimeAsync(250);
  expect(await found).toEqual(new Set(["there"]));
});
