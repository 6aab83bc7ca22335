/** Says which recordings have ended while the page is open. Nothing that is read or edited moves for it. */

import { api } from "../api/client";
import { events, type TaskNews } from "../api/events";
import { t } from "../i18n/index.svelte";
import { here } from "../routing/place.svelte";
import { told } from "./explain";
import { notices } from "./notices.svelte";

const MOST_LINES = 3; // of single recordings: forty interviews are one line
const MOST_ENDED = 1_000; // more are not remembered

/** Notices of one kind; many of them become one. */
class Lines {
  #lines = new Map<string, number>(); // task -> its notice
  #summary: number | null = null;
  #count = 0;

  constructor(private readonly sum: (count: number) => number) {}

  add(task: string, say: () => number): void {
    if (this.#summary !== null && !isShown(this.#summary)) {
      this.#summary = null; // it was closed
      this.#count = 0;
    }
    const standing = [...this.#lines.values()].filter(isShown);
    if (standing.length < MOST_LINES && this.#summary === null) {
      this.#lines.set(task, say());
      return;
    }
    this.#count += 1;
    if (this.#summary !== null) notices.drop(this.#summary);
    else {
      this.#count += standing.length;
      for (const id of standing) notices.drop(id);
      this.#lines.clear();
    }
    this.#summary = this.sum(this.#count);
  }

  forget(task: string): void {
    const line = this.#lines.get(task);
    if (line !== undefined) notices.drop(line);
    this.#lines.delete(task);
  }
}

const isShown = (notice: number): boolean => notices.list.some(({ id }) => id === notice);
const look = () => ({ label: t("ends.look"), run: () => here.go("recordings", null, { status: "error" }) });

class Ends {
  #done = new Lines((count) => {
    const show = { label: t("ends.show"), run: () => here.go("recordings") };
    return notices.say(t("ends.many", { count }), { actions: [show] });
  });
  #failed = new Lines((count) => notices.say(t("ends.manyFailed", { count }), { tone: "bad", actions: [look()] }));
  #working = new Set<string>(); // those that were seen before their end, or sent from here
  #ended = new Map<string, TaskNews | null>(); // news of an end that nobody was told, or null where somebody was

  follow(): () => void {
    return events.listen((news) => {
      if (news.event === "deleted") this.#forget(news.data.task_id);
      else if (news.event === "status") void this.#hear(news.data).catch(() => {});
    });
  }

  /** A recording was sent from here: its end is news, also where it ended before the stream has told that it had begun. */
  expect(task: string): void {
    const end = this.#ended.get(task);
    if (end === undefined) this.#working.add(task);
    else if (end) void this.#say(end).catch(() => {});
  }

  async #hear(news: TaskNews): Promise<void> {
    const { task_id, status } = news;
    if (!["done", "error", "cancelled"].includes(status)) this.#working.add(task_id);
    else if (this.#working.delete(task_id)) await this.#say(news);
    else if (!this.#ended.has(task_id)) this.#remember(task_id, news);
  }

  #remember(task: string, end: TaskNews | null): void {
    this.#ended.set(task, end);
    const [oldest = ""] = this.#ended.keys();
    if (this.#ended.size > MOST_ENDED) this.#ended.delete(oldest);
  }

  async #say(news: TaskNews): Promise<void> {
    const { task_id, status } = news;
    this.#remember(task_id, null);
    if (here.place.id === task_id) return;
    const { file } = await api.get("/tasks/{task_id}", { path: { task_id } });
    const name = file.name ?? file.url ?? t("recordings.unnamed");
    if (status === "cancelled") notices.say(t("ends.cancelled", { name }));
    else if (status === "error") this.#failed.add(task_id, () => this.#fail(news, name));
    else this.#done.add(task_id, () => this.#finish(task_id, name));
  }

  #finish(task: string, name: string): number {
    const open = { label: t("ends.open"), run: () => here.go("transcript", task) };
    return notices.say(t("ends.done", { name }), { actions: [open] });
  }

  #fail({ error }: TaskNews, name: string): number {
    const text = t("ends.failed", { name, reason: error ? told(error.code, error.message) : "" });
    return notices.say(text, { tone: "bad", actions: [look()] });
  }

  #forget(task: string): void {
    this.#working.delete(task);
    this.#ended.delete(task);
    this.#done.forget(task);
    this.#failed.forget(task);
  }
}

export const ends = new Ends();
