"""The list of recordings: what it shows of each, how it is searched, and what can be done with many at once."""

from __future__ import annotations

import uuid

from playwright.sync_api import Route, expect

from shared.db import session
from shared.errors import NoAudio
from shared.kernel import leases
from tests.page.recordings import Recordings
from tests.page.screen import Screen
from tests.page.work import Work
from tests.service.gateway import eventually, work_on

MOST_COPIES = 40

TALK = ("We begin now.", "The train was late.", "Nobody told us of the delay.")


def failed(recordings: Recordings, name: str = "silent.wav") -> uuid.UUID:
    """A recording in which there is no sound."""
    files = {"file": (name, uuid.uuid4().bytes)}
    task = uuid.UUID(recordings.caller.http.post("/transcribe", files=files).json()["task_id"])
    with session() as work:
        leases.fail(work, work_on(task, "convert"), NoAudio("The file has no audio."), max_attempts=1)
    return task


def test_a_job_is_followed_also_after_a_reload(screen: Screen, recordings: Recordings) -> None:
    """Its row has its state, its bar, its place in the queue, an address and what ends it (faults 8 and 13)."""
    answer = recordings.caller.http.post("/transcribe", files={"file": ("call.wav", uuid.uuid4().bytes)})
    task = uuid.UUID(answer.json()["task_id"])
    screen.enter()
    row = screen.row("call.wav")
    expect(row).to_contain_text("Waiting")
    expect(row).to_contain_text("Number 1 in the queue")
    claim = recordings.begin(task)
    expect(row).to_contain_text("In progress")
    expect(row.get_by_role("progressbar")).to_be_visible()
    with screen.page.expect_response("**/events"):  # whose beginning tells of the job: its end is news from then on
        screen.page.reload()
    expect(row).to_contain_text("In progress")
    expect(row.get_by_role("link", name="call.wav")).to_have_attribute("href", f"#/transcript/{task}")
    expect(row.get_by_role("button", name="Cancel")).to_be_visible()
    screen.keep_lines()
    recordings.end_plain(claim, *TALK)
    expect(row).to_contain_text("Done")
    expect(row).to_contain_text("0:06")
    screen.says("“call.wav” is done.")
    expect(screen.button("Open transcript")).to_be_visible()


def test_news_before_the_list_is_loaded_are_kept(screen: Screen, recordings: Recordings) -> None:
    """The stream tells a place once; on a slow line the list's own script comes after it."""
    for name in ("first.wav", "second.wav"):
        recordings.caller.http.post("/transcribe", files={"file": (name, uuid.uuid4().bytes)})
    held: list[Route] = []
    screen.page.route("**/Recordings.js", lambda route: held.append(route))
    screen.open_session()
    with screen.page.expect_response("**/events"):
        screen.page.goto(screen.url, wait_until="commit")
    screen.eventually(lambda: bool(held), "the list's script is asked for")
    screen.page.wait_for_timeout(1500)  # by then both places have come
    for route in held:
        route.continue_()
    expect(screen.row("first.wav")).to_contain_text("Number 1 in the queue")
    expect(screen.row("second.wav")).to_contain_text("Number 2 in the queue")


def test_what_is_chosen_stays_chosen_as_long_as_it_is_listed(screen: Screen, recordings: Recordings) -> None:
    """Also when the list is looked up anew, as by a search."""
    for name in ("call-1.wav", "call-2.wav", "talk.wav"):
        recordings.caller.http.post("/transcribe", files={"file": (name, uuid.uuid4().bytes)})
    screen.enter()
    expect(screen.rows()).to_have_count(3)
    screen.page.get_by_label("Select all").check()
    screen.search("call")
    expect(screen.rows()).to_have_count(2)
    expect(screen.page.get_by_role("checkbox", name="Select call", checked=True)).to_have_count(2)
    expect(screen.page.get_by_text("2 selected")).to_be_visible()


def test_a_failed_recording_says_why_and_can_be_tried_again(screen: Screen, recordings: Recordings) -> None:
    """With what to do, details for a support, and buttons (fault 16)."""
    failed(recordings)
    screen.enter()
    row = screen.row("silent.wav")
    expect(row).to_contain_text("There is no sound in this file that could be read. Check that it plays.")
    row.get_by_text("Details").click()
    expect(row).to_contain_text("no_audio")
    row.get_by_role("button", name="Try again").click()
    expect(screen.rows()).to_have_count(2)
    expect(screen.rows().first).to_contain_text("Waiting")
    screen.rows().last.get_by_role("button", name="Delete").click()
    screen.answer("Delete", says="Delete “silent.wav”?")
    expect(screen.rows()).to_have_count(1)


