import { expect, it } from "vitest";

import type { TaskNews } from "../api/events";
import { rowOf, told, type Row } from "./row";

const item = { task_id: "t", status: "processing", created_at: "2026-01-01T00:00:00Z" } as unknown as Row;
const news = (status: string, progress: number): TaskNews => ({
  task_id: "t",
  status,
  progress,
  eta_seconds: 3,
  queue_position: null,
  stage_detail: null,
  error: null,
});

it("keeps what was told meanwhile when the list is read again", () => {
  const row = told(rowOf(item), news("processing", 42));
  expect(rowOf(item, row).progress).toBe(42);
});

it("begins no task again that has ended", () => {
  const done = told(rowOf(item), news("done", 100));
  expect(told(done, news("processing", 50)).status).toBe("done");
  expect(rowOf({ ...item, status: "done" }, done).progress).toBe(100);
});
