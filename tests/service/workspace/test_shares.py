"""Shares: a link shows one transcript, with its sound or without, until it ends; it opens nothing else."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import func, update

from shared.db import session
from shared.models import Share
from tests.service.gateway import PATIENCE_S, Caller, Gateway, finish
from tests.service.workspace.test_audio import OPUS, finished

OPEN_TO_ALL = ("/health", "/metrics", "/shared/", "/openapi.json", "/docs", "/redoc")
UNKNOWN = str(uuid.UUID(int=1))


@pytest.fixture
def guest(gateway: Gateway) -> Iterator[httpx.Client]:
    """Somebody without a key."""
    with httpx.Client(base_url=gateway.url, timeout=PATIENCE_S) as client:
        yield client


def share(caller: Caller, task: uuid.UUID, **fields: Any) -> dict[str, Any]:
    answer = caller.http.post(f"/tasks/{task}/shares", json=fields)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_link_shows_the_transcript(gateway: Gateway, caller: Caller, guest: httpx.Client) -> None:
    """In any format, with corrections, and what it is; neither name nor id of its owner, and no sound unless shared."""
    task = finished(gateway, caller, os.urandom(100))
    caller.http.patch(f"/tasks/{task}", json={"speakers": {"spk_1": "Anna"}}).raise_for_status()
    link = share(caller, task)
    about = guest.get(link["url"]).json()
    assert {name: about[name] for name in ("status", "filename", "duration", "audio")} == {
        "status": "done",
        "filename": "call.wav",
        "duration": 2.0,
        "audio": False,
    }
    assert str(caller.id) not in guest.get(link["url"]).text
    assert guest.get(f"{link['url']}/result").json()["segments"][0]["speaker"] == "Anna"
    assert guest.get(f"{link['url']}/result?format=text").text.strip() != ""
    for version in (0, 1):  # what was corrected may be what nobody else is to read
        body = guest.get(f"{link['url']}/result?version={version}").json()
        assert (body["version"], body["segments"][0]["speaker"]) == (1, "Anna")
    assert guest.get(f"{link['url']}/result").headers["referrer-policy"] == "no-referrer"
    for path in ("audio", "peaks"):
        answer = guest.get(f"{link['url']}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_link_with_audio_plays_it(gateway: Gateway, caller: Caller, guest: httpx.Client) -> None:
    """The copy with ranges and the waveform, and never the original."""
    link = share(caller, finished(gateway, caller, os.urandom(100)), audio=True)
    assert guest.get(f"{link['url']}/audio?original=true").content == OPUS
    answer = guest.get(f"{link['url']}/audio", headers={"Range": "bytes=5-9"})
    assert (answer.status_code, answer.content) == (206, OPUS[5:10])
    assert len(guest.get(f"{link['url']}/peaks").json()["peaks"]) == 2


def test_no_other_call_works_with_it(gateway: Gateway, caller: Caller, guest: httpx.Client) -> None:
    """As a key it is refused by each call that needs one, and below its own path nothing changes anything."""
    task = caller.task()
    link = share(caller, task, audio=True)
    paths = guest.get("/openapi.json").json()["paths"]
    tried = 0
    for path, methods in paths.items():
        if path.startswith(OPEN_TO_ALL) or path == "/":
            continue
        url = path.replace("{task_id}", str(task)).replace("{job_id}", str(task))
        while "{" in url:
            url = url[: url.index("{")] + UNKNOWN + url[url.index("}") + 1 :]
        for method in methods:
            for headers in ({"Authorization": f"Bearer {link['token']}"}, {"X-API-Key": link["token"]}):
                assert guest.request(method, url, headers=headers).status_code == 401, (method, path)
                tried += 1
    assert tried > 100
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in ("", "/result", "/audio", "/peaks"):
            assert guest.request(method, link["url"] + path).status_code == 405
    assert guest.get(f"{link['url']}/shares").status_code == 404
    assert caller.status(task) == "queued"


def test_a_link_ends(gateway: Gateway, caller: Caller, guest: httpx.Client) -> None:
    """By its time, when it is revoked, with its task, and with its key; each is 404 from then on, and others stay."""
    task, doomed = (finished(gateway, caller, os.urandom(100)) for _ in range(2))
    expired, revoked, open_share = (share(caller, task, audio=True) for _ in range(3))
    of_doomed = share(caller, doomed)
    with session() as work:
        work.execute(update(Share).where(Share.id == uuid.UUID(expired["share_id"])).values(expires_at=func.now()))
    caller.http.delete(f"/tasks/{task}/shares/{revoked['share_id']}").raise_for_status()
    caller.http.delete(f"/tasks/{doomed}").raise_for_status()
    for link in (expired, revoked, of_doomed):
        for path in ("", "/result", "/audio", "/peaks"):
            assert guest.get(link["url"] + path).status_code == 404
    assert guest.get(open_share["url"]).status_code == 200
    listed = caller.http.get(f"/tasks/{task}/shares")
    assert [one["share_id"] for one in listed.json()["items"]] == [open_share["share_id"]]
    assert open_share["token"] not in listed.text
    gateway.caller("admin").http.delete(f"/admin/keys/{caller.id}").raise_for_status()
    assert guest.get(open_share["url"]).status_code == 404


def test_links_are_for_the_owner_to_make(gateway: Gateway, caller: Caller, guest: httpx.Client) -> None:
    """Another key can neither make, list nor revoke them; without a key nothing is read of the body."""
    task = caller.task()
    link = share(caller, task)
    stranger = gateway.caller().http
    url = f"/tasks/{task}/shares"
    assert stranger.post(url).status_code == stranger.get(url).status_code == 404
    assert stranger.delete(f"{url}/{link['share_id']}").status_code == 404
    assert guest.post(url, content=b"no json").status_code == 401
    assert guest.get(f"{link['url']}/result").json()["code"] == "not_ready"
    for fields in ({"expires_in": 59}, {"expires_in": 90 * 86400 + 1}, {"unknown": 1}):
        assert caller.http.post(url, json=fields).json()["code"] == "invalid_request"


def test_a_task_has_a_bounded_number_of_links(caller: Caller) -> None:
    """The hundred and first is refused until one is revoked."""
    task = caller.task()
    links = [share(caller, task) for _ in range(100)]
    answer = caller.http.post(f"/tasks/{task}/shares")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_shares")
    assert "retry-after" in answer.headers
    caller.http.delete(f"/tasks/{task}/shares/{links[0]['share_id']}").raise_for_status()
    share(caller, task)


def test_visits_count_for_the_key_and_the_secret_is_not_logged(gateway: Gateway, guest: httpx.Client) -> None:
    """A visitor uses the requests of the link's key, and no log line has what opens the task."""
    caller = gateway.limited(requests_per_minute=4)
    task = caller.task()
    finish(task, gateway.storage)
    link = share(caller, task)
    answers = [guest.get(link["url"]).status_code for _ in range(4)]
    assert (answers[0], answers[-1]) == (200, 429)
    for path in ("/", "/nothing", "?a=b"):
        guest.get(link["url"] + path)
    guest.get(f"/share/{link['token']}")
    guest.get(link["url"][:-1])
    assert "/shared/{token}" in gateway.log()
    assert link["token"][:-1] not in gateway.log()
