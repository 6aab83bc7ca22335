/** Minutes by day, also of days on which there was nothing. */

import type { Schemas } from "../api/types";

const DAY_MS = 86_400_000;

/** `since` and `until` are days in UTC, and both are included. */
export function minutesByDay(items: Schemas["UsageItem"][], since: string, until: string): { day: string; minutes: number }[] {
  const known = new Map(items.map((item) => [item.day, item.minutes]));
  const days = [];
  for (let time = Date.parse(since); time <= Date.parse(until); time += DAY_MS) {
    const day = new Date(time).toISOString().slice(0, 10);
    days.push({ day, minutes: known.get(day) ?? 0 });
  }
  return days;
}
