import fc from "fast-check";
import { expect, it, vi } from "vitest";

import { session } from "../api/session.svelte";
import { fieldsOf, keepOptions, lastOptions, presetOf, PRESETS, USUAL, type Options, type Preset } from "./options";

it("says nothing that holds anyway, but who speaks", () => {
  expect(fieldsOf(USUAL, false)).toEqual({ diarization: true });
});

it("knows its presets again", () => {
  for (const name of Object.keys(PRESETS) as Preset[]) expect(presetOf({ ...USUAL, ...PRESETS[name] })).toBe(name);
});

it("asks for no speakers where channels are kept apart, and for what is about addresses only of addresses", () => {
  const options: fc.Arbitrary<Options> = fc
    .record({
      diarization: fc.boolean(),
      channels: fc.constantFrom("mix" as const, "split" as const),
      num_speakers: fc.constantFrom("", "2"),
      max_duration: fc.constantFrom("", "10"),
      refresh: fc.boolean(),
      language: fc.constantFrom("auto", "several", "de"),
      languages: fc.constantFrom("", "de, fr"),
    })
    .map((some) => ({ ...USUAL, ...some }));
  fc.assert(
    fc.property(options, fc.boolean(), (all, isUrl) => {
      const fields = fieldsOf(all, isUrl);
      if (all.channels === "split") expect(fields).not.toMatchObject({ diarization: true });
      if (fields.diarization !== true) expect(fields).not.toHaveProperty("num_speakers");
      if (!isUrl) expect(Object.keys(fields)).not.toEqual(expect.arrayContaining(["refresh"]));
      if (!isUrl) expect(fields).not.toHaveProperty("max_duration");
      if (isUrl && all.max_duration) expect(fields.max_duration).toBe(600);
      expect("language" in fields && "languages" in fields).toBe(false);
      expect(Object.values(fields)).not.toContain("");
    }),
  );
});

it("keeps for the same key alone what was used last, and nothing that belongs to single recordings", () => {
  const kept = new Map<string, string>();
  vi.stubGlobal("localStorage", { getItem: (name: string) => kept.get(name) ?? null, setItem: (name: string, text: string) => kept.set(name, text) });
  const own = { webhook_url: "https://a.example/", prompt: "of A", hotwords: "Anna", tags: "of-a", reference: "7", refresh: true };
  session.info = { key_id: "a" } as typeof session.info;
  keepOptions({ ...USUAL, language: "de", ...own });
  expect(lastOptions()).toEqual({ ...USUAL, language: "de" });
  session.info = { key_id: "b" } as typeof session.info;
  expect(lastOptions()).toEqual(USUAL);
  vi.unstubAllGlobals();
});

it("takes the comma of Arabic for one", () => {
  const lists = { language: "several", languages: "ar، de", hotwords: "Anna، Bert", tags: "مقابلة، شمال", prompt: "نعم، هنا" };
  expect(fieldsOf({ ...USUAL, ...lists }, false)).toMatchObject({
    languages: "ar, de",
    hotwords: "Anna, Bert",
    tags: "مقابلة, شمال",
    prompt: "نعم، هنا",
  });
});
