"""A recording of eight hours."""

from __future__ import annotations

from collections.abc import Callable

from tests.page.recordings import Recordings
from tests.page.transcript.paper import Paper
from tests.page.transcript.spoken import finished_recording, transcript
from tests.page.work import Work

SEGMENTS = 14_400
TEXT = "This is sentence number {} of a very long day in court."


FEW = 20
# how many times more work than FEW sentences in the same browser, as no clock is right for every machine
OPENING = 30
TYPING = 30

WATCH = """() => {
  const later = window.setTimeout, held = [];
  window.setTimeout = (work, ms, ...rest) => (!ms ? -held.push(work) : later(work, ms, ...rest));
  window.release = () => {
    window.setTimeout = later;
    for (const work of held) work();
  };
  new MutationObserver((_, observer) => {
    if (!document.getElementById("segment-0")) return;
    observer.disconnect();
    later(() => requestAnimationFrame(() => later(() => { window.drawn = true; })));
  }).observe(document, { childList: true, subtree: true });
}"""
"""What is drawn behind the first minutes waits until it is released, so that it is not counted among them."""

TYPE = """async () => {
  const field = document.querySelector(".reader textarea");
  for (const letter of "typing") {
    field.value += letter;
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    await new Promise(requestAnimationFrame);
    await new Promise(done => setTimeout(done));
  }
}"""


def measured(paper: Paper, recordings: Recordings, segments: int) -> tuple[float, float]:
    """How much work it is for the processor until the text is drawn, and to type a word."""
    texts = [TEXT.format(n) for n in range(segments - 1)]
    doubtful = TEXT.format(segments - 1).replace("court", "[court]")
    task = finished_recording(recordings, f"{segments}.wav", transcript([*texts, doubtful]))
    page, work = paper.page, Work(paper.page)
    page.evaluate(WATCH)
    before = work.so_far()
    page.goto(f"{paper.screen.url}/#/transcript/{task}")  # a change of the hash alone
    paper.screen.until("window.drawn")
    opening = work.so_far() - before
    page.evaluate("release()")
    # playwright's own names, roles and texts would take minutes of a page like this
    paper.screen.until(f"document.querySelectorAll('.reader .segment').length === {segments}")
    paper.screen.until("document.querySelectorAll('.reader .doubt').length === 1")  # the words have come
    page.evaluate("document.getElementById('segment-0').focus()")
    page.keyboard.press("F2")
    paper.screen.until("document.activeElement?.matches('.reader textarea')")
    letter = work.of(TYPE)
    page.keyboard.press("Enter")
    paper.screen.until("document.querySelector('main').textContent.includes('All changes are saved.')")
    return opening, letter


def test_eight_hours_are_read_and_typed_in_quickly_and_all_of_it_can_be_found(
    paper: Paper, new_paper: Callable[..., Paper], recordings: Recordings
) -> None:
    """By the work of the page, compared with a short recording; and the last sentence is there."""
    few = measured(new_paper(), recordings, FEW)
    many = measured(paper, recordings, SEGMENTS)
    print(f"opened and typed in after {many} s of the processor, few sentences {few}")
    assert 0 < many[0] < OPENING * few[0], (many, few)
    assert 0 < many[1] < TYPING * few[1], (many, few)
    # the browser's own search and screen readers have all of the text
    assert paper.page.evaluate(f"window.find({TEXT.format(SEGMENTS - 1)!r})")
    top = f"document.getElementById('segment-{SEGMENTS - 1}').getBoundingClientRect().top"
    paper.screen.until(f"{top} > 0 && {top} < innerHeight")
