/** Where the person is: the hash, so that the page works below any path and needs nothing of the server. */

export type Screen = "recordings" | "send" | "live" | "transcript" | "usage" | "admin" | "receipts" | "shared";

export const SCREENS: readonly Screen[] = ["recordings", "send", "live", "transcript", "usage", "admin", "receipts", "shared"];

export type Place = { screen: Screen; id: string | null; query: URLSearchParams };

/** "#/transcript/ID?at=12.5" as a place; the list of recordings is where all else leads. */
export function placeOf(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [screen, id] = path.split("/").map((part) => decode(part));
  const known = SCREENS.find((one) => one === screen);
  return { screen: known ?? "recordings", id: (known && id) || null, query: new URLSearchParams(query) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a screen, for `href`. */
export function link(screen: Screen, id: string | null = null, query: Record<string, string | number> = {}): string {
  const search = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  return `#/${screen}${id === null ? "" : `/${encodeURIComponent(id)}`}${search.size ? `?${search}` : ""}`;
}

class Here {
  place = $state.raw<Place>(placeOf(location.hash));

  constructor() {
    addEventListener("hashchange", () => (this.place = placeOf(location.hash)));
  }

  go(screen: Screen, id: string | null = null, query: Record<string, string | number> = {}): void {
    location.hash = link(screen, id, query);
  }

  /** Writes the query anew without a step in the browser's history. */
  replaceQuery(query: Record<string, string | number>): void {
    const { screen, id } = this.place;
    history.replaceState(history.state, "", link(screen, id, query));
    this.place = placeOf(location.hash);
  }
}

export const here = new Here();
