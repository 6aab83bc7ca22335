/** Small things for elements. Text is only ever set as text: what was said, and names of files, are hostile. */

const $ = (id) => document.getElementById(id);

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** A button that is no submit button. */
function button(className, text, onclick) {
  return Object.assign(element("button", className, text), { type: "button", onclick });
}

/** One line about what was just done, until the next one. */
function say(text, isError = false) {
  $("message").textContent = text;
  $("message").className = isError ? "error" : "";
}

/** An event handler that tells the user when it fails. */
const guarded = (work) => async (event) => {
  event?.preventDefault();
  try { await work(); } catch (error) { say(error.message, true); }
};

/**
 * A line that stays until it is dealt with, with buttons {label: work}; errors come first. It stands over the page's
 * lower edge, so that nothing that is being read moves.
 */
function notice(text, buttons, className = "") {
  const line = element("li", className, "");
  line.append(element("span", "", text));
  for (const [label, work] of Object.entries(buttons)) line.append(button("", label, guarded(work)));
  if (className) $("notices").prepend(line);
  else $("notices").append(line);
  return line;
}

const MARGIN_PX = 8; // for a field's outline

/** What is being edited is not covered by those lines. */
new ResizeObserver(([{ target }]) => {
  document.documentElement.style.scrollPaddingBottom = `${target.offsetHeight + MARGIN_PX}px`;
  const field = document.activeElement;
  const { top, bottom } = field.getBoundingClientRect();
  const isCovered = top < innerHeight && bottom > target.getBoundingClientRect().top;
  if (isCovered && $("transcript").contains(field)) field.scrollIntoView({ block: "nearest" });
}).observe($("news"));

/** What a reader calls a recording. */
const quoted = (name) => `“${name}”`;

/** Seconds as 3:07 or 1:02:09. */
function clock(seconds) {
  const s = Math.floor(seconds);
  const parts = [Math.floor(s / 3600), Math.floor(s / 60) % 60, s % 60].map((n) => String(n).padStart(2, "0"));
  return (parts[0] === "00" ? parts.slice(1) : parts).join(":");
}
