/** The fields of a transcript: sentences and names that are edited where they stand. They hand all typing to the desk. */

/** A segment's text, edited in place. */
function sentence(view, segment) {
  const { desk } = view;
  const place = textOf(segment.id);
  const field = element("span", "said", desk.drafts.get(place.id)?.text ?? segment.text);
  try { field.contentEditable = "plaintext-only"; } catch { field.contentEditable = "true"; }
  field.setAttribute("role", "textbox");
  field.setAttribute("aria-label", `Text at ${clock(segment.start)}`);
  let before = "";
  field.onfocus = () => { before = field.textContent; };
  field.oninput = () => {
    desk.type(place, field.textContent);
    if (document.activeElement !== field) desk.commit(place); // undone, or dragged away, from outside
  };
  field.onkeydown = (event) => {
    if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
    event.preventDefault();
    if (event.key === "Escape") {
      setText(field, before);
      desk.type(place, before);
    }
    field.blur();
  };
  field.onblur = () => {
    if (!view.isDrawing) desk.commit(place);
  };
  view.fields.set(place.id, field);
  return field;
}

/** Changes a field's text from outside, and leaves nothing but text in it. The caret stays where it was. */
function setText(field, text) {
  if (field.textContent === text && !field.firstElementChild) return;
  const isEdited = document.activeElement === field;
  const caret = isEdited ? caretIn(field) : 0;
  field.textContent = text;
  if (isEdited) setCaret(field, caret);
}

/** How many characters stand before the caret. */
function caretIn(field) {
  const { anchorNode, anchorOffset } = getSelection();
  return field.contains(anchorNode) && anchorNode !== field ? anchorOffset : 0;
}

function setCaret(field, caret) {
  if (field.firstChild) getSelection().collapse(field.firstChild, Math.min(caret, field.textContent.length));
}

/** Who speaks in a turn, which becomes a field when it is clicked. */
function nameTag(view, part) {
  part.tag = button("who", "", () => openName(view, part));
  part.tag.title = "Rename this speaker";
  drawName(view, part);
  return part.tag;
}

/** The draft of a name that was typed in this turn. */
const nameDraft = (view, part) =>
  [...view.desk.drafts.values()].find(({ place }) => place.isName && part.segments.includes(place.segment));

function drawName(view, part) {
  const draft = nameDraft(view, part);
  part.tag.textContent = draft?.text || part.speaker;
  mark(part.tag, draft);
}

function openName(view, part) {
  const { desk } = view;
  const voices = desk.result.speakers.filter((speaker) => nameOf(speaker) === part.speaker).map(({ id }) => id);
  const place = nameDraft(view, part)?.place ?? nameAt(voices, part.segments[0]);
  const before = part.tag.textContent;
  const field = element("input", "who", "");
  field.value = before;
  field.maxLength = 100;
  field.setAttribute("aria-label", "Name of this speaker");
  // an id is what stands there as long as there is no name
  const typed = (text) => desk.type(place, voices.includes(text.trim()) ? "" : text);
  const close = () => {
    if (part.field !== field) return;
    part.field = null;
    field.replaceWith(part.tag);
    desk.commit(place);
    drawName(view, part);
  };
  field.oninput = () => typed(field.value);
  field.onblur = () => { if (!view.isDrawing) close(); };
  field.onkeydown = (event) => {
    if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
    event.preventDefault(); // else the same Enter would press the button that gets the focus
    if (event.key === "Escape") typed(before);
    close();
    part.tag.focus();
  };
  part.field = field;
  part.tag.replaceWith(field);
  field.select();
}

/** Shows on its field how a draft stands. */
function mark(field, draft) {
  const isStuck = ["failed", "conflict"].includes(draft?.state);
  field.classList.toggle("stuck", isStuck);
  field.classList.toggle("saving", ["waiting", "saving"].includes(draft?.state));
  if (isStuck) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}
