/** What the page says about drafts: that they are saved, and those that need the person, whichever recording is shown. */

const stuck = new Map(); // draft -> { line, cause, yours } among the notices

const isShown = (desk) => Boolean(desk) && shown?.desk === desk;

/** Called by a desk whenever a draft stands otherwise. */
function draftChanged(draft) {
  const { desk, place, state, problem, theirs } = draft;
  if (isShown(desk)) drawDraft(shown, draft);
  const isAlive = desk.drafts.get(place.id) === draft;
  const isStuck = isAlive && ["failed", "conflict"].includes(state);
  const cause = isStuck ? [state, problem, theirs].join("\n") : "";
  const before = stuck.get(draft);
  if (cause && before?.cause === cause) {
    before.yours.textContent = draft.text;
    return;
  }
  before?.line.remove();
  stuck.delete(draft);
  if (isStuck) stuck.set(draft, { cause, ...(state === "failed" ? failedLine(draft) : conflictLine(draft)) });
  if (isStuck) say("");
  else if (isAlive && state === "saving" && isShown(desk)) say("Saving …");
}

/** Called by a desk when the server has what was typed. */
function draftSaved(draft) {
  const { desk, place } = draft;
  say(isShown(desk) ? "Saved." : `Saved in ${quoted(desk.name)}.`);
  if (!isShown(desk)) return;
  if (place.isName) refresh(shown);
  else drawDraft(shown, draft);
  showFacts(shown);
}

/** Where a draft was typed, as its person knows it. */
function whereabouts({ desk, place }) {
  const { start } = desk.result.segments.find(({ id }) => id === place.segment);
  return `the ${place.isName ? "name" : "text"} at ${clock(start)} in ${quoted(desk.name)}`;
}

function failedLine(draft) {
  const yours = element("q", "", draft.text);
  const line = notice(`Not saved: ${whereabouts(draft)}. ${draft.problem} Yours is kept: `, {
    "Try again": () => draft.desk.retry(),
    Show: () => showDraft(draft),
    Discard: () => { if (confirm("Discard what you typed?")) draft.desk.discard(draft); },
  }, "error");
  line.firstChild.append(yours);
  return { line, yours };
}

function conflictLine(draft) {
  const { desk, theirs } = draft;
  const line = notice(`Not saved: ${whereabouts(draft)} was changed elsewhere meanwhile.`, {
    "Keep yours": () => desk.overrule(draft),
    "Keep theirs": () => desk.discard(draft),
    Show: () => showDraft(draft),
  }, "error");
  const yours = element("dd", "", draft.text);
  const both = element("dl", "", "");
  both.append(element("dt", "", "Theirs"), element("dd", "", theirs || "(nothing)"), element("dt", "", "Yours"), yours);
  for (const text of both.querySelectorAll("dd")) text.dir = "auto";
  line.firstChild.after(both);
  return { line, yours };
}

/** Brings the reader to where a draft was typed. */
async function showDraft({ desk, place }) {
  if (!isShown(desk)) await openTranscript(desk.task, desk.name);
  if (!isShown(desk)) return;
  const part = shown.parts.find(({ segments }) => segments.includes(place.segment));
  const field = place.isName ? part.tag : shown.fields.get(place.id);
  field.scrollIntoView({ block: "center" });
  field.focus({ preventScroll: true });
}

/** Asks before the page is left with something that would be lost. */
window.addEventListener("beforeunload", (event) => {
  const isTyped = [...desks.values()].some(({ drafts }) => drafts.size);
  if (isTyped || isSending()) event.preventDefault();
});
