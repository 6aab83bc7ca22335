import { expect, it, vi } from "vitest";

import { Failure } from "../../api/failure";
import { Player } from "./player.svelte";

vi.stubGlobal("cancelAnimationFrame", () => {});

function opened(): { player: Player; element: { currentTime: number; playbackRate: number; load: () => void } } {
  const element = { currentTime: 0, playbackRate: 1, pause() {}, load: vi.fn(() => (element.currentTime = 0)) };
  const player = new Player("audio");
  player.attach(element as unknown as HTMLAudioElement);
  return { player, element };
}

const failing = (status: number, code: string) => () => Promise.reject(new Failure(code, "", status));

it("says that there is no sound only when the server does", async () => {
  const { player } = opened();
  await player.failed(failing(404, "not_found"));
  expect([player.isMissing, player.isBroken]).toEqual([true, false]);
});

it("asks again after a failure that passes, and goes on where it was", async () => {
  for (const ask of [failing(0, "unreached"), failing(401, "unauthorized"), failing(503, "busy"), () => Promise.resolve()]) {
    const { player, element } = opened();
    player.setRate(1.5);
    player.seek(12);
    player.retry();
    expect(element.load).not.toHaveBeenCalled();
    await player.failed(ask);
    expect([player.isMissing, player.isBroken]).toEqual([false, true]);
    element.playbackRate = 1;
    player.retry();
    expect(element.load).toHaveBeenCalledOnce();
    expect([player.isBroken, element.currentTime, element.playbackRate]).toEqual([false, 12, 1.5]);
  }
});
