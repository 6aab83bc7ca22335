import { afterEach, expect, it, vi } from "vitest";

import { failureOf, jsonOf, textOf } from "./body";
import { api } from "./client";

/** An answer of which these parts come, and then nothing or an error. */
function broken(end: "silence" | "error", status = 200, ...parts: string[]): Response {
  const bytes = parts.map((part) => new TextEncoder().encode(part));
  const pull = (stream: ReadableStreamDefaultController) => {
    const part = bytes.shift();
    if (part) stream.enqueue(part);
    else if (end === "error") stream.error(new TypeError("network error"));
    else return new Promise<void>(() => {});
  };
  return new Response(new ReadableStream({ pull }), { status });
}

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("is read whole, letters of several bytes, too", async () => {
  expect(await textOf(new Response("a ü € 😀"))).toBe("a ü € 😀");
  expect(await jsonOf(new Response('{"a": 1}'))).toEqual({ a: 1 });
});

it("that breaks off is no answer of another server's", async () => {
  await expect(jsonOf(broken("error", 200, '{"a":'))).rejects.toMatchObject({ code: "unreached", status: 0 });
  vi.stubGlobal("fetch", async () => broken("error", 200, '{"version":'));
  await expect(api.get("/session")).rejects.toMatchObject({ code: "unreached", isPassing: true });
  expect(await failureOf(broken("error", 404, '{"code":'))).toMatchObject({ code: "unreached", isPassing: true });
});

it("that stops coming is given up after a while", async () => {
  vi.useFakeTimers();
  const failing = expect(jsonOf(broken("silence", 200, "{"))).rejects.toMatchObject({ code: "silent" });
  await vi.advanceTimersByTimeAsync(31_000);
  await failing;
});

it("that is whole and no JSON is another server's", async () => {
  await expect(jsonOf(new Response("<html>"))).rejects.toMatchObject({ code: "foreign_answer", status: 200 });
  expect(await failureOf(new Response("<html>", { status: 502 }))).toMatchObject({ code: "foreign_answer", status: 502 });
  const answer = new Response('{"code": "not_found", "message": "No."}', { status: 404 });
  expect(await failureOf(answer)).toMatchObject({ code: "not_found", status: 404 });
});

it("that the caller gives up stays given up", async () => {
  const stop = new AbortController();
  stop.abort();
  await expect(textOf(broken("error"), stop.signal)).rejects.toBeInstanceOf(TypeError);
});
