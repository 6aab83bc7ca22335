import { beforeEach, expect, it } from "vitest";

import { notices } from "../shell/notices.svelte";
import { Archive } from "./desk/archive";
import { Desk } from "./desk/desk";
import { MemoryStore } from "./desk/store";
import { textOf } from "./model/steps";
import { sayUndoable } from "./undoable";

const archive = new Archive();
let desk: Desk;

beforeEach(async () => {
  archive.add("a", "One.", "Two.");
  desk = new Desk("a", "a.wav", "key", archive, new MemoryStore());
  await desk.load();
  notices.list = [];
});

it("undoes what it says, also once the server has it", async () => {
  sayUndoable("Done.", desk, desk.change([[textOf(0), "Mine."]]));
  await desk.idle();
  const [notice] = notices.list;
  await notice?.actions[0]?.run();
  await desk.idle();
  expect([archive.texts("a")[0], notices.list]).toEqual(["One.", []]);
});

it("is gone when something else was done, and then undoes nothing", async () => {
  sayUndoable("Done.", desk, desk.change([[textOf(0), "Mine."]]));
  const [notice] = notices.list;
  desk.type(textOf(1), "Later.");
  desk.commit(textOf(1));
  expect(notices.list).toEqual([]);
  await notice?.actions[0]?.run();
  await desk.idle();
  expect(archive.texts("a")).toEqual(["Mine.", "Later."]);
});

it("offers no undo of what changed nothing", () => {
  sayUndoable("Done.", desk, desk.change([[textOf(0), "One."]]));
  expect(notices.list).toMatchObject([{ text: "Done.", actions: [] }]);
});
