import { vitePreprocess } from "@sveltejs/vite-plugin-svelte";

export default {
  preprocess: vitePreprocess({ script: true }),
  compilerOptions: {
    runes: true,
    // from the style itself and not from where it lies, so that every checkout builds the same
    cssHash: ({ hash, css }) => `s${hash(css)}`,
  },
};
