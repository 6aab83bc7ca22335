import { expect, it, vi } from "vitest";

import type { News } from "../api/events";

const heard: ((news: News) => void)[] = [];
vi.mock("../api/events", () => ({ events: { listen: (hear: (news: News) => void) => heard.push(hear) } }));
vi.mock("../api/client", () => ({ api: { get: async () => ({ file: { name: "a.wav" } }) } }));
vi.mock("../routing/place.svelte", () => ({ here: { place: { id: null }, go: () => {} } }));

it("says of many failures in one line how many they are", async () => {
  const { ends } = await import("./ends.svelte");
  const { notices } = await import("./notices.svelte");
  ends.follow();
  const counts: number[] = [];
  for (let task = 0; task < 6; task++) {
    for (const status of ["processing", "error"]) {
      const data = { task_id: String(task), status, progress: 0, eta_seconds: null, queue_position: null, stage_detail: null, error: null };
      heard[0]?.({ event: "status", data });
    }
    await new Promise((resolve) => setImmediate(resolve));
    counts.push(notices.list.length);
  }
  expect(counts).toEqual([1, 2, 3, 1, 1, 1]);
  expect(notices.list).toMatchObject([{ tone: "bad", actions: [{}] }]);
});
