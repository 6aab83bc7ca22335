"""A recording of eight hours."""

from __future__ import annotations

from collections.abc import Callable

from tests.page.recordings import Recordings
from tests.page.transcript.paper import Paper
from tests.page.transcript.spoken import heard, transcript

SEGMENTS = 14_400
TEXT = "This is sentence number {} of a very long day in court."


FEW = 20
# how many times longer than FEW sentences in the same browser, as no clock is right for every machine
OPENING = 30
TYPING = 30

WATCH = """
  const parse = JSON.parse;
  JSON.parse = function (text, ...rest) {
    if (String(text).includes('"segments"')) window.began ??= performance.now();
    return parse.call(this, text, ...rest);
  };
  new MutationObserver(() => {
    if (!window.drawn && document.getElementById("segment-0")) {
      window.drawn = -1;
      setTimeout(() => requestAnimationFrame(() => setTimeout(() => { window.drawn = performance.now(); })));
    }
  }).observe(document, { childList: true, subtree: true });
"""

OPENED = """async () => {
  while (!(window.drawn > 0)) await new Promise(requestAnimationFrame);
  return window.drawn - window.began;
}"""

TYPE = """async () => {
  const field = document.querySelector(".reader textarea"), times = [];
  for (const letter of "typing") {
    const start = performance.now();
    field.value += letter;
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    await new Promise(requestAnimationFrame);
    await new Promise(done => setTimeout(done));
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[3];
}"""


def measured(paper: Paper, recordings: Recordings, segments: int) -> tuple[float, float]:
    """How many milliseconds it takes from the answer of the API until the text is drawn, and for a letter."""
    task = heard(recordings, f"{segments}.wav", transcript([TEXT.format(n) for n in range(segments)]))
    page = paper.page
    page.evaluate(f"() => {{{WATCH}}}")  # going there may be a change of the hash alone
    page.add_init_script(WATCH)
    page.goto(f"{paper.screen.url}/#/transcript/{task}")
    # playwright's own names, roles and texts would take minutes of a page like this
    paper.screen.until(f"document.querySelectorAll('.reader .segment').length === {segments}")
    opening = page.evaluate(OPENED)
    page.evaluate("document.getElementById('segment-0').focus()")
    page.keyboard.press("F2")
    paper.screen.until("document.activeElement?.matches('.reader textarea')")
    letter = page.evaluate(TYPE)
    page.keyboard.press("Enter")
    paper.screen.until("document.querySelector('main').textContent.includes('All changes are saved.')")
    return opening, letter


def test_eight_hours_are_read_and_typed_in_quickly_and_all_of_it_can_be_found(
    paper: Paper, new_paper: Callable[..., Paper], recordings: Recordings
) -> None:
    """By the page's own clock, compared with a short recording; and the last sentence is there."""
    few = measured(new_paper(), recordings, FEW)
    many = measured(paper, recordings, SEGMENTS)
    assert 0 < many[0] < OPENING * few[0], (many, few)
    assert 0 < many[1] < TYPING * few[1], (many, few)
    # the browser's own search and screen readers have all of the text
    assert paper.page.evaluate(f"window.find({TEXT.format(SEGMENTS - 1)!r})")
    shown = f"document.getElementById('segment-{SEGMENTS - 1}').getBoundingClientRect().top"
    paper.screen.until(f"{shown} > 0 && {shown} < innerHeight")
