/**
 * Keeps an element within reach while dialogs are open. All that is outside a modal dialog is inert, whatever layer it is
 * in, so the element moves into the dialog that was opened last, and back when there is none.
 */

/** The dialogs that are open, in the order in which they were opened. */
export function inOrder<D>(before: readonly D[], open: readonly D[]): D[] {
  return [...before.filter((one) => open.includes(one)), ...open.filter((one) => !before.includes(one))];
}

/** Returns what looks again where the element has to be, and what ends it. */
export function keepAbove(element: HTMLElement): { look: () => void; end: () => void } {
  const home = document.createComment("");
  element.before(home);
  let stack: Element[] = [];
  const look = () => {
    stack = inOrder(stack, [...document.querySelectorAll("dialog:modal")]);
    const dialog = stack.at(-1);
    if (dialog) {
      if (element.parentNode !== dialog) dialog.append(element);
    } else if (element.previousSibling !== home) {
      home.after(element);
    }
  };
  const watch = new MutationObserver(look);
  watch.observe(document.documentElement, { subtree: true, attributeFilter: ["open"] });
  return { look, end: () => watch.disconnect() };
}
