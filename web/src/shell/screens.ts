/** The screens. Each is a file of its own, which comes when it is opened, so that none costs what another needs. */

import type { Component } from "svelte";

import { here, type Screen } from "../routing/place.svelte";

type Any = Component<Record<string, unknown>>;

const FILES: Record<Screen, () => Promise<{ default: unknown }>> = {
  recordings: () => import("../recordings/Recordings.svelte"),
  send: () => import("../send/Send.svelte"),
  live: () => import("../live/Live.svelte"),
  transcript: () => import("../transcript/Transcript.svelte"),
  usage: () => import("../usage/Usage.svelte"),
  admin: () => import("../admin/Admin.svelte"),
  shared: () => import("../transcript/shared/Shared.svelte"),
  receipts: () => import("../receipts/Receipts.svelte"),
};

/** Fails where the file cannot be had. */
export async function load(screen: Screen): Promise<Any> {
  return (await FILES[screen]()).default as Any;
}

const IDLE_MS = 2_000;

/** Begins with the screen that is opened; the others come while nothing else is to be done, and are there offline, too. */
export function preload(): void {
  const missing = () => {}; // whoever shows it says so
  void load(here.place.screen).catch(missing);
  setTimeout(() => {
    for (const screen of ["recordings", "send", "transcript", "usage", "receipts"] as const) void load(screen).catch(missing);
  }, IDLE_MS);
}
