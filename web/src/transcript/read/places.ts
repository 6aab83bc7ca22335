/** Between places in a segment's text and places in the page. */

/** The element of a segment that is on the page; null while it is not drawn, or is being edited. */
export function elementOf(segment: number): HTMLElement | null {
  return document.getElementById(`segment-${segment}`);
}

/** The number of the segment in which a node is; null outside of the transcript. */
export function segmentAt(node: Node | null): number | null {
  const element = node instanceof Element ? node : node?.parentElement;
  const number = element?.closest<HTMLElement>("[data-segment]")?.dataset.segment;
  return number === undefined ? null : Number(number);
}

/** Letters `from` to `to` of an element's text as a range. */
export function rangeIn(element: HTMLElement, from: number, to: number): Range | null {
  const range = document.createRange();
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let done = 0;
  let hasStart = false;
  for (let node = walker.nextNode() as Text | null; node; node = walker.nextNode() as Text | null) {
    const end = done + node.length;
    if (!hasStart && from < end) {
      range.setStart(node, from - done);
      hasStart = true;
    }
    if (hasStart && to <= end) {
      range.setEnd(node, to - done);
      return range;
    }
    done = end;
  }
  return null;
}

/** How many letters of an element's text stand before a point of the window; null beside the text. */
export function letterAt(element: HTMLElement, x: number, y: number): number | null {
  const spot = caretAt(x, y);
  if (!spot || !element.contains(spot.node)) return null;
  const range = document.createRange();
  range.setStart(element, 0);
  range.setEnd(spot.node, spot.offset);
  return range.toString().length;
}

function caretAt(x: number, y: number): { node: Node; offset: number } | null {
  if (document.caretPositionFromPoint) {
    const spot = document.caretPositionFromPoint(x, y);
    return spot && { node: spot.offsetNode, offset: spot.offset };
  }
  const range = document.caretRangeFromPoint(x, y);
  return range && { node: range.startContainer, offset: range.startOffset };
}

/** Marks these places under a name that the style knows, where the browser can. */
export function highlight(name: string, ranges: Iterable<Range | null>): void {
  if (typeof Highlight === "undefined") return;
  const marked = new Highlight();
  for (const range of ranges) if (range) marked.add(range);
  CSS.highlights.set(name, marked);
}

/**
 * Brings an element into the middle of the window: at once where people want no movement, and from afar. Blocks on the
 * way there are laid out for the first time and are not as high as was thought, so a second look corrects the first.
 */
export function reveal(element: HTMLElement): void {
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const isFar = Math.abs(element.getBoundingClientRect().top) > 3 * innerHeight;
  element.scrollIntoView({ block: "center", behavior: isCalm || isFar ? "instant" : "smooth" });
  if (!isFar) return;
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      if (!isInSight(element)) element.scrollIntoView({ block: "center", behavior: "instant" });
    }),
  );
}

/** Whether all of an element is between the header and what stands at the lower edge. */
export function isInSight(element: HTMLElement): boolean {
  const { top, bottom } = element.getBoundingClientRect();
  return top > 60 && bottom < innerHeight - 120;
}
