"""Reading and checking: quality, doubtful words, finding, other scripts, odd texts."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import expect

from shared.transcript import Caveat
from tests.page.recordings import Recordings
from tests.page.transcript.paper import Paper
from tests.page.transcript.spoken import finished_recording, transcript

A = ("The train was [late].", "Nobody [told] us.", "The next train came, and the train left.")

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "{@html '<b>x</b>'} {{7*7}} ${7*7}",
    "javascript:alert(1) \" onmouseover=alert(1) '",
    "</span><svg onload=alert(1)>",
)


def test_the_report_on_quality_leads_to_its_places(paper: Paper, recordings: Recordings) -> None:
    """Figures, and each warning in the user's words with a button to its second."""
    dropped = Caveat("dropped_speech", "There is speech here without words.", 2.0, 3.0)
    task = finished_recording(recordings, "a.wav", transcript(A, warnings=[dropped]), sound_s=6.0)
    paper.open(task)
    quality = paper.panel("Quality")
    for text in ("87%", "Doubtful words", "Somebody speaks, but there is no text."):
        expect(quality).to_contain_text(text)
    quality.get_by_role("button", name="Play from 0:02").click()
    expect(paper.page.locator("#segment-1.spoken-now")).to_have_count(1)


def test_tab_goes_from_doubtful_word_to_doubtful_word(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """They are underlined; F2 edits, Tab goes on from there, and behind the last one out of the transcript."""
    doubtful = paper.page.locator(".reader .doubt")
    expect(doubtful).to_have_text(["late.", "told"])
    paper.button("Check 2 doubtful words").click()
    expect(doubtful.first).to_be_focused()
    paper.page.keyboard.press("F2")
    expect(paper.field()).to_be_focused()
    paper.page.keyboard.press("End")
    paper.page.keyboard.type(" Very.")
    paper.page.keyboard.press("Enter")
    recordings.becomes(a, "The train was late. Very.", "Nobody told us.", A[2])
    paper.page.keyboard.press("Tab")
    expect(doubtful.last).to_be_focused()
    paper.page.keyboard.press("Shift+Tab")
    expect(doubtful.first).to_be_focused()
    paper.page.keyboard.press("Tab")
    paper.page.keyboard.press("Tab")
    expect(paper.page.locator(".reader :focus")).to_have_count(0)


def test_words_are_found_and_replaced_as_one_correction(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """All matches are marked and counted; replacing all is one version, which one undo takes back."""
    paper.screen.keep_lines()
    paper.button("Find and replace").click()
    find = paper.page.get_by_role("region", name="Find and replace")
    find.get_by_label("Find", exact=True).fill("TRAIN")
    expect(find).to_contain_text("3 matches")
    paper.screen.until("CSS.highlights.get('found').size === 3")
    find.get_by_role("button", name="Next").click()
    expect(find).to_contain_text("1 of 3")
    find.get_by_label("Replace with").fill("bus & <b>")
    find.get_by_role("button", name="Replace all 3").click()
    recordings.becomes(
        a, "The bus & <b> was late.", "Nobody told us.", "The next bus & <b> came, and the bus & <b> left."
    )
    assert recordings.result(a)["version"] == 1
    paper.page.get_by_role("region", name="News").get_by_role("button", name="Undo").click()
    recordings.becomes(a, "The train was late.", "Nobody told us.", A[2])


def test_hostile_texts_names_and_files_stay_text(paper: Paper, recordings: Recordings) -> None:
    """Wherever they are shown nothing of them becomes markup or runs."""
    task = finished_recording(recordings, "<b onclick=alert(1)>.wav", transcript(HOSTILE))
    recordings.correct(task, speakers={"spk_1": "<i>Anna</i>", "spk_2": "<script>alert(2)</script>"})
    paper.open(task)
    paper.sees(*HOSTILE)
    expect(paper.page.get_by_role("heading", level=1)).to_have_text("<b onclick=alert(1)>.wav")
    paper.who().first.click()
    paper.page.keyboard.press("Escape")
    paper.button("Export").click()
    expect(paper.page.get_by_role("dialog").locator("pre")).to_contain_text("<img src=x")
    paper.page.keyboard.press("Escape")
    paper.panel("Versions").locator("summary").click()
    paper.panel("Versions").get_by_role("button", name="Compare").click()
    expect(paper.panel("Versions").locator("del")).to_have_count(2)
    expect(paper.page.locator("main img, main svg[onload], main i, main script, main b")).to_have_count(0)
    assert paper.screen.dialogs == []


def test_a_word_of_300_letters_leaves_a_phone_as_wide_as_it_is(paper: Paper, recordings: Recordings) -> None:
    """In the text, in the field in which it is edited, and as the name of a file or a person."""
    task = finished_recording(recordings, f"{'n' * 200}.wav", transcript(["w" * 300, "Short."]))
    recordings.correct(task, speakers={"spk_1": "m" * 100})
    paper.page.set_viewport_size({"width": 360, "height": 740})
    paper.open(task)
    for press in ("", "F2"):
        if press:
            paper.sentence(0).focus()
            paper.page.keyboard.press(press)
            expect(paper.field()).to_be_focused()
        assert paper.page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize(
    ("language", "text", "direction"), [("ar", "مرحبا بالعالم", "rtl"), ("de", "Guten Tag", "ltr")]
)
def test_a_transcript_has_its_language_and_direction(
    paper: Paper, recordings: Recordings, language: str, text: str, direction: str
) -> None:
    """Whatever those of the page are; so has the field in which it is edited."""
    paper.open(finished_recording(recordings, "a.wav", transcript([text], language=language)))
    reader = paper.page.locator(".reader")
    expect(reader).to_have_attribute("lang", language)
    expect(reader).to_have_attribute("dir", direction)
    assert paper.sentence(0).evaluate("one => getComputedStyle(one).direction") == direction
    paper.sentence(0).dblclick()
    assert paper.field().evaluate("one => getComputedStyle(one).direction") == direction
    assert paper.page.evaluate("document.documentElement.lang") == "en"


def test_no_bar_lies_over_what_can_be_pressed(paper: Paper, recordings: Recordings) -> None:
    """Each button of the screen can be brought into sight and hit, with the player at the lower edge."""
    paper.open(finished_recording(recordings, "a.wav", transcript(["Word."] * 60), sound_s=2.0))
    paper.page.set_viewport_size({"width": 1000, "height": 500})
    for name in ("Keys", "Export", "Share", "Delete"):
        paper.button(name).click(trial=True)
    paper.sentence(59).click()
    assert paper.page.evaluate("document.activeElement.id") == "segment-59"
