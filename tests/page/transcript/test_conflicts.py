"""Several people who correct one recording at once."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.page.recordings import Recordings
from tests.page.transcript.network import slow_saves
from tests.page.transcript.paper import Paper

A = ("First of A.", "Second of A.", "Third of A.")


def is_asked(paper: Paper, server_text: str, own_text: str) -> None:
    """Both texts are shown, and the person may choose."""
    expect(paper.page.get_by_role("alert").locator("dd")).to_have_text([server_text, own_text])


@pytest.mark.parametrize("choice", ["yours", "theirs"])
def test_a_sentence_that_was_changed_meanwhile_is_shown_in_both_ways(
    paper: Paper, recordings: Recordings, a: uuid.UUID, choice: str
) -> None:
    """What was typed stays in its place until the person chooses; the choice is on the page and on the server."""
    recordings.correct(a, segments=[{"id": 0, "text": "Theirs."}])
    paper.correct(0, "Mine.")
    is_asked(paper, "Theirs.", "Mine.")
    expect(paper.sentence(0)).to_have_text("Mine.")
    assert recordings.texts(a)[0] == "Theirs."
    paper.button(f"Keep {choice}").click()
    text = {"yours": "Mine.", "theirs": "Theirs."}[choice]
    recordings.becomes(a, text, *A[1:])
    paper.sees(text, *A[1:])
    expect(paper.button("Keep yours")).to_have_count(0)


def test_a_sentence_that_was_open_while_others_wrote_in_it_is_asked_about(
    paper: Paper, recordings: Recordings, a: uuid.UUID
) -> None:
    """Opened, left alone, and typed into only when the page has read what others wrote meanwhile."""
    paper.sentence(0).dblclick()
    expect(paper.field()).to_be_focused()
    recordings.correct(a, segments=[{"id": 0, "text": "Theirs."}, {"id": 2, "text": "Theirs, too."}])
    page = paper.page
    page.evaluate("Date.now = ((now) => () => now() + 60_000)(Date.now.bind(Date))")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(paper.sentence(2)).to_have_text("Theirs, too.")
    page.keyboard.press("End")
    page.keyboard.type(" Mine.")
    page.keyboard.press("Enter")
    is_asked(paper, "Theirs.", f"{A[0]} Mine.")
    assert recordings.texts(a)[0] == "Theirs."


def test_corrections_of_other_sentences_come_together(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """A sentence that nobody else touched is saved unasked, and those of others are shown."""
    recordings.correct(a, segments=[{"id": 2, "text": "Theirs."}])
    paper.correct(0, "Mine.")
    recordings.becomes(a, "Mine.", A[1], "Theirs.")
    paper.sees("Mine.", A[1], "Theirs.")


def test_a_conflict_leaves_the_sentence_that_is_being_typed_alone(
    paper: Paper, recordings: Recordings, a: uuid.UUID
) -> None:
    """The caret and the letters around it stay in the second sentence while the first is asked about."""
    recordings.correct(a, segments=[{"id": 0, "text": "Theirs."}])
    with slow_saves(paper.page) as network:
        paper.correct(0, "Mine.")
        network.holds(1)
        paper.type_into(1, "Being ")
        network.let_through()
        is_asked(paper, "Theirs.", "Mine.")
        paper.page.keyboard.type("typed.")
        paper.page.keyboard.press("Enter")
        network.let_all_through()
    recordings.becomes(a, "Theirs.", "Being typed.", A[2])
    paper.button("Keep yours").click()
    recordings.becomes(a, "Mine.", "Being typed.", A[2])


def test_a_name_that_others_gave_meanwhile_is_shown_beside_the_one_that_was_typed(
    paper: Paper, recordings: Recordings, a: uuid.UUID
) -> None:
    """The name that was typed is kept until the person chooses."""
    recordings.correct(a, speakers={"spk_1": "Anna"})
    speakers = paper.panel("Speakers")
    speakers.get_by_role("button", name="Rename Speaker 1 everywhere").click()
    speakers.get_by_role("textbox").fill("Bert")
    speakers.get_by_role("textbox").press("Enter")
    is_asked(paper, "Anna", "Bert")
    assert recordings.names(a) == ["Anna", "spk_2", "Anna"]
    paper.button("Keep yours").click()
    expect(paper.who()).to_have_text(["Bert", "Speaker 2", "Bert"])
    paper.has_saved()
    assert recordings.names(a) == ["Bert", "spk_2", "Bert"]


def test_two_editors_lose_nothing(
    paper: Paper, recordings: Recordings, a: uuid.UUID, new_paper: Callable[..., Paper]
) -> None:
    """What each of two people types is saved or asked about, and in the end both see the same."""
    other = new_paper()
    other.open(a)
    paper.correct(0, "One.")
    paper.has_saved()
    other.correct(0, "Two.")
    is_asked(other, "One.", "Two.")
    other.button("Keep yours").click()
    other.has_saved()
    paper.correct(1, "One again.")
    recordings.becomes(a, "Two.", "One again.", A[2])
    paper.sees("Two.", "One again.", A[2])
