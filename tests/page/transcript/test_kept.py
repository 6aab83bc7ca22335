"""What was typed is kept, or the page says that it is not: at a reload, in a full browser, of a deleted recording."""

from __future__ import annotations

import uuid

from playwright.sync_api import expect

from tests.page.recordings import Recordings
from tests.page.transcript.network import broken_saves
from tests.page.transcript.paper import Paper

A = ("First of A.", "Second of A.", "Third of A.")

TYPED_AND_RELOADED = """() => {
    const field = document.querySelector(".reader textarea");
    field.value = "The last letters";
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    location.reload();
}"""

REFUSED = """
    const open = IDBFactory.prototype.open, setItem = Storage.prototype.setItem;
    IDBFactory.prototype.open = function (name, ...rest) {
        if (name === "parley.edits") throw new DOMException("Refused.", "SecurityError");
        return open.call(this, name, ...rest);
    };
    Storage.prototype.setItem = function (key, value) {
        if (key.startsWith("parley.edit.")) throw new DOMException("Full.", "QuotaExceededError");
        setItem.call(this, key, value);
    };
"""
"""A browser that keeps no corrections."""


def test_letters_typed_just_before_a_reload_are_kept(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """The reload follows the last letter in the same turn of the page, before the browser's database can have it."""
    paper.sentence(0).dblclick()
    expect(paper.field()).to_be_focused()
    paper.page.evaluate(TYPED_AND_RELOADED)
    expect(paper.page.get_by_text("1 sentence was not finished")).to_be_visible()
    expect(paper.sentence(0)).to_have_text("The last letters")
    paper.button("Save").click()
    recordings.becomes(a, "The last letters", *A[1:])


def test_what_the_browser_cannot_keep_is_counted(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """A line says how many changes would be lost, and the browser asks before they are, until the server has them."""
    paper.page.add_init_script(REFUSED)
    paper.page.reload()
    paper.sees(*A)
    warning = paper.page.get_by_text("only on this page")
    with broken_saves(paper.page):
        paper.correct(0, "Mine.")
        expect(warning).to_contain_text("1 change is")
        paper.correct(1, "Mine, too.")
        expect(warning).to_contain_text("2 changes are")
        assert paper.screen.is_asked_when_left()
    recordings.becomes(a, "Mine.", "Mine, too.", A[2])
    expect(warning).to_have_count(0)


def test_a_recording_that_is_deleted_elsewhere_says_so(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """Its text goes from the screen; what was typed and not saved can be copied."""
    paper.type_into(0, "Half a sen")
    recordings.caller.http.delete(f"/tasks/{a}").raise_for_status()
    expect(paper.page.get_by_role("alert")).to_have_text("This recording was deleted elsewhere.")
    expect(paper.page.locator(".reader")).to_have_count(0)
    expect(paper.page.get_by_role("heading", level=1)).to_be_focused()
    expect(paper.page.get_by_label("1 text that you typed was not saved.")).to_have_value("Half a sen")
    paper.button("Copy").click()
    expect(paper.button("Copied")).to_be_visible()
    paper.page.get_by_role("main").get_by_role("link", name="Recordings").click()
    expect(paper.page.get_by_text("No recordings yet")).to_be_visible()
