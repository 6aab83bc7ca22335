/**
 * The API as the page calls it. The key is never here: the browser adds the session's cookie, and calls that change
 * something carry its CSRF token (api/session.svelte.ts).
 */

import { failureOf, jsonOf } from "./body";
import { connection } from "./connection.svelte";
import { Failure, SILENT, UNREACHED } from "./failure";
import type { paths } from "./schema";
import type { Answer, Method, PathOf, Query, Request as Asked } from "./types";

const PATIENCE_MS = 30_000;

/** Kept in memory alone, as another page could read whatever else there is. */
let csrfToken = "";

export function setCsrfToken(token: string): void {
  csrfToken = token;
}

export function csrfHeader(): Record<string, string> {
  return csrfToken ? { "X-CSRF-Token": csrfToken } : {};
}

/** What the session does when the API says that there is none any more, or that its token is old. */
type Guard = { onUnauthorized: () => void; renewToken: () => Promise<boolean> };
let guard: Guard = { onUnauthorized: () => {}, renewToken: async () => false };

export function setGuard(another: Guard): void {
  guard = another;
}

/** Where a call goes: relative, so that it also works below a path that a proxy takes away. */
export function address(path: string, parameters: object = {}, query: Query = {}): string {
  const values = parameters as Record<string, unknown>;
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(values[name])));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (Array.isArray(value)) for (const one of value) search.append(name, one);
    else if (value !== undefined && value !== null && value !== "") search.append(name, String(value));
  }
  return filled.slice(1) + (search.size ? `?${search}` : "");
}

type Raw = { headers?: Record<string, string>; body?: BodyInit | null; signal?: AbortSignal | undefined };

/** Sends a request and returns the answer, which is 2xx; `jsonOf` and `textOf` read its body. Raises Failure. */
export async function send(method: Method, url: string, { headers = {}, body = null, signal }: Raw = {}): Promise<Response> {
  for (let attempt = 0; ; attempt++) {
    const token = csrfToken;
    const answer = await reach(method, url, { headers: { ...headers, ...(method === "get" ? {} : csrfHeader()) }, body, signal });
    if (answer.ok) return answer;
    const failure = await failureOf(answer);
    if (failure.code === "csrf_failed" && attempt === 0 && (await guard.renewToken())) continue;
    // a late refusal of the session before says nothing about this one
    if (failure.status === 401 && token === csrfToken) guard.onUnauthorized();
    throw failure;
  }
}

async function reach(method: Method, url: string, { headers, body, signal }: Raw): Promise<Response> {
  const alarm = new AbortController();
  const timer = setTimeout(() => alarm.abort(), PATIENCE_MS);
  const signals = signal ? AbortSignal.any([signal, alarm.signal]) : alarm.signal;
  try {
    const answer = await fetch(url, { method: method.toUpperCase(), headers: headers!, body: body ?? null, signal: signals });
    connection.reached();
    return answer;
  } catch (error) {
    if (signal?.aborted) throw error;
    if (alarm.signal.aborted) throw new Failure(SILENT, "The server does not answer.");
    connection.lost();
    throw new Failure(UNREACHED, "The server cannot be reached.");
  } finally {
    clearTimeout(timer); // the body has a time of its own: ./body.ts
  }
}

async function call<P extends keyof paths, M extends Method>(method: M, path: P, asked?: Asked<P, M>): Promise<Answer<P, M>> {
  const { path: parameters, query, json, headers = {}, signal } = asked ?? ({} as Asked<P, M>);
  const body = json === undefined ? null : JSON.stringify(json);
  const answer = await send(method, address(path, parameters ?? {}, query), {
    headers: { Accept: "application/json", ...(body === null ? {} : { "Content-Type": "application/json" }), ...headers },
    body,
    signal,
  });
  if (answer.status === 204) return undefined as Answer<P, M>;
  return jsonOf<Answer<P, M>>(answer, signal);
}

type Rest<P extends keyof paths, M extends Method> = Asked<P, M> extends { path: object } ? [Asked<P, M>] : [Asked<P, M>?];

/** The typed calls: `await api.get("/tasks/{task_id}", { path: { task_id } })`. All raise Failure. */
export const api = {
  get: <P extends PathOf<"get">>(path: P, ...[asked]: Rest<P, "get">) => call("get", path, asked),
  post: <P extends PathOf<"post">>(path: P, ...[asked]: Rest<P, "post">) => call("post", path, asked),
  put: <P extends PathOf<"put">>(path: P, ...[asked]: Rest<P, "put">) => call("put", path, asked),
  patch: <P extends PathOf<"patch">>(path: P, ...[asked]: Rest<P, "patch">) => call("patch", path, asked),
  delete: <P extends PathOf<"delete">>(path: P, ...[asked]: Rest<P, "delete">) => call("delete", path, asked),
};
