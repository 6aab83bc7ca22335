/** Words in the person's language. One file per language; en.ts says which messages there are. */

import { latest } from "../api/latest";
import type { en } from "./en";

/** A text, or one per plural category of Intl.PluralRules, chosen by `count`. `{name}` stands for a value. */
export type Message = string | ({ other: string } & Partial<Record<Intl.LDMLPluralRule, string>>);
export type Key = keyof typeof en;
export type Messages = Record<Key, Message>;

/** Languages of the page, each by its own name. */
export const LANGUAGES = { en: "English", de: "Deutsch", fr: "Français", es: "Español", ar: "العربية" } as const;
export type Language = keyof typeof LANGUAGES;

const LOADERS: Record<Language, () => Promise<Partial<Messages>>> = {
  en: async () => (await import("./en")).en,
  de: async () => (await import("./de")).default,
  fr: async () => (await import("./fr")).default,
  es: async () => (await import("./es")).default,
  ar: async () => (await import("./ar")).default,
};

const RIGHT_TO_LEFT: readonly string[] = ["ar"];
const CHOICE = "parley.language";

class Locale {
  language = $state<Language>("en");
  messages = $state.raw<Partial<Messages>>({});
  #begin = latest();

  /** Takes the language that was chosen here, else the browser's. */
  async start(): Promise<void> {
    const wishes = [localStorage.getItem(CHOICE), ...navigator.languages.map((tag) => tag.split("-")[0]!)];
    const known = wishes.find((wish): wish is Language => wish !== null && wish in LANGUAGES);
    await this.#use(known ?? "en");
  }

  async choose(language: Language): Promise<void> {
    localStorage.setItem(CHOICE, language);
    await this.#use(language);
  }

  async #use(language: Language): Promise<void> {
    const isNewest = this.#begin();
    const messages = await LOADERS[language]();
    if (!isNewest()) return;
    this.messages = messages;
    this.language = language;
    document.documentElement.lang = language;
    document.documentElement.dir = RIGHT_TO_LEFT.includes(language) ? "rtl" : "ltr";
  }
}

export const locale = new Locale();

export type Values = Record<string, string | number>;

/** The message in the language of the page. `count` chooses among plurals and is written as a number. */
export function t(key: Key, values: Values = {}): string {
  return fill(locale.messages[key] ?? key, values, locale.language);
}

/** Whether there is such a message: for keys that are made of what the server says. */
export const isKey = (key: string): key is Key => key in locale.messages;

export function fill(message: Message, values: Values, language: string): string {
  const text =
    typeof message === "string"
      ? message
      : (message[new Intl.PluralRules(language).select(Number(values.count))] ?? message.other);
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? new Intl.NumberFormat(language).format(value) : value;
  });
}
