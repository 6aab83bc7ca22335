/** Two tabs of one browser: they have one cookie, and each has a page of its own. */

import { beforeEach, expect, it, vi } from "vitest";

type Reply = { status: number; body: object };

const reload = vi.fn();
const replace = vi.fn();
let replies: Record<string, Reply[]>;
let asked: { call: string; token: string }[];

const of = (key: string, token: string): Reply => ({ status: 200, body: { key_id: key, name: key, scopes: [], csrf_token: token } });
const refused = (status: number, code: string): Reply => ({ status, body: { code, message: code } });

/** A page that is signed in with key A. */
async function page() {
  vi.resetModules();
  const { session } = await import("./session.svelte");
  const { api } = await import("./client");
  replies["get session"] = [of("a", "a1")];
  await session.look();
  asked = [];
  return { session, api };
}

const settle = () => vi.advanceTimersByTimeAsync(10);

beforeEach(() => {
  vi.useFakeTimers();
  vi.clearAllTimers(); // those of earlier pages
  reload.mockClear();
  replace.mockClear();
  replies = {};
  asked = [];
  vi.stubGlobal("location", { reload, replace, pathname: "/deep/", search: "", hash: "#/transcript/1" });
  vi.stubGlobal("fetch", async (url: string, { method, headers }: { method: string; headers: Record<string, string> }) => {
    const call = `${method.toLowerCase()} ${url}`;
    asked.push({ call, token: headers["X-CSRF-Token"] ?? "" });
    const { status, body } = replies[call]?.shift() ?? refused(500, "unforeseen");
    return new Response(JSON.stringify(body), { status });
  });
});

it("sends nothing as the key that another tab has signed in with", async () => {
  const { session, api } = await page();
  replies["post uploads"] = [refused(403, "csrf_failed"), { status: 201, body: {} }];
  replies["get session"] = [of("b", "b1")];
  const ended = vi.fn();
  void api.post("/uploads", { json: { filename: "of-a.wav", bytes: 1 } }).then(ended, ended);
  await settle();
  expect(asked.map(({ call }) => call)).toEqual(["post uploads", "get session"]);
  expect(reload).toHaveBeenCalledOnce();
  expect(ended).not.toHaveBeenCalled();
  expect(session.info?.key_id).toBe("a");
  expect(session.standing).toBe("ended");

  // the person stays, and enters key A again
  replies["post session"] = [of("a", "a2")];
  await session.signIn("of a");
  await settle();
  expect(session.standing).toBe("in");
  expect(asked.at(-1)).toEqual({ call: "post uploads", token: "a2" });
  expect(ended).toHaveBeenCalledOnce();
});

it("looks again when another tab tells of another key, and only then", async () => {
  const channel = { onmessage: (_: { data: string }) => {}, postMessage: vi.fn() };
  vi.stubGlobal("BroadcastChannel", function () {
    return channel;
  });
  const { session } = await page();
  session.followTabs();
  channel.onmessage({ data: "a" });
  await settle();
  expect(asked).toEqual([]);
  replies["get session"] = [of("b", "b1")];
  channel.onmessage({ data: "b" });
  await settle();
  expect(reload).toHaveBeenCalledOnce();
  expect(channel.postMessage).not.toHaveBeenCalled(); // else the two would tell each other for ever
});

it("begins anew when another key is entered", async () => {
  const { session } = await page();
  replies["post session"] = [of("b", "b1")];
  await session.signIn("of b");
  expect(reload).toHaveBeenCalledOnce();
  expect(session.info?.key_id).toBe("a");
});

it("stays signed in when another tab has renewed the session first", async () => {
  const { session } = await page();
  replies["post session"] = [refused(401, "unauthorized")];
  replies["get session"] = [of("a", "a2")];
  const standings = new Set<string>();
  const watch = setInterval(() => standings.add(session.standing), 1000);
  await vi.advanceTimersByTimeAsync(3_600_000);
  clearInterval(watch);
  expect(asked.map(({ call }) => call)).toEqual(["post session", "get session"]);
  expect(session.standing).toBe("in");
  expect([...standings]).toEqual(["in"]);
});

it("asks for the key when the session is over at its renewal", async () => {
  const { session } = await page();
  replies["post session"] = [refused(401, "unauthorized")];
  replies["get session"] = [refused(401, "unauthorized")];
  await vi.advanceTimersByTimeAsync(3_600_100);
  expect(session.standing).toBe("ended");
});

it("ends no session for a refusal of the one before that comes late", async () => {
  const { session, api } = await page();
  replies["get tasks/1"] = [refused(401, "unauthorized")];
  await api.get("/tasks/{task_id}", { path: { task_id: "1" } }).catch(() => {});
  expect(session.standing).toBe("ended");

  let refuse = () => {};
  const fast = fetch;
  vi.stubGlobal("fetch", async (url: string, init: object) => {
    if (url !== "tasks/2") return fast(url, init);
    await new Promise<void>((resolve) => (refuse = resolve));
    return new Response(JSON.stringify({ code: "unauthorized", message: "unauthorized" }), { status: 401 });
  });
  const late = api.get("/tasks/{task_id}", { path: { task_id: "2" } }).catch(() => {});
  replies["post session"] = [of("a", "a2")];
  await session.signIn("of a");
  refuse();
  await late;
  expect(session.standing).toBe("in");
});

it("leaves for the page's own address when the person signs out, and goes nowhere else before", async () => {
  const { session } = await page();
  replies["delete session"] = [{ status: 200, body: {} }];
  const isOver = vi.fn();
  await session.signOut(isOver);
  expect(isOver).toHaveBeenCalledOnce();
  expect(replace).toHaveBeenCalledExactlyOnceWith("/deep/");
  expect(location.hash).toBe("#/transcript/1");
});
