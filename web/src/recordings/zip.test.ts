import { expect, it } from "vitest";
import { apart, zip } from "./zip";

it("makes names different that are the same on some system, and leaves no path in them", () => {
  expect(apart(["a.txt", "A.txt", "a.txt", "../b:c.txt", ".d", ".d"])).toEqual([
    "a.txt", "A (2).txt", "a (3).txt", ".._b_c.txt", ".d", ".d (2)",
  ]);
});

it("has the checksum that the format wants", async () => {
  const content = new TextEncoder().encode("123456789");
  const view = new DataView(await zip([{ name: "n", content }]).arrayBuffer());
  expect([view.getUint32(0, true), view.getUint32(14, true)]).toEqual([0x04034b50, 0xcbf43926]);
});
