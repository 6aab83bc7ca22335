"""Files, links and receipts."""

from __future__ import annotations

import re
import uuid
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect

from tests.page.late import late_answer
from tests.page.recordings import Recordings
from tests.page.transcript.network import slow_saves
from tests.page.transcript.paper import Paper
from tests.service.gateway import PATIENCE_S

A = ("First of A.", "Second of A.")
MOMENT = re.compile(rb' DATE="[^"]+"')
"""At which an .eaf file was made."""

FORMATS = ("text", "docx", "md", "srt", "vtt", "ttml", "csv", "tsv", "json", "rttm", "ctm", "eaf")


def test_every_format_is_previewed_and_saved(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """What is saved is what the API gives, under the recording's name; of Word the preview is its text."""
    paper.button("Export").click()
    dialog = paper.page.get_by_role("dialog", name="Export")
    formats = dialog.get_by_label("Format")
    options = formats.locator("option")
    expect(options).to_have_count(len(FORMATS))
    assert options.evaluate_all("all => all.map(one => one.value)") == list(FORMATS)
    for name in FORMATS:
        formats.select_option(name)
        if name not in ("ctm", "rttm"):
            expect(dialog.locator("pre")).to_contain_text(re.compile("First of A|>First<"))
        with paper.page.expect_download() as download:
            dialog.get_by_role("link", name="Download").click()
        content = download.value.path().read_bytes()
        if name != "docx":  # which has the moment in it, packed
            answer = recordings.caller.http.get(f"/result/{a}", params={"format": name}).content
            assert MOMENT.sub(b"", content) == MOMENT.sub(b"", answer)
        assert download.value.suggested_filename == f"a.{'txt' if name == 'text' else name}"


def test_what_was_just_typed_is_in_the_file(paper: Paper, a: uuid.UUID) -> None:
    """The preview waits for a correction that is on its way; rules for subtitles change it."""
    with slow_saves(paper.page) as network:
        paper.correct(0, "Just typed.")
        network.holds(1)
        paper.button("Export").click()
        network.let_all_through()
    dialog = paper.page.get_by_role("dialog", name="Export")
    expect(dialog.locator("pre")).to_contain_text("Just typed.")
    dialog.get_by_label("Format").select_option("srt")
    expect(dialog.locator("pre")).to_contain_text("Just typed.")
    dialog.get_by_label("Letters in a line").fill("12")
    paper.screen.until("document.querySelector('dialog pre').textContent.includes('Just\\ntyped.')")


def test_what_fails_in_a_dialog_is_said_in_it(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """The message can be reached and closed while the dialog is open, and no key undoes anything behind it."""
    paper.correct(0, "Mine.")
    paper.has_saved()
    page = paper.page
    page.route("**/shares", lambda route: route.fulfill(status=500, body="Broken."))
    paper.button("Share").click()
    dialog = page.get_by_role("dialog", name="Share a.wav")
    # there may be a line about the end of a.wav, if the tab has seen it before its end
    failure = page.get_by_role("region", name="News").get_by_role("listitem").filter(has_text="Something between you")
    message = dialog.locator(failure)
    expect(message).to_have_count(1)
    page.keyboard.press("Control+z")
    message.get_by_role("button", name="Close").click()
    expect(failure).to_have_count(0)
    dialog.get_by_role("button", name="Create link").click()
    expect(message).to_have_count(1)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    failure.get_by_role("button", name="Close").click()
    paper.sees("Mine.", A[1])
    assert recordings.texts(a)[0] == "Mine."


def test_a_link_is_made_shown_once_and_revoked(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """Whoever has it reads the transcript without a key, until it is revoked, which is asked about."""
    paper.button("Share").click()
    dialog = paper.page.get_by_role("dialog", name="Share a.wav")
    dialog.get_by_role("button", name="Create link").click()
    link = dialog.get_by_label("Link", exact=True).input_value()
    token = urlsplit(link).fragment.rpartition("/")[2]
    url = f"{paper.screen.url}/shared/{token}/result?format=text"
    assert A[0] in httpx.get(url, timeout=PATIENCE_S).text
    dialog.get_by_role("button", name="Revoke").click()
    paper.page.get_by_role("dialog", name="Revoke this link").get_by_role("button", name="Revoke").click()
    expect(dialog.get_by_role("button", name="Revoke")).to_have_count(0)
    assert httpx.get(url, timeout=PATIENCE_S).status_code == 404


def test_a_link_is_listed_whenever_the_links_from_before_come(
    paper: Paper, recordings: Recordings, a: uuid.UUID
) -> None:
    """They were asked for when the dialog was opened, and come when the link is there."""
    with late_answer(paper.screen, f"**/tasks/{a}/shares") as late:
        paper.button("Share").click()
        late.is_written()
        dialog = paper.page.get_by_role("dialog", name="Share a.wav")
        dialog.get_by_role("button", name="Create link").click()
        expect(dialog.get_by_role("button", name="Revoke")).to_be_visible()
        late.comes()
        expect(dialog.get_by_role("button", name="Revoke")).to_be_visible()


def test_deleting_asks_and_gives_a_receipt(paper: Paper, recordings: Recordings, a: uuid.UUID) -> None:
    """It names the recording; nothing that waits is sent to it afterwards, and the receipt can be looked up."""
    paper.button("Delete").click()
    paper.screen.answer("Cancel", says="a.wav")
    assert recordings.texts(a) == list(A)
    paper.button("Delete").click()
    paper.screen.answer("Delete", says="a.wav")
    paper.screen.says("a.wav was erased")
    assert recordings.caller.http.get(f"/tasks/{a}").status_code == 404
    paper.page.get_by_role("button", name="Show receipt").click()
    expect(paper.page.get_by_role("heading", level=1)).to_have_text("Receipts")
    expect(paper.page.get_by_role("main")).to_contain_text("a.wav")


@pytest.mark.parametrize("query", ["", "?at=nonsense"])
def test_a_recording_that_is_not_there_says_so(paper: Paper, query: str) -> None:
    """In the user's words, with a way back."""
    paper.screen.go(f"#/transcript/{uuid.uuid4()}{query}")
    expect(paper.page.get_by_role("alert")).to_contain_text("not there")
    expect(paper.page.get_by_role("main").get_by_role("link", name="Recordings")).to_be_visible()
