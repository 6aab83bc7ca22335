/** A list whose answers come late and in any order, beside a stream that tells everything once. */

import { beforeEach, expect, it, vi } from "vitest";

type Asked = { url: string; answer: (body: object, status?: number) => Promise<unknown> };

let asked: Asked[];
let stream: ReadableStreamDefaultController<Uint8Array>;

const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms);
const REFRESHED_MS = 300;

const item = (task_id: string, status: string, more: object = {}) => ({ task_id, status, created_at: `2026-01-01T00:00:0${task_id}Z`, ...more });
const page = (...items: object[]) => ({ items, next_cursor: null });

async function tell(line: object) {
  stream.enqueue(new TextEncoder().encode(`${JSON.stringify(line)}\n`));
  await settle();
}

const status = (task_id: string, status: string, queue_position: number | null = null) =>
  tell({ event: "status", task_id, status, progress: 0, eta_seconds: null, queue_position, stage_detail: null, error: null });

/** The next request for a place, once it was made. */
function next(place: string): Asked {
  const at = asked.findIndex(({ url }) => url.startsWith(place));
  if (at < 0) throw new Error(`nobody asks for ${place}, but for ${asked.map(({ url }) => url).join(", ")}`);
  return asked.splice(at, 1)[0]!;
}

/** A list that is asked for, and the stream beside it. */
async function begin() {
  vi.resetModules();
  const { events } = await import("../api/events");
  const { List } = await import("./list.svelte");
  const list = new List();
  list.follow();
  events.start();
  void list.load({});
  await settle();
  return list;
}

/** A list that shows tasks, and has nothing to do. */
async function showing(...items: object[]) {
  const list = await begin();
  await next("history").answer(page(...items));
  return list;
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.clearAllTimers(); // those of earlier lists
  asked = [];
  vi.stubGlobal("document", { visibilityState: "visible", addEventListener: () => {}, removeEventListener: () => {} });
  vi.stubGlobal("fetch", (url: string) => {
    if (url === "events") return Promise.resolve(new Response(new ReadableStream({ start: (controller) => void (stream = controller) })));
    return new Promise<Response>((resolve) => {
      const answer = (body: object, status = 200) => {
        resolve(new Response(JSON.stringify(body), { status }));
        return settle();
      };
      asked.push({ url, answer });
    });
  });
});

it("lists nothing that was deleted while the list was on its way", async () => {
  const list = await begin();
  await tell({ event: "deleted", task_id: "1" });
  await next("history").answer(page(item("2", "done"), item("1", "done")));
  expect(list.ids).toEqual(["2"]);
});

it("brings nothing back that was deleted while it was looked up", async () => {
  const list = await showing(item("1", "queued"));
  list.touch("1");
  await settle(REFRESHED_MS);
  await tell({ event: "deleted", task_id: "1" });
  await next("tasks/1").answer({ ...item("1", "queued"), file: {} });
  expect(list.ids).toEqual([]);
});

it("shows an end that was told while an older list was on its way", async () => {
  const list = await showing(item("1", "processing"));
  void list.load({});
  await status("1", "done");
  await settle(REFRESHED_MS); // by then it might have been looked up
  for (const one of asked.filter(({ url }) => url.startsWith("tasks/1"))) await one.answer({ ...item("1", "done", { duration: 5 }), file: {} });
  await next("history").answer(page(item("1", "processing")));
  await settle(REFRESHED_MS);
  await next("tasks/1").answer({ ...item("1", "done", { duration: 5 }), file: {} });
  expect(list.rows.get("1")).toMatchObject({ status: "done", duration: 5 });
});

it("shows an end that was told while what was searched for was on its way", async () => {
  const list = await showing();
  void list.load({ q: "train" });
  await status("1", "done");
  await status("2", "done");
  await next("history").answer(page(item("1", "processing")));
  await settle(REFRESHED_MS);
  await next("tasks/1").answer({ ...item("1", "done", { duration: 5 }), file: {} });
  expect(list.rows.get("1")).toMatchObject({ status: "done", duration: 5 });
  expect(asked).toEqual([]); // what is not listed is not looked up
});

it("keeps what was told while an older answer was on its way", async () => {
  const list = await showing(item("1", "queued"));
  list.touch("1");
  await settle(REFRESHED_MS);
  await status("1", "queued", 1);
  await next("tasks/1").answer({ ...item("1", "queued", { queue_position: 2 }), file: {} });
  expect(list.rows.get("1")?.queue_position).toBe(1);

  void list.load({});
  await status("1", "processing");
  await next("history").answer(page(item("1", "queued")));
  expect(list.rows.get("1")?.status).toBe("processing");
});

it("looks again when the stream has begun while the list was on its way", async () => {
  const list = await begin();
  await tell({ event: "ready" });
  await settle(REFRESHED_MS);
  await next("history").answer(page(item("1", "processing")));
  await settle(REFRESHED_MS);
  await next("history").answer(page(item("1", "done", { duration: 5 })));
  expect(list.rows.get("1")).toMatchObject({ status: "done", duration: 5 });
});

it("reads all anew after a gap also where it knows of one change", async () => {
  const list = await showing(item("1", "processing"), item("2", "processing"));
  await tell({ event: "ready" });
  await status("1", "done");
  await settle(REFRESHED_MS);
  await next("history").answer(page(item("1", "done"), item("2", "done")));
  expect([...list.rows.values()].map((row) => row.status)).toEqual(["done", "done"]);
});

it("asks again for what it could not look up", async () => {
  const list = await showing();
  await status("1", "queued");
  await settle(REFRESHED_MS);
  await next("tasks/1").answer({ code: "service_busy", message: "Busy." }, 503);
  expect(list.ids).toEqual([]);
  await settle(3_000);
  await next("tasks/1").answer({ ...item("1", "queued"), file: {} });
  expect(list.ids).toEqual(["1"]);
});
