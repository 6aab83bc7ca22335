"""Administration: keys that are shown once, limits, the queue and its failures, webhooks and what became of them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from shared.callers import keys
from shared.db import session
from tests.page.late import late_answer
from tests.page.recordings import Recordings
from tests.page.screen import Screen
from tests.page.shell.test_list import failed
from tests.service.gateway import Gateway


@pytest.fixture
def operator(new_screen: Callable[..., Screen]) -> Screen:
    """The page of an administrator, who also transcribes."""
    with session() as work:
        _, key = keys.create(work, "operator", ("transcribe", "admin"))
    screen = new_screen()
    screen.enter("#/admin/keys", key)
    return screen


def test_a_key_is_shown_once_and_revoked_after_a_question(
    operator: Screen, new_screen: Callable[..., Screen], gateway: Gateway
) -> None:
    """It works at once, has the limits that were set, and nothing does any more when it was revoked."""
    operator.page.get_by_label("Name", exact=True).fill("laptop of <b>Anna</b>")
    operator.button("Create key").click()
    dialog = operator.page.get_by_role("dialog", name="The new key")
    key = dialog.get_by_role("textbox").input_value()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)
    row = operator.page.get_by_role("row", name="laptop of <b>Anna</b>")
    expect(row).to_contain_text("transcribe")
    assert key not in operator.page.content()
    row.get_by_role("button", name="Limits").click()
    limits = operator.page.get_by_role("dialog")
    limits.get_by_label("Unfinished uploads", exact=True).fill("30")
    limits.get_by_role("button", name="Save limits").click()
    expect(limits).to_be_hidden()
    anna = new_screen()
    anna.enter("#/usage", key)
    expect(anna.page.get_by_text("0 of 30")).to_be_visible()
    row.get_by_role("button", name="Revoke").click()
    operator.answer("Revoke", says="Revoke the key “laptop of <b>Anna</b>”?")
    expect(row).to_be_hidden()
    operator.page.get_by_label("Show revoked keys").check()
    expect(row).to_contain_text("revoked")
    anna.page.get_by_role("link", name="Recordings", exact=True).click()
    expect(anna.page.get_by_role("dialog", name="Sign in to Parley")).to_be_visible()


def test_a_list_from_before_takes_no_new_key_away(new_screen: Callable[..., Screen]) -> None:
    """Of two answers the one that was asked for last counts, whichever comes first."""
    with session() as work:
        _, key = keys.create(work, "operator", ("admin",))
    screen = new_screen()
    row = screen.page.get_by_role("row", name="made meanwhile")
    with late_answer(screen, "**/admin/keys?*") as late:
        screen.enter("#/admin/keys", key)
        late.is_written()
        screen.page.get_by_label("Name", exact=True).fill("made meanwhile")
        screen.button("Create key").click()
        screen.page.get_by_role("dialog", name="The new key").get_by_role("button", name="Close").click()
        expect(row).to_be_visible()
        late.comes()
        expect(row).to_be_visible()


def test_the_queue_shows_what_waits_and_what_failed(operator: Screen, recordings: Recordings) -> None:
    """Of all keys, with the reason and the task, and the services that Parley needs."""
    task = failed(recordings)
    operator.go("#/admin/queue")
    page = operator.page
    expect(page.get_by_role("row", name=str(task))).to_contain_text("no_audio")
    expect(page.get_by_role("heading", name="Workers")).to_be_visible()
    expect(page.get_by_role("row", name="database")).to_contain_text("ok")
    operator.button("Repair now").click()
    operator.says("Repaired:")
    page.get_by_role("link", name="Usage").last.click()
    expect(page.get_by_role("heading", name="Usage of all keys")).to_be_visible()


def test_a_webhook_is_made_tested_and_deleted(screen: Screen, recordings: Recordings) -> None:
    """Its secret is shown once; what was sent to it can be seen and sent again."""
    screen.enter("#/admin/webhooks")
    page = screen.page
    page.get_by_label("URL that is told").fill("https://hooks.example/parley")
    screen.button("Add webhook").click()
    secret = page.get_by_role("dialog", name="The secret that signs its requests")
    expect(secret.get_by_role("textbox")).to_have_value(re.compile("^whsec_"))
    secret.get_by_role("button", name="Close").click()
    screen.button("Send a test").click()
    screen.says("A test is on its way.")
    screen.button("Turn off").click()
    expect(screen.button("Turn on")).to_be_visible()
    screen.button("Turn on").click()
    page.get_by_role("main").get_by_role("link", name="Deliveries").last.click()
    delivery = page.get_by_role("listitem").filter(has_text="webhook.test")
    expect(delivery).to_contain_text("Failed")  # it was turned off before it was sent
    delivery.get_by_role("button", name="Send again").click()
    screen.says("It is being sent again.")
    expect(delivery).to_contain_text("Waiting")
    delivery.get_by_role("button", name="Details").click()
    expect(page.get_by_label("Content")).to_contain_text("webhook.test")
    page.get_by_role("link", name="Webhooks").last.click()
    screen.button("Delete").click()
    screen.answer("Delete", says="https://hooks.example/parley")
    expect(page.get_by_text("No webhooks yet.")).to_be_visible()
