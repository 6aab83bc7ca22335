/** What can be done with recordings of the list: cancel, try again, label, delete. */

import { api } from "../api/client";
import { Failure } from "../api/failure";
import { t } from "../i18n/index.svelte";
import { keepReceipt } from "../receipts/receipts.svelte";
import { complain } from "../shell/explain";
import { notices } from "../shell/notices.svelte";
import { ask } from "../shell/question.svelte";
import type { List } from "./list.svelte";
import { canCancel, canRetry, type Row } from "./row";

export const nameOf = (row: { filename: string | null }): string => row.filename || t("recordings.unnamed");

export async function cancel(list: List, row: Row): Promise<void> {
  const yes = await ask({
    title: t("recordings.cancelOne", { name: nameOf(row) }),
    text: t("recordings.cancelText"),
    yes: t("recordings.cancel"),
    isDangerous: true,
  });
  if (!yes) return;
  await api.post("/tasks/{task_id}/cancel", { path: { task_id: row.task_id } });
  list.touch(row.task_id);
}

const retried = new Set<string>(); // that are on their way: two clicks are one

/** Tries failed recordings again: each becomes a new task beside the old one. */
export async function retry(list: List, rows: Row[]): Promise<void> {
  for (const row of rows.filter(canRetry)) {
    if (retried.has(row.task_id)) continue;
    retried.add(row.task_id);
    try {
      const fresh = await api.post("/tasks/{task_id}/retry", { path: { task_id: row.task_id } });
      list.touch(fresh.task_id);
    } finally {
      retried.delete(row.task_id);
    }
  }
  list.chosen.clear();
}

/** Deletes recordings for good, after a question that names them. Keeps the receipts. */
export async function erase(list: List, rows: Row[]): Promise<void> {
  const [first] = rows;
  if (!first) return;
  const isOne = rows.length === 1;
  const yes = await ask({
    title: isOne ? t("recordings.deleteOne", { name: nameOf(first) }) : t("recordings.deleteMany", { count: rows.length }),
    text: t("recordings.deleteText"),
    yes: t("recordings.delete"),
    isDangerous: true,
  });
  if (!yes) return;
  let count = 0;
  try {
    for (const row of rows) {
      if (await eraseOne(row)) count++;
      list.drop(row.task_id);
    }
  } catch (error) {
    complain(error);
  }
  if (!count) return;
  notices.say(isOne ? t("recordings.deletedOne", { name: nameOf(first) }) : t("recordings.deletedMany", { count }));
}

/** Whether it was there to be deleted. */
async function eraseOne(row: Row): Promise<boolean> {
  try {
    const receipt = await api.delete("/tasks/{task_id}", { path: { task_id: row.task_id } });
    keepReceipt(receipt, nameOf(row));
    return true;
  } catch (error) {
    if (error instanceof Failure && error.status === 404) return false; // somebody was faster
    throw error;
  }
}

export async function cancelAll(list: List, rows: Row[]): Promise<void> {
  for (const row of rows.filter(canCancel)) {
    await api.post("/tasks/{task_id}/cancel", { path: { task_id: row.task_id } });
    list.touch(row.task_id);
  }
  list.chosen.clear();
}

/** Adds labels to recordings that have others. */
export async function label(list: List, rows: Row[], tags: string[]): Promise<void> {
  for (const row of rows) {
    await api.patch("/tasks/{task_id}", {
      path: { task_id: row.task_id },
      json: { tags: [...new Set([...row.tags, ...tags])] },
    });
    list.touch(row.task_id);
  }
}