def test_a_recording_is_cancelled_after_a_question(screen: Screen, recordings: Recordings) -> None:
    """Whoever says no has lost nothing."""
    recordings.caller.http.post("/transcribe", files={"file": ("call.wav", uuid.uuid4().bytes)})
    screen.enter()
    row = screen.row("call.wav")
    row.get_by_role("button", name="Cancel").click()
    question = screen.page.get_by_role("dialog")
    expect(question).to_be_visible()
    screen.page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    expect(row).to_contain_text("Waiting")
    row.get_by_role("button", name="Cancel").click()
    question.get_by_role("button", name="Cancel").last.click()
    expect(row).to_contain_text("Cancelled")
    expect(row.get_by_role("button", name="Try again")).to_be_visible()


def test_a_hit_leads_to_its_second(screen: Screen, recordings: Recordings) -> None:
    """Words that were said are shown where they stand, marked, with their time (fault 22)."""
    task = recordings.finished("talk.wav", *TALK)
    recordings.finished("other.wav", "Nothing of that.")
    screen.enter()
    expect(screen.rows()).to_have_count(2)
    screen.search("delay")
    expect(screen.rows()).to_have_count(1)
    hit = screen.row("talk.wav").get_by_role("link", name="delay")
    expect(hit.locator("mark")).to_have_text("delay")
    expect(hit).to_contain_text("0:04")
    expect(hit).to_have_attribute("href", f"#/transcript/{task}?at=4")
    assert "q=delay" in screen.page.url
    screen.button("Show all").click()
    expect(screen.rows()).to_have_count(2)


def test_recordings_are_found_by_all_that_is_shown_of_them(screen: Screen, recordings: Recordings) -> None:
    """By file name, tag, date and state (fault 26)."""
    recordings.finished("Annual_meeting.wav", *TALK)
    task = recordings.finished("call.wav", "Good day.")
    recordings.caller.http.patch(f"/tasks/{task}", json={"tags": ["north"], "reference": "case-17"})
    failed(recordings)
    screen.enter()
    for words, name in (("meeting", "Annual_meeting.wav"), ("north", "call.wav"), ("case-17", "call.wav")):
        screen.search(words)
        expect(screen.rows()).to_have_count(1)
        expect(screen.row(name)).to_be_visible()
    screen.search("")
    screen.page.get_by_text("Filters").click()
    screen.page.get_by_label("Status").select_option("Failed")
    expect(screen.rows()).to_have_count(1)
    expect(screen.row("silent.wav")).to_be_visible()
    screen.page.get_by_label("To", exact=True).fill("2020-01-01")
    expect(screen.page.get_by_text("Nothing found")).to_be_visible()
    screen.button("Show all").click()
    screen.row("call.wav").get_by_role("link", name="north").click()
    expect(screen.rows()).to_have_count(1)


def test_what_is_searched_for_stays_when_a_job_ends(screen: Screen, recordings: Recordings) -> None:
    """A list of hits is about the same words afterwards, and nothing that is read moves (fault 3)."""
    answer = recordings.caller.http.post("/transcribe", files={"file": ("new.wav", uuid.uuid4().bytes)})
    claim = recordings.begin(uuid.UUID(answer.json()["task_id"]))
    recordings.finished("talk.wav", *TALK)
    with screen.page.expect_response("**/events"):  # whose beginning tells of the job: its end is news from then on
        screen.enter()
    screen.search("delay")
    expect(screen.rows()).to_have_count(1)
    before = screen.top(screen.row("talk.wav"))
    recordings.end_plain(claim, "Without that word.")
    screen.says("“new.wav” is done.")
    expect(screen.rows()).to_have_count(1)
    assert screen.top(screen.row("talk.wav")) == before


