import fc from "fast-check";
import { beforeAll, describe, expect, it, vi } from "vitest";

import type * as Routing from "./place.svelte";

let routing: typeof Routing;

beforeAll(async () => {
  vi.stubGlobal("location", { hash: "" });
  vi.stubGlobal("addEventListener", () => {});
  routing = await import("./place.svelte");
});

describe("addresses", () => {
  it("lead back to what they were made of", () => {
    const texts = fc.string({ unit: "grapheme", minLength: 1 });
    fc.assert(
      fc.property(fc.constantFrom(...routing.SCREENS), texts, fc.dictionary(texts, texts), (screen, id, query) => {
        const place = routing.placeOf(routing.link(screen, id, query));
        expect(place.screen).toBe(screen);
        expect(place.id).toBe(id);
        expect(Object.fromEntries(place.query)).toEqual(Object.fromEntries(Object.entries(query)));
      }),
    );
  });

  it("that mean nothing lead to the recordings", () => {
    for (const hash of ["", "#", "#/", "#/nowhere/x", "#/%E0%A4%A", "#main"]) {
      expect(routing.placeOf(hash)).toMatchObject({ screen: "recordings", id: null });
    }
  });
});
