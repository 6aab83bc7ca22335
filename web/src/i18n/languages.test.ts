import { expect, it } from "vitest";

import ar from "./ar";
import de from "./de";
import { en } from "./en";
import es from "./es";
import fr from "./fr";
import { fill, type Key, type Message } from "./index.svelte";

const LANGUAGES = { de, es, fr, ar };
const textsOf = (message: Message): string[] => (typeof message === "string" ? [message] : Object.values(message));
const placesOf = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!).sort();

for (const [language, messages] of Object.entries(LANGUAGES)) {
  it(`${language} has every message, with the same values in it`, () => {
    expect(Object.keys(messages).sort()).toEqual(Object.keys(en).sort());
    for (const [key, message] of Object.entries(en) as [Key, Message][]) {
      const places = new Set(textsOf(message).flatMap(placesOf));
      for (const text of textsOf(messages[key])) {
        const own = placesOf(text);
        expect(places, `${key}: ${text}`).toEqual(new Set([...places, ...own]));
        // one and two may be words instead of numbers
        expect(new Set([...own, "count"]), `${key}: ${text}`).toEqual(new Set([...places, "count"]));
      }
    }
  });

  it(`${language} has a text for every count`, () => {
    const rules = new Intl.PluralRules(language);
    const needed = new Set(Array.from({ length: 200 }, (_, count) => rules.select(count)));
    // in Arabic the form from 11 to 99 stands in `other`, and is read for none as well
    if (language === "ar") for (const one of ["zero", "many"] as const) needed.delete(one);
    for (const [key, message] of Object.entries(messages) as [Key, Message][]) {
      if (typeof message !== "string") expect(Object.keys(message), key).toEqual(expect.arrayContaining([...needed]));
      else if (typeof en[key] !== "string") expect([...needed], key).toEqual(["other"]);
    }
  });
}

it("writes values as text, whatever they hold", () => {
  expect(fill("Delete “{name}”?", { name: "{name} $& <b>" }, "en")).toBe("Delete “{name} $& <b>”?");
  expect(fill({ one: "{count} file", other: "{count} files" }, { count: 1200 }, "en")).toBe("1,200 files");
});
