/** What the list is narrowed to: words and filters, which the address has, so that a list can be linked to. */

import type { Query } from "../api/types";

export const FILTERS = ["q", "status", "language", "tag", "reference", "since", "until"] as const;
export type Filters = Partial<Record<(typeof FILTERS)[number], string>>;

export function filtersOf(query: URLSearchParams): Filters {
  const filters: Filters = {};
  for (const name of FILTERS) {
    const value = query.get(name)?.trim();
    if (value) filters[name] = value;
  }
  return filters;
}

export const isNarrow = (filters: Filters): boolean => Object.keys(filters).length > 0;

const DAY_MS = 86_400_000;

/** As GET /history takes them. Days are the person's own, and the last one is included. */
export function asQuery(filters: Filters): Query {
  const { since, until, ...rest } = filters;
  const start = since ? new Date(`${since}T00:00`) : null;
  const end = until ? new Date(new Date(`${until}T00:00`).getTime() + DAY_MS) : null;
  return {
    ...rest,
    since: start && !Number.isNaN(+start) ? start.toISOString() : null,
    until: end && !Number.isNaN(+end) ? end.toISOString() : null,
  };
}
