/** The recordings that are listed, newest first, and kept up to date by the stream of events. */

import { SvelteMap, SvelteSet } from "svelte/reactivity";

import { api } from "../api/client";
import { events, hasEnded, type News } from "../api/events";
import { Failure } from "../api/failure";
import { asQuery, isNarrow, type Filters } from "./filters";
import type { Schemas } from "../api/types";
import { rowOf, rowOfTask, told, type Row } from "./row";

const PAGE_ROWS = 100;
const SETTLE_MS = 250; // news come in swarms
const MOST_SINGLE = 5; // rows that are looked up one by one
const RETRY_MS = 3_000;

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
  #gone = new Set<string>(); // deleted: an answer that was on its way then brings none of them back
  #ended = new Set<string>(); // told of while a list is on its way that may have been written before
  #isMissing = false; // something may have ended that the stream has not told
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
      const rows = page.items.map((item) => this.#row(item));
      this.rows.clear();
      const listed = new Set(page.items.map((item) => item.task_id));
      for (const id of [...this.chosen]) if (!listed.has(id)) this.chosen.delete(id);
      for (const row of rows) this.rows.set(row.task_id, row);
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
      for (const item of fresh) this.rows.set(item.task_id, this.#row(item));
      this.ids = [...this.ids, ...fresh.map((item) => item.task_id)];
      this.#goOn(page.next_cursor);
    } finally {
      if (round === this.#round) this.isLoading = false;
    }
  }

  /** Takes a recording that is no more out of the list. */
  drop(id: string): void {
    this.#gone.add(id);
    this.rows.delete(id);
    this.chosen.delete(id);
    this.ids = this.ids.filter((one) => one !== id);
  }

  /** Looks a recording up again, as something was done to it. */
  touch(id: string): void {
    this.#changed.add(id);
    this.#look();
  }

  /** Refreshes in a while, and behind a list that is on its way: of two answers the later one has to be the newer. */
  #look(pause = SETTLE_MS): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.isLoading ? this.#look() : void this.#refresh()), pause);
  }

  async #page(cursor: string | null): Promise<{ items: Schemas["HistoryItem"][]; next_cursor?: string | null }> {
    const page = await api.get("/history", { query: { ...asQuery(this.filters), limit: PAGE_ROWS, cursor } });
    return { ...page, items: page.items.filter(({ task_id }) => !this.#gone.has(task_id)) };
  }

  #row(item: Schemas["HistoryItem"]): Row {
    return this.#asTold(rowOf(item, this.rows.get(item.task_id) ?? events.standing(item.task_id)));
  }

  /** A row of an answer with what the stream has told of it, which it does once. */
  #asTold(row: Row): Row {
    const standing = events.standing(row.task_id);
    return standing ? told(row, standing) : row;
  }

  #goOn(cursor: string | null | undefined): void {
    this.#cursor = cursor ?? null;
    this.hasMore = this.#cursor !== null;
    for (const id of this.#ended) if (this.rows.has(id) && !hasEnded(this.rows.get(id)!.status)) this.touch(id);
    this.#ended.clear();
  }

  #hear(news: News): void {
    if (news.event === "ready") {
      this.#isMissing = true; // it may have ended between the list and the stream
      this.#look();
    } else if (news.event === "deleted") {
      this.drop(news.data.task_id);
    } else if (news.event === "status") {
      const { task_id, status } = news.data;
      const row = this.rows.get(task_id);
      if (row) this.rows.set(task_id, told(row, news.data));
      // ids are in order of time: what is older than the list comes with "Show more"
      const isNew = !row && !isNarrow(this.filters) && (!this.hasMore || task_id > (this.ids[0] ?? ""));
      if (!row && this.isLoading && hasEnded(status)) this.#ended.add(task_id);
      if (isNew || (row && hasEnded(status) && !hasEnded(row.status))) this.touch(task_id);
    }
  }

  /** Brings what has changed up to date. A list that was searched for gets no new rows. */
  async #refresh(): Promise<void> {
    const [changed, isMissing, round] = [[...this.#changed], this.#isMissing, this.#round];
    this.#changed.clear();
    this.#isMissing = false;
    try {
      const areMany = changed.length > MOST_SINGLE && !isNarrow(this.filters);
      const items = areMany || isMissing ? (await this.#page(null)).items : [];
      const single = areMany ? [] : changed.filter((id) => !items.some(({ task_id }) => task_id === id));
      const tasks = await Promise.all(single.map((id) => this.#lookUp(id)));
      if (round === this.#round) this.#merge([...items.map((item) => this.#row(item)), ...tasks.flatMap((task) => this.#rowsOf(task))]);
    } catch (error) {
      if (round !== this.#round || !(error instanceof Failure && error.isPassing)) return;
      for (const id of changed) this.#changed.add(id);
      this.#isMissing ||= isMissing;
      this.#look(RETRY_MS);
    }
  }

  async #lookUp(id: string): Promise<Schemas["TaskDetail"] | null> {
    try {
      return await api.get("/tasks/{task_id}", { path: { task_id: id } });
    } catch (error) {
      if (!(error instanceof Failure && error.status === 404)) throw error;
      this.drop(id);
      return null;
    }
  }

  #rowsOf(task: Schemas["TaskDetail"] | null): Row[] {
    return task ? [this.#asTold(rowOfTask(task, this.rows.get(task.task_id)))] : [];
  }

  #merge(all: Row[]): void {
    const rows = all.filter(({ task_id }) => !this.#gone.has(task_id));
    const fresh = rows.filter((row) => !this.rows.has(row.task_id));
    for (const row of rows) {
      if (this.rows.has(row.task_id) || !isNarrow(this.filters)) this.rows.set(row.task_id, row);
    }
    if (isNarrow(this.filters) || !fresh.length) return;
    const ids = [...fresh.map((row) => row.task_id), ...this.ids];
    this.ids = ids.sort((one, other) => this.rows.get(other)!.created_at.localeCompare(this.rows.get(one)!.created_at));
  }
}
