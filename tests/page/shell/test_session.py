"""Signing in: the key goes to the server once, and no script keeps it."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from shared.callers import keys
from shared.db import session
from tests.page.recordings import Recordings
from tests.page.screen import Screen
from tests.service.gateway import Gateway

KEPT = """async () => {
    const asked = (request) => new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
    const rows = [];
    for (const { name } of await indexedDB.databases()) {
        const database = await asked(indexedDB.open(name));
        for (const table of database.objectStoreNames) {
            const store = database.transaction(table).objectStore(table);
            rows.push([name, table, await asked(store.getAllKeys()), await asked(store.getAll())]);
        }
        database.close();
    }
    return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, rows,
        document.documentElement.outerHTML]);
}"""
"""All that a script of another page could find here."""


def test_a_key_signs_in_and_is_not_kept(screen: Screen, recordings: Recordings) -> None:
    """After a reload the person is still signed in, the key is in nothing that a script can read, and signing out ends
    it on the server."""
    recordings.finished("a.wav", "First of A.")
    key = recordings.caller.key
    screen.go("")
    expect(screen.page.get_by_role("heading", name="Sign in to Parley")).to_be_visible()
    screen.sign_in(f"  {key}\n")
    expect(screen.row("a.wav")).to_be_visible()
    screen.page.reload()
    expect(screen.row("a.wav")).to_be_visible()
    screen.until("indexedDB.databases().then((all) => all.some(({ name }) => name === 'parley.uploads'))")
    stored = screen.page.evaluate(KEPT)
    assert key not in stored and "parley.uploads" in stored
    cookies = screen.page.context.cookies()
    assert [(one["name"], one["httpOnly"], one["sameSite"]) for one in cookies] == [("parley_session", True, "Strict")]
    screen.open_settings()
    screen.button("Sign out").click()
    expect(screen.page.get_by_label("API key")).to_be_visible()
    assert screen.page.context.request.get(f"{screen.url}/session").status == 401


def test_a_wrong_key_is_explained(screen: Screen) -> None:
    """In words that say what to do; nothing else changes."""
    screen.go("")
    screen.sign_in("pk_wrong")
    expect(screen.page.get_by_role("alert")).to_contain_text("This key is not valid. Check that all of it was copied")
    expect(screen.page.get_by_label("API key")).to_be_visible()


def test_a_session_that_ends_takes_nothing_from_the_screen(
    screen: Screen, gateway: Gateway, recordings: Recordings
) -> None:
    """What was typed stands behind the question for a key, and goes on once there is one."""
    screen.enter("#/send")
    screen.page.get_by_label("Audio or page URL").fill("https://media.example/one.mp3")
    screen.page.context.request.delete(f"{screen.url}/session", headers=_csrf(screen))
    screen.page.evaluate("location.hash = '#/usage'")  # the question may stand before the link already
    question = screen.page.get_by_role("dialog", name="Sign in to Parley")
    expect(question).to_contain_text("Your session has ended")
    for _ in range(3):  # of which a browser lets a page refuse the first alone
        screen.page.keyboard.press("Escape")
    expect(question).to_be_visible()
    screen.sign_in(recordings.caller.key)
    expect(question).to_be_hidden()
    screen.page.get_by_role("link", name="Add recordings").click()
    expect(screen.page.get_by_label("Audio or page URL")).to_have_value("https://media.example/one.mp3")


def test_a_tab_never_becomes_another_keys(screen: Screen, gateway: Gateway, recordings: Recordings) -> None:
    """Somebody signs in with another key in another tab: the first begins anew, with nothing of its own key's."""
    recordings.finished("a.wav", "First of A.")
    screen.enter()
    expect(screen.row("a.wav")).to_be_visible()
    screen.page.evaluate("window.isOfA = true")
    other = gateway.caller()
    with other.http:
        second = Screen(screen.page.context.new_page(), screen.url, Recordings(other, gateway.storage))
        with screen.page.expect_event("load"):  # of the first tab
            second.enter()
        assert not screen.page.evaluate("window.isOfA")
        expect(screen.page.get_by_text("No recordings yet")).to_be_visible()


def test_a_key_of_an_administrator_alone_has_its_own_screens(screen: Screen, gateway: Gateway) -> None:
    """Nothing is offered that it may not do."""
    with session() as work:
        _, key = keys.create(work, "operator", ("admin",))
    screen.enter(key=key)
    expect(screen.page.get_by_role("heading", level=1)).to_have_text("Administration")
    expect(screen.page.get_by_role("navigation", name="Main").get_by_role("link")).to_have_text(["Administration"])


def test_the_policy_lets_nothing_in(screen: Screen, gateway: Gateway) -> None:
    """Scripts and styles come from the gateway alone, none from within the page, and no text becomes markup."""
    answer = screen.page.request.get(f"{gateway.url}/")
    policy = answer.headers["content-security-policy"]
    rules = dict(one.strip().split(" ", 1) for one in policy.split(";"))
    assert (rules["default-src"], rules["script-src"], rules["style-src"]) == ("'none'", "'self'", "'self'")
    assert "unsafe" not in policy and rules["require-trusted-types-for"] == "'script'"
    assert not re.search(r"<script>|style=|\son\w+=", answer.text())


def _csrf(screen: Screen) -> dict[str, str]:
    body = screen.page.context.request.get(f"{screen.url}/session").json()
    return {"X-CSRF-Token": body["csrf_token"]}
