/** The recordings that are listed, newest first, and kept up to date by the stream of events. */

import { SvelteMap, SvelteSet } from "svelte/reactivity";

import { api } from "../api/client";
import { events, hasEnded, type News } from "../api/events";
import { Failure } from "../api/failure";
import { asQuery, isNarrow, type Filters } from "./filters";
import { rowOf, rowOfTask, told, type Row } from "./row";

const PAGE_ROWS = 100;
const SETTLE_MS = 250; // news come in swarms
const MOST_SINGLE = 5; // rows that are looked up one by one

export class List {
  ids = $state.raw<string[]>([]);
  rows = new SvelteMap<string, Row>();
  chosen = new SvelteSet<string>();
  isLoading = $state(true);
  failure = $state.raw<unknown>(null);
  hasMore = $state(false);
  filters = $state.raw<Filters>({});

  #cursor: string | null = null;
  #round = 0; // of lists that were asked for: an answer to an earlier one is too late
  #changed = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Follows the key's tasks. Returns what ends that. */
  follow(): () => void {
    const stop = events.listen((news) => this.#hear(news));
    return () => {
      stop();
      clearTimeout(this.#timer);
      this.#round++;
    };
  }

  /** Lists anew, from the newest on. */
  async load(filters: Filters): Promise<void> {
    const round = ++this.#round;
    this.filters = filters;
    this.isLoading = true;
    this.failure = null;
    try {
      const page = await this.#page(null);
      if (round !== this.#round) return;
      const before = new Map(this.rows);
      this.rows.clear();
      const listed = new Set(page.items.map((item) => item.task_id));
      for (const id of [...this.chosen]) if (!listed.has(id)) this.chosen.delete(id);
      for (const item of page.items) this.rows.set(item.task_id, rowOf(item, before.get(item.task_id) ?? events.standing(item.task_id)));
      this.ids = page.items.map((item) => item.task_id);
      this.#goOn(page.next_cursor);
    } catch (error) {
      if (round === this.#round) this.failure = error;
    } finally {
      if (round === this.#round) this.isLoading = false;
    }
  }

  /** Adds the next page. A second call while it comes does nothing. */
  async more(): Promise<void> {
    if (this.isLoading || !this.#cursor) return;
    const round = this.#round;
    this.isLoading = true;
    try {
      const page = await this.#page(this.#cursor);
      if (round !== this.#round) return;
      const fresh = page.items.filter((item) => !this.rows.has(item.task_id));
      for (const item of fresh) this.rows.set(item.task_id, rowOf(item, events.standing(item.task_id)));
      this.ids = [...this.ids, ...fresh.map((item) => item.task_id)];
      this.#goOn(page.next_cursor);
    } finally {
      if (round === this.#round) this.isLoading = false;
    }
  }

  /** Takes a recording that is no more out of the list. */
  drop(id: string): void {
    this.rows.delete(id);
    this.chosen.delete(id);
    this.ids = this.ids.filter((one) => one !== id);
  }

  /** Looks a recording up again, as something was done to it. */
  touch(id: string): void {
    this.#changed.add(id);
    this.#look();
  }

  #look(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#refresh().catch(() => {}), SETTLE_MS);
  }

  #page(cursor: string | null) {
    return api.get("/history", { query: { ...asQuery(this.filters), limit: PAGE_ROWS, cursor } });
  }

  #goOn(cursor: string | null | undefined): void {
    this.#cursor = cursor ?? null;
    this.hasMore = this.#cursor !== null;
  }

  #hear(news: News): void {
    if (news.event === "ready") {
      if (!this.isLoading) this.#look(); // something may have ended between the list and the stream
    } else if (news.event === "deleted") {
      this.drop(news.data.task_id);
    } else if (news.event === "status") {
      const { task_id, status } = news.data;
      const row = this.rows.get(task_id);
      if (row) this.rows.set(task_id, told(row, news.data));
      // ids are in order of time: what is older than the list comes with "Show more"
      const isNew = !row && !isNarrow(this.filters) && (!this.hasMore || task_id > (this.ids[0] ?? ""));
      if (isNew || (row && hasEnded(status) && !hasEnded(row.status))) this.touch(task_id);
    }
  }

  /** Brings what has changed up to date. A list that was searched for gets no new rows. */
  async #refresh(): Promise<void> {
    const changed = [...this.#changed];
    this.#changed.clear();
    const round = this.#round;
    if (!changed.length || (changed.length > MOST_SINGLE && !isNarrow(this.filters))) {
      const { items } = await this.#page(null);
      if (round === this.#round) this.#merge(items.map((item) => rowOf(item, this.rows.get(item.task_id) ?? events.standing(item.task_id))));
      return;
    }
    const rows = await Promise.all(changed.map((id) => this.#lookUp(id)));
    if (round === this.#round) this.#merge(rows.filter((row) => row !== null));
  }

  async #lookUp(id: string): Promise<Row | null> {
    try {
      return rowOfTask(await api.get("/tasks/{task_id}", { path: { task_id: id } }), this.rows.get(id));
    } catch (error) {
      if (error instanceof Failure && error.status === 404) this.drop(id);
      return null;
    }
  }

  #merge(rows: Row[]): void {
    const fresh = rows.filter((row) => !this.rows.has(row.task_id));
    for (const row of rows) {
      if (this.rows.has(row.task_id) || !isNarrow(this.filters)) this.rows.set(row.task_id, row);
    }
    if (isNarrow(this.filters) || !fresh.length) return;
    const all = [...fresh.map((row) => row.task_id), ...this.ids];
    this.ids = all.sort((one, other) => this.rows.get(other)!.created_at.localeCompare(this.rows.get(one)!.created_at));
  }
}
