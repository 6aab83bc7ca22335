"""Listening: earlier recordings have their sound, and the text and the sound lead to each other."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import expect

from tests.page.recordings import Recordings
from tests.page.transcript.paper import Paper
from tests.page.transcript.spoken import finished_recording, transcript

TEXTS = (*(f"This is sentence number {n} of them." for n in range(29)), "This is the [last] one.")


@pytest.fixture
def call(paper: Paper, recordings: Recordings) -> uuid.UUID:
    """A minute of sound, as it was sent at another time from elsewhere, open."""
    task = finished_recording(recordings, "call.wav", transcript(TEXTS), sound_s=60.0)
    paper.open(task)
    expect(paper.button("Check 1 doubtful word")).to_be_visible()  # the times of the words have come
    paper.screen.until("document.querySelector('audio').readyState >= 1")
    return task


def time(paper: Paper) -> float:
    return float(paper.page.evaluate("document.querySelector('audio').currentTime"))


def test_an_earlier_recording_plays_and_what_is_said_is_marked(paper: Paper, call: uuid.UUID) -> None:
    """Sentence and word follow the sound; the waveform tells where it stands."""
    paper.button("Play").click()
    paper.screen.until("document.querySelector('audio').currentTime > 2.3")
    paper.screen.until("CSS.highlights.get('spoken').size === 1")
    paper.button("Pause").click()
    expect(paper.button("Play")).to_be_visible()
    spoken = paper.page.locator(".spoken-now")
    expect(spoken).to_have_count(1)
    expect(spoken).to_have_id(f"segment-{int(time(paper) // 2)}")
    waveform = paper.page.get_by_role("slider", name="Position")
    expect(waveform).to_have_attribute("aria-valuenow", str(round(time(paper))))


def test_a_click_on_a_word_plays_from_there(paper: Paper, call: uuid.UUID) -> None:
    """Not from its sentence; a click into the waveform and its keys move the sound and the mark, too."""
    box = paper.page.evaluate(
        """() => {
          const texts = [...document.getElementById("segment-5").childNodes], range = document.createRange();
          const text = texts.find((node) => node.data?.includes("number"));
          range.setStart(text, text.data.indexOf("number")); range.setEnd(text, text.data.indexOf("number") + 6);
          const { x, y, width, height } = range.getBoundingClientRect();
          return { x: x + width / 2, y: y + height / 2 };
        }"""
    )
    paper.page.mouse.click(box["x"], box["y"])
    assert time(paper) == pytest.approx(10 + 3 * 1.5 / 7, abs=0.05)  # the fourth of seven words in 1.5 s
    waveform = paper.page.get_by_role("slider", name="Position")
    waveform.focus()
    paper.page.keyboard.press("ArrowRight")
    assert time(paper) == pytest.approx(15.6, abs=0.1)
    expect(paper.page.locator("#segment-7.spoken-now")).to_have_count(1)
    paper.page.keyboard.press("Home")
    assert time(paper) == 0
    place = paper.screen.box(waveform)
    paper.page.mouse.click(place["x"] + place["width"] / 2, place["y"] + 10)
    assert time(paper) == pytest.approx(30, abs=0.5)


def test_keys_play_skip_and_change_the_speed(paper: Paper, call: uuid.UUID) -> None:
    """Space, K, J, L, < and > do it wherever nothing is typed; Ctrl+Space also where something is."""
    page = paper.page
    paper.sentence(3).click()
    assert time(paper) == pytest.approx(6, abs=1.5)
    before = time(paper)
    page.keyboard.press("l")
    assert time(paper) == pytest.approx(before + 5, abs=0.1)
    page.keyboard.press("j")
    assert time(paper) == pytest.approx(before, abs=0.1)
    page.keyboard.press(">")
    assert page.evaluate("document.querySelector('audio').playbackRate") == 1.25
    page.keyboard.press("Space")
    expect(paper.button("Pause")).to_be_visible()
    page.keyboard.press("k")
    expect(paper.button("Play")).to_be_visible()
    paper.sentence(4).dblclick()
    page.keyboard.press("End")
    page.keyboard.type(" jkl")
    page.keyboard.press("Control+Space")
    expect(paper.button("Pause")).to_be_visible()
    expect(paper.field()).to_have_value(f"{TEXTS[4]} jkl")
    page.keyboard.press("Control+Space")
    expect(paper.button("Play")).to_be_visible()


def test_a_recording_without_sound_says_so(paper: Paper, recordings: Recordings) -> None:
    """One that an earlier release converted can still be read and corrected."""
    task = finished_recording(recordings, "old.wav", transcript(TEXTS[:2]))
    paper.open(task)
    expect(paper.page.get_by_text("The sound of this recording is not kept.")).to_be_visible()
    paper.correct(0, "Mine.")
    recordings.becomes(task, "Mine.", TEXTS[1])


def test_a_place_that_was_found_opens_at_its_second(paper: Paper, recordings: Recordings) -> None:
    """`?at=` in the address brings the sentence into sight and the sound to it, in the middle of an hour."""
    task = finished_recording(recordings, "hour.wav", transcript([f"Sentence {n}." for n in range(900)]))
    paper.open(task, "?at=1501.2")
    expect(paper.sentence(750)).to_be_in_viewport()
    expect(paper.sentence(0)).not_to_be_in_viewport()
    expect(paper.page.get_by_role("heading", level=1)).to_have_text("hour.wav")
