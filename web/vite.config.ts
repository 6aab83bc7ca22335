import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

/** Where `npm run dev` sends the calls of the API. */
const GATEWAY = process.env.PARLEY_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  base: "./", // also below a path that a proxy takes away
  plugins: [svelte()],
  build: {
    outDir: "../api/pages/workspace",
    emptyOutDir: true,
    target: "es2022",
    cssCodeSplit: false,
    modulePreload: false,
    minify: "terser", // a tenth smaller than what esbuild makes
    terserOptions: { module: true, ecma: 2020, compress: { passes: 2 } },
    assetsInlineLimit: 0, // the policy has no data: but for pictures
    rollupOptions: {
      // names without hashes, so that a change of the source changes no name; the gateway puts a hash of all into their paths
      output: {
        entryFileNames: "assets/page.js",
        chunkFileNames: ({ facadeModuleId }) => `assets/${facadeModuleId?.includes("/i18n/") ? "languages/" : ""}[name].js`,
        experimentalMinChunkSize: 5_000, // what two screens share is no file of its own, unless it is large
        assetFileNames: "assets/page[extname]",
      },
    },
  },
  worker: { format: "es", rollupOptions: { output: { entryFileNames: "assets/[name].js" } } }, // the audio thread's
  server: { proxy: { "^/(?!src|node_modules|@|icon\\.svg|$)": { target: GATEWAY } } },
});
