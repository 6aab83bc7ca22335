/** Limits of a key, as the form has them: empty for the server's default, 0 for none. */

import type { Schemas } from "../api/types";

export const LIMITS = [
  "requests_per_minute",
  "max_queued",
  "max_running",
  "minutes_per_day",
  "max_open_uploads",
  "max_announced_bytes",
  "max_stored_bytes",
  "max_waiting_deliveries",
  "webhook_tests_per_minute",
  "retention_seconds",
] as const;

export type Limits = Record<(typeof LIMITS)[number], number | null>;

export function limitsOf(key: Schemas["KeyInfo"]): Limits {
  return Object.fromEntries(LIMITS.map((name) => [name, key[name] ?? null])) as Limits;
}
