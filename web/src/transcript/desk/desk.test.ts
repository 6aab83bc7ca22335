import { describe, expect, it } from "vitest";
import { Failure } from "../../api/failure";
import { nameOf, textOf, voiceOf } from "../model/steps";
import { Archive } from "./archive";
import { Desk } from "./desk";
import { Outbox } from "./outbox";
import { MemoryStore } from "./store";
import { typed } from "../typed";

async function opened(): Promise<{ archive: Archive; store: MemoryStore; desk: Desk }> {
  const archive = new Archive();
  archive.add("a", "One.", "Two.", "Three.");
  const store = new MemoryStore();
  const desk = new Desk("a", "a.wav", "key", archive, store);
  await desk.load();
  return { archive, store, desk };
}

async function correct(desk: Desk, segment: number, text: string): Promise<void> {
  desk.type(textOf(segment), text);
  desk.commit(textOf(segment));
  await desk.idle();
}

describe("an edit", () => {
  it("is made with the first letter, and kept until the server has it", async () => {
    const { archive, store, desk } = await opened();
    desk.type(textOf(0), "O");
    expect([...store.edits.values()]).toMatchObject([{ task: "a", base: 0, state: "typing" }]);
    desk.type(textOf(0), "One more.");
    desk.commit(textOf(0));
    expect(store.edits.size).toBe(1);
    await desk.idle();
    expect(store.edits.size).toBe(0);
    expect(archive.texts("a")).toEqual(["One more.", "Two.", "Three."]);
  });

  it("is none where the text is what it was", async () => {
    const { archive, store, desk } = await opened();
    desk.type(textOf(0), "One. ");
    desk.commit(textOf(0));
    await desk.idle();
    expect([store.edits.size, archive.version("a"), desk.canUndo]).toEqual([0, 0, false]);
  });

  it("waits while the server is away, and goes when it is back", async () => {
    const { archive, store, desk } = await opened();
    archive.weather = ["request lost", "busy"];
    await correct(desk, 0, "Mine.");
    expect([desk.trouble?.code, desk.edits[0]?.state]).toEqual(["unreached", "waiting"]);
    await correct(desk, 1, "Mine, too.");
    expect(desk.trouble?.code).toBe("service_busy");
    expect(desk.shown?.segments.map(({ text }) => text)).toEqual(["Mine.", "Mine, too.", "Three."]);
    await desk.send();
    expect([desk.trouble, store.edits.size]).toEqual([null, 0]);
    expect(archive.texts("a")).toEqual(["Mine.", "Mine, too.", "Three."]);
  });

  it("is known again when only the answer got lost", async () => {
    const { archive, desk } = await opened();
    archive.weather = ["answer lost"];
    await correct(desk, 0, "Mine.");
    await correct(desk, 0, "Mine again.");
    expect([archive.texts("a")[0], archive.version("a"), desk.edits.length]).toEqual(["Mine again.", 2, 0]);
  });

  it("that the server refuses keeps its text, and holds up no other", async () => {
    const { archive, desk } = await opened();
    archive.write("a", { segments: [{ id: 0, text: "Theirs." }] });
    await correct(desk, 0, "Mine.");
    await correct(desk, 1, "Mine, too.");
    expect(archive.texts("a")).toEqual(["Theirs.", "Mine, too.", "Three."]);
    expect(desk.edits).toMatchObject([{ state: "conflict", steps: [{ before: "One.", after: "Mine." }] }]);
    expect([...(desk.edits[0]?.theirs ?? [])]).toEqual([["text 0", "Theirs."]]);
  });
});

it("does not leave an edit on its way when something unforeseen goes wrong", async () => {
  const { archive, desk } = await opened();
  archive.correct = () => Promise.reject(new TypeError("Unforeseen."));
  await correct(desk, 0, "Mine.");
  expect(desk.edits).toMatchObject([{ state: "refused", problem: { code: "unexpected" } }]);
});

