import { beforeEach, expect, it, vi } from "vitest";

import type { News } from "../api/events";

const heard: ((news: News) => void)[] = [];
vi.mock("../api/events", () => ({ events: { listen: (hear: (news: News) => void) => heard.push(hear) } }));
vi.mock("../api/client", () => ({ api: { get: async () => ({ file: { name: "a.wav" } }) } }));
vi.mock("../routing/place.svelte", () => ({ here: { place: { id: null }, go: () => {} } }));

beforeEach(async () => {
  vi.resetModules();
  heard.length = 0;
});

const told = (task_id: string, status: string): void => {
  const data = { task_id, status, progress: 0, eta_seconds: null, queue_position: null, stage_detail: null, error: null };
  heard[0]?.({ event: "status", data });
};

const settle = () => new Promise((resolve) => setImmediate(resolve));

it("says once that what was sent from here is done, whichever comes first, the end or the answer to sending", async () => {
  const { ends } = await import("./ends.svelte");
  const { notices } = await import("./notices.svelte");
  ends.follow();
  told("1", "done");
  told("of others", "done");
  await settle();
  expect(notices.list).toHaveLength(0); // it may have ended before the page was opened
  ends.expect("1");
  await settle();
  expect(notices.list).toHaveLength(1);
  ends.expect("2");
  told("2", "done");
  told("3", "processing");
  told("3", "done");
  await settle();
  expect(notices.list).toHaveLength(3);
  ends.expect("3"); // an answer that is late
  for (const task of ["1", "2", "3"]) told(task, "done"); // as a stream that is resumed does
  await settle();
  expect(notices.list).toHaveLength(3);
});

it("says of many failures in one line how many they are", async () => {
  const { ends } = await import("./ends.svelte");
  const { notices } = await import("./notices.svelte");
  ends.follow();
  const counts: number[] = [];
  for (let task = 0; task < 6; task++) {
    for (const status of ["processing", "error"]) told(String(task), status);
    await settle();
    counts.push(notices.list.length);
  }
  expect(counts).toEqual([1, 2, 3, 1, 1, 1]);
  expect(notices.list).toMatchObject([{ tone: "bad", actions: [{}] }]);
});