def test_many_are_labelled_and_deleted_at_once(screen: Screen, recordings: Recordings) -> None:
    """After one question that says how many, with a receipt for each."""
    for number in range(3):
        recordings.finished(f"n{number}.wav", "Said.")
    screen.enter()
    screen.page.get_by_label("Select n0.wav").check()
    screen.page.get_by_label("Select n2.wav").check()
    expect(screen.page.get_by_text("2 selected")).to_be_visible()
    screen.page.get_by_label("Tags, separated by commas").fill("gone, soon")
    screen.button("Add tags").click()
    expect(screen.row("n2.wav").get_by_role("link", name="soon")).to_be_visible()
    screen.page.get_by_role("button", name="Delete", exact=True).first.click()
    screen.answer("Delete", says="Delete 2 recordings?")
    expect(screen.rows()).to_have_count(1)
    assert [item["filename"] for item in recordings.caller.http.get("/history").json()["items"]] == ["n1.wav"]
    screen.page.get_by_role("link", name="Receipts").click()
    for name in ("n0.wav", "n2.wav"):
        expect(screen.page.get_by_role("row", name=name)).to_be_visible()
    screen.keep_lines()
    screen.button("Remove the receipt of n0.wav").click()
    expect(screen.page.get_by_role("row", name="n0.wav")).to_be_hidden()
    screen.button("Undo").click()
    expect(screen.page.get_by_role("row", name="n0.wav")).to_be_visible()
    with screen.page.expect_download() as download:
        screen.button("Save all as a file").click()
    assert download.value.path().read_text().count('"erased": true') == 2


def test_a_recording_that_could_not_be_deleted_is_still_there(screen: Screen, recordings: Recordings) -> None:
    """And the page says so."""
    recordings.finished("a.wav", "First of A.")
    screen.enter()
    screen.page.route("**/tasks/*", lambda route: route.abort("connectionfailed"))
    screen.row("a.wav").get_by_role("button", name="Delete").click()
    screen.answer("Delete")
    screen.says("The server cannot be reached.")
    expect(screen.row("a.wav")).to_be_visible()


COPY = """() => {
    const list = document.querySelector(".rows");
    for (let turn = 0; turn < 10; turn++) {
        const copy = list.cloneNode(true);
        list.after(copy);
        copy.getBoundingClientRect();
        copy.remove();
    }
}"""
"""Makes, styles and lays out a hundred rows ten times, as a page without any script of its own could at best."""

DRAW = """async () => {
    const list = document.querySelector(".rows");
    window.made = window.gone = 0;
    new MutationObserver((records) => {
        for (const { addedNodes, removedNodes } of records) {
            const rows = (nodes) => [...nodes].filter((node) => node.dataset?.task).length;
            window.made += rows(addedNodes);
            window.gone += rows(removedNodes);
        }
    }).observe(list, { childList: true });
    for (let tries = 0; list.children.length < 1000 && tries < 1200; tries++) {
        scrollTo(0, document.body.scrollHeight);
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
}"""


def test_a_thousand_recordings_are_listed_at_once(screen: Screen, recordings: Recordings) -> None:
    """Further rows come as the end of the list is near, a hundred by one request, each once, and none is drawn anew for
    others. A hundred cost the processor at most so much as so many copies of a hundred that are there: what it costs
    beside something in the same browser says the same on a busy machine, which the budget of 0.3 s does not
    (`python -m scripts.page.budgets` shows that)."""
    for start in range(0, 1000, 100):
        items = [{"url": f"https://media.example/{number}.mp3"} for number in range(start, start + 100)]
        assert recordings.caller.http.post("/transcribe/batch", json={"items": items}).status_code == 202
    urls: list[str] = []
    screen.page.on("request", lambda request: urls.append(request.url) if "cursor=" in request.url else None)
    screen.enter()
    expect(screen.rows()).to_have_count(100)
    work = Work(screen.page)
    copying = work.of(COPY) / 10
    drawing = work.of(DRAW) / 9
    expect(screen.rows()).to_have_count(1000)
    ids = screen.rows().evaluate_all("rows => rows.map((row) => row.dataset.task)")
    assert len(set(ids)) == 1000
    assert screen.page.evaluate("[made, gone]") == [900, 0]
    assert len(urls) == 9, urls
    print(f"a hundred rows cost {drawing * 1000:.0f} ms of the processor, a copy of a hundred {copying * 1000:.1f} ms")
    assert drawing < MOST_COPIES * copying, f"{drawing:.3f} s, {copying:.4f} s"


def test_two_editors_see_the_same(screen: Screen, recordings: Recordings) -> None:
    """What another client deletes or adds shows by itself."""
    task = recordings.finished("a.wav", "First of A.")
    screen.enter()
    expect(screen.row("a.wav")).to_be_visible()
    recordings.finished("b.wav", "First of B.")
    expect(screen.row("b.wav")).to_contain_text("Done")
    recordings.caller.http.delete(f"/tasks/{task}").raise_for_status()
    expect(screen.row("a.wav")).to_be_hidden()
    eventually(lambda: screen.rows().count() == 1, "one row")