describe("a field", () => {
  it("that was open while others wrote there asks before it puts its text over theirs", async () => {
    const { archive, desk } = await opened();
    archive.write("a", { segments: [{ id: 0, text: "Theirs." }] });
    await desk.load();
    desk.type(textOf(0), "One. Mine.", "One.");
    desk.commit(textOf(0));
    await desk.idle();
    expect(archive.texts("a")[0]).toBe("Theirs.");
    expect(desk.edits).toMatchObject([{ state: "conflict", steps: [{ before: "One.", after: "One. Mine." }] }]);
  });

  it("that is given up leaves the correction that was there before it", async () => {
    const { archive, store, desk } = await opened();
    archive.weather = ["request lost", "request lost"];
    archive.write("a", { segments: [{ id: 1, text: "Theirs." }] });
    for (const segment of [0, 1]) await correct(desk, segment, "Mine.");
    expect(desk.edits.map(({ state }) => state)).toEqual(["waiting", "waiting"]);
    await opensAndGivesUp(desk, 1); // before anybody knows that it is a conflict
    await desk.send();
    expect(archive.texts("a")).toEqual(["Mine.", "Theirs.", "Three."]);
    await opensAndGivesUp(desk, 1);
    expect([...store.edits.values()]).toMatchObject([{ state: "conflict", steps: [{ after: "Mine." }] }]);
  });

  it("that is given up leaves nothing where nothing was", async () => {
    const { store, desk } = await opened();
    await opensAndGivesUp(desk, 0);
    expect([store.edits.size, desk.shown?.segments[0]?.text]).toEqual([0, "One."]);
    expect(desk.giveUp(textOf(0), undefined)).toBe(false);
  });
});

async function opensAndGivesUp(desk: Desk, segment: number): Promise<void> {
  const old = desk.pendingAt(textOf(segment));
  desk.type(textOf(segment), "Half a");
  expect(desk.giveUp(textOf(segment), old)).toBe(true);
  await desk.idle();
}

describe("a conflict", () => {
  it("keeps mine in the field, and on the server when I say so", async () => {
    const { archive, desk } = await opened();
    archive.write("a", { segments: [{ id: 0, text: "Theirs." }] });
    await correct(desk, 0, "Mine.");
    expect(desk.shown?.segments[0]?.text).toBe("Mine.");
    desk.keepMine(desk.edits[0]?.id ?? "");
    await desk.idle();
    expect([archive.texts("a")[0], desk.edits.length]).toEqual(["Mine.", 0]);
    await desk.undo();
    await desk.idle();
    expect(archive.texts("a")[0]).toBe("Theirs.");
  });

  it("is asked again when they write once more", async () => {
    const { archive, desk } = await opened();
    archive.write("a", { segments: [{ id: 0, text: "Theirs." }] });
    await correct(desk, 0, "Mine.");
    archive.write("a", { segments: [{ id: 0, text: "Theirs again." }] });
    desk.keepMine(desk.edits[0]?.id ?? "");
    await desk.idle();
    expect([...(desk.edits[0]?.theirs?.values() ?? [])]).toEqual(["Theirs again."]);
    expect(archive.texts("a")[0]).toBe("Theirs again.");
  });

  it("keeps what is typed on into it", async () => {
    const { archive, desk } = await opened();
    archive.write("a", { segments: [{ id: 0, text: "Theirs." }] });
    await correct(desk, 0, "Mine.");
    await correct(desk, 0, "Theirs and mine.");
    expect(desk.edits).toMatchObject([{ state: "conflict", steps: [{ after: "Theirs and mine." }] }]);
    desk.keepMine(desk.edits[0]?.id ?? "");
    await desk.idle();
    expect(archive.texts("a")[0]).toBe("Theirs and mine.");
  });
});

describe("speakers", () => {
  it("are merged by one name, and apart again when that is undone", async () => {
    const { archive, desk } = await opened();
    desk.change([[nameOf("spk_1"), "Anna"], [nameOf("spk_2"), "Anna"]]);
    await desk.idle();
    expect([archive.voices("a"), archive.version("a")]).toEqual([["Anna", "Anna", "Anna"], 1]);
    await desk.undo();
    await desk.idle();
    expect(archive.voices("a")).toEqual(["spk_1", "spk_2", "spk_1"]);
    expect(desk.shown?.segments.map(({ voice }) => voice)).toEqual(["spk_1", "spk_2", "spk_1"]);
  });

  it("get a segment, and their seconds with it", async () => {
    const { archive, desk } = await opened();
    desk.change([[voiceOf(0), "spk_2"]]);
    await desk.idle();
    expect(archive.voices("a")).toEqual(["spk_2", "spk_2", "spk_1"]);
    expect(desk.shown?.seconds).toEqual({ spk_1: 0, spk_2: 3 });
  });
});

