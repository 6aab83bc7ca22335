/** Light, dark, or as the system has it. */

export type Theme = "auto" | "light" | "dark";
const CHOICE = "parley.theme";

class Appearance {
  theme = $state<Theme>("auto");

  start(): void {
    const choice = localStorage.getItem(CHOICE);
    this.#use(choice === "light" || choice === "dark" ? choice : "auto");
  }

  choose(theme: Theme): void {
    localStorage.setItem(CHOICE, theme);
    this.#use(theme);
  }

  #use(theme: Theme): void {
    this.theme = theme;
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }
}

export const appearance = new Appearance();
