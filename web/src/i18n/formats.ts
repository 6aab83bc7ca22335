/** Numbers, times and sizes as the person's language writes them. */

import { locale } from "./index.svelte";

/** Seconds as 3:07 or 1:02:09, in every language. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number) => String(value).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

/** "3.4 MB" */
export function bytes(count: number): string {
  const power = count < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(count) / 3));
  const value = count / 1000 ** power;
  return new Intl.NumberFormat(locale.language, {
    style: "unit",
    unit: UNITS[power]!,
    unitDisplay: "short",
    maximumFractionDigits: power && value < 100 ? 1 : 0,
  }).format(value);
}

/** A moment as a date and a time of the person's own zone. */
export function moment(iso: string | Date): string {
  return new Intl.DateTimeFormat(locale.language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(iso));
}

export function day(iso: string | Date): string {
  return new Intl.DateTimeFormat(locale.language, { dateStyle: "medium" }).format(new Date(iso));
}

export function number(value: number, digits = 0): string {
  return new Intl.NumberFormat(locale.language, { maximumFractionDigits: digits }).format(value);
}

/** A share of one as "42%". */
export function percent(share: number): string {
  return new Intl.NumberFormat(locale.language, { style: "percent" }).format(share);
}

/** A span for people: "2 min", "1 hr, 5 min", "40 sec". */
export function span(seconds: number): string {
  const parts: [number, string][] =
    seconds < 60
      ? [[Math.max(1, Math.round(seconds)), "second"]]
      : seconds < 3600
        ? [[Math.round(seconds / 60), "minute"]]
        : [
            [Math.floor(seconds / 3600), "hour"],
            [Math.round((seconds % 3600) / 60), "minute"],
          ];
  return parts
    .filter(([value]) => value)
    .map(([value, unit]) =>
      new Intl.NumberFormat(locale.language, { style: "unit", unit, unitDisplay: "short" }).format(value),
    )
    .join(" ");
}

/** What a language is called in the language of the page. */
export function languageName(code: string): string {
  try {
    return new Intl.DisplayNames(locale.language, { type: "language" }).of(code) ?? code;
  } catch {
    return code;
  }
}
