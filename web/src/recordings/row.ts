/** A recording as the list shows it, and what the stream of events changes in it. */

import { hasEnded, type TaskNews } from "../api/events";
import type { Schemas } from "../api/types";

export type Row = Schemas["HistoryItem"] & {
  progress: number;
  eta_seconds: number | null;
  queue_position: number | null;
  stage_detail: string | null;
};

export const canRetry = (row: Row): boolean => row.status === "error" || row.status === "cancelled";
export const canCancel = (row: Row): boolean => ["live", "queued", "processing"].includes(row.status);

type Standing = Pick<Row, "status">;

/** Whether an answer was written before what is known already: a task that has ended does not begin again. */
const isOlder = (answer: Standing, known: Standing): boolean => hasEnded(known.status) && !hasEnded(answer.status);

/** A row of GET /history, with what is known of its task besides: as it was listed before, or from the stream. */
export function rowOf(item: Schemas["HistoryItem"], before?: Row | TaskNews): Row {
  if (before && "created_at" in before && isOlder(item, before)) return { ...before, snippets: item.snippets ?? before.snippets ?? null };
  const isSame = before && before.status === item.status;
  return {
    ...item,
    progress: isSame ? before.progress : item.status === "done" ? 100 : 0,
    eta_seconds: isSame ? before.eta_seconds : null,
    queue_position: isSame ? before.queue_position : null,
    stage_detail: isSame ? before.stage_detail : null,
    snippets: item.snippets ?? (before && "snippets" in before ? before.snippets : null) ?? null,
  };
}

/** A row of GET /tasks/{task_id}. */
export function rowOfTask(task: Schemas["TaskDetail"], before?: Row): Row {
  if (before && isOlder(task, before)) return before;
  const { file, options: _options, stages: _stages, ...rest } = task;
  return { ...rest, filename: file.name ?? file.url ?? null, snippets: before?.snippets ?? null };
}

/** The row after news of its task. A task that has ended does not begin again. */
export function told(row: Row, news: TaskNews): Row {
  if (hasEnded(row.status) && !hasEnded(news.status)) return row;
  return {
    ...row,
    status: news.status as Row["status"],
    progress: news.progress,
    eta_seconds: news.eta_seconds,
    queue_position: news.queue_position,
    stage_detail: news.stage_detail,
    error: news.error,
  };
}
