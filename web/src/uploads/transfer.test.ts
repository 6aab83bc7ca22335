import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { connection } from "../api/connection.svelte";
import { SILENT } from "../api/failure";
import type { Entry } from "./entry";
import { transfer } from "./transfer";

/** A part on its way. */
class Sending {
  static last: Sending;
  upload = { onprogress: (_: { loaded: number }) => {} };
  onabort = () => {};
  isAborted = false;
  constructor() {
    Sending.last = this;
  }
  open() {}
  setRequestHeader() {}
  send() {}
  abort() {
    this.isAborted = true;
    this.onabort();
  }
}

const upload = { state: "open", received_bytes: 0, part_bytes: 9, parts: [{ number: 1, bytes: 9 }], next_part: null };
const entry = { name: "a.wav", url: null, uploadId: "1", file: new File(["x".repeat(9)], "a.wav"), fields: {} } as unknown as Entry;

/** Begins to send, up to the first part. */
async function begin() {
  const ended = vi.fn();
  const watch = { signal: new AbortController().signal, onUpload: () => {}, onSent: () => {} };
  transfer(entry, watch).then(ended, ended);
  await vi.advanceTimersByTimeAsync(1);
  return ended;
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("XMLHttpRequest", Sending);
  vi.stubGlobal("fetch", async () => new Response(JSON.stringify(upload)));
});
afterEach(() => vi.useRealTimers());

it("gives up a part that does not move, and no other", async () => {
  const ended = await begin();
  for (let loaded = 0; loaded < 9; loaded++) {
    await vi.advanceTimersByTimeAsync(50_000);
    Sending.last.upload.onprogress({ loaded });
  }
  expect(Sending.last.isAborted).toBe(false);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(Sending.last.isAborted).toBe(true);
  expect(ended).toHaveBeenCalledWith(expect.objectContaining({ code: SILENT, isPassing: true }));
});

it("gives up a part that stood still when the server is back", async () => {
  const ended = await begin();
  Sending.last.upload.onprogress({ loaded: 1 });
  connection.lost();
  connection.reached();
  expect(Sending.last.isAborted).toBe(false); // it moves
  await vi.advanceTimersByTimeAsync(10_000);
  connection.lost();
  connection.reached();
  await vi.advanceTimersByTimeAsync(1);
  expect(Sending.last.isAborted).toBe(true);
  expect(ended).toHaveBeenCalledWith(expect.objectContaining({ code: SILENT }));
});
