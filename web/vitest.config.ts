import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [svelte()],
  // modules are loaded anew within tests, which takes seconds on a busy machine
  test: { include: ["src/**/*.test.ts"], environment: "node", testTimeout: 120_000 },
});