describe("a recording that was erased elsewhere", () => {
  it("takes its edits along, once one of them is sent", async () => {
    const { archive, store, desk } = await opened();
    archive.erase("a");
    await correct(desk, 0, "Mine.");
    await correct(desk, 0, "Mine again.");
    expect([desk.isGone, desk.edits.length, store.edits.size]).toEqual([true, 0, 0]);
  });

  it("takes along what an earlier page has left", async () => {
    const { archive, store, desk } = await opened();
    archive.weather = ["request lost"];
    await correct(desk, 0, "Mine.");
    archive.erase("a");
    const outbox = new Outbox("key", archive, store);
    await outbox.open(async () => new Set());
    await outbox.flush();
    expect([outbox.edits.length, store.edits.size]).toEqual([0, 0]);
  });

  it("keeps them when only the reading of it fails so, as after another key's sign-in", async () => {
    const { archive, store, desk } = await opened();
    archive.weather = ["request lost"];
    await correct(desk, 0, "Mine.");
    archive.result = () => Promise.reject(new Failure("not_found", "There is no such task.", 404));
    archive.correct = () => Promise.reject(new Failure("csrf_failed", "Not yours.", 403));
    const outbox = new Outbox("key", archive, store);
    await outbox.open(async () => new Set());
    await outbox.flush();
    outbox.close();
    expect(store.edits.size).toBe(1);
  });

  it("keeps them when the recording is there without a transcript", async () => {
    const { archive, store, desk } = await opened();
    archive.correct = () => Promise.reject(new Failure("not_found", "The task has no transcript.", 404));
    await correct(desk, 0, "Mine.");
    expect([desk.edits[0]?.state, store.edits.size]).toEqual(["refused", 1]);
  });

  it("takes them along when the stream of events says so", async () => {
    const { archive, store } = await opened();
    archive.weather = ["request lost"];
    const outbox = new Outbox("key", archive, store);
    const desk = outbox.desk("a", "a.wav");
    await desk.load();
    await correct(desk, 0, "Mine.");
    outbox.erased("a");
    outbox.erased("b");
    outbox.close();
    expect(store.edits.size).toBe(0);
  });

  it("leaves on the page what was typed", async () => {
    const { archive, desk } = await opened();
    archive.weather = ["request lost"];
    await correct(desk, 0, "Mine.");
    desk.change([[voiceOf(1), "spk_1"], [nameOf("spk_1"), "Anna"]]);
    desk.type(textOf(2), "Half a");
    desk.erased();
    desk.erased();
    expect([desk.edits, typed(desk.lost)]).toEqual([[], ["Mine.", "Anna", "Half a"]]);
  });
});

describe("a version", () => {
  it("is restored behind what was typed, and that can be undone and redone", async () => {
    const { archive, desk } = await opened();
    desk.type(textOf(0), "Mine.");
    desk.commit(textOf(0));
    await desk.restore(0);
    expect(archive.texts("a")).toEqual(["One.", "Two.", "Three."]);
    await desk.undo();
    expect(archive.texts("a")[0]).toBe("Mine.");
    await desk.redo();
    expect(archive.texts("a")[0]).toBe("One.");
    await desk.undo();
    await desk.undo();
    await desk.idle();
    expect([archive.texts("a")[0], desk.canUndo]).toEqual(["One.", false]);
  });

  it("is not restored over what others have written unseen", async () => {
    const { archive, desk } = await opened();
    await correct(desk, 0, "Mine.");
    archive.write("a", { segments: [{ id: 1, text: "Theirs." }] });
    await expect(desk.restore(0)).rejects.toMatchObject({ code: "version_conflict" });
    expect(archive.texts("a")).toEqual(["Mine.", "Theirs.", "Three."]);
    expect([desk.shown?.segments[1]?.text, desk.canUndo]).toEqual(["Theirs.", true]);
  });
});
