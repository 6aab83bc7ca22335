"""What an operator sees of live sessions: metrics, health, and a refusal where there is no room."""

from __future__ import annotations

import re
import time

import httpx
import psycopg
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus

from scripts.dashboards import DASHBOARDS
from tests.faults.rig import PATIENCE_S, eventually
from tests.service.live.client import Client, frames, pcm
from tests.service.live.conftest import Rig

WORKERS = ("worker-live", "worker-live-2")
LEFT_S = 300
"""The time in which a session ends whose client has left it, and is heard to its end."""

TRIES = 20
"""To be refused before a worker says again that it has room."""


def metrics(rig: Rig) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All samples of the gateway and the live workers, those of the same name and labels added up."""
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for name in ("api", *WORKERS):
        for family in text_string_to_metric_families(httpx.get(rig.stack.metrics_urls[name], timeout=60).text):
            for sample in family.samples:
                place = sample.name, frozenset(sample.labels.items())
                samples[place] = samples.get(place, 0.0) + sample.value
    return samples


def value(rig: Rig, name: str, **labels: str) -> float:
    return metrics(rig)[name, frozenset(labels.items())]


def crowd(rig: Rig) -> tuple[float, float]:
    """Sessions that are heard and that wait, of whatever key, at one moment."""
    now = metrics(rig)
    active, waiting = (now["parley_live_sessions", frozenset({("state", state)})] for state in ("heard", "waiting"))
    return active, waiting


def test_a_session_is_counted_and_measured(rig: Rig) -> None:
    """While it is open it is one that is heard; then its text has come as fast as it has, and every panel has a
    metric to show."""
    eventually(lambda: crowd(rig) == (0, 0), "no other test's session is left", LEFT_S)
    before, began = metrics(rig), time.monotonic()
    pieces = frames(pcm("librivox-0870.wav"))
    with rig.client() as client:
        client.first("hello")
        client.send(pieces[:8])
        client.first("partial")  # of a worker that is late there might be one alone
        client.send(pieces[8:16])
        client.until(lambda: len(client.all("partial")) >= 2, "more text")
        client.send(pieces[16:])
        eventually(lambda: crowd(rig) == (1, 0), "it is heard", PATIENCE_S)
        assert value(rig, "parley_workload", queue="live") == 1
        assert rig.http.get("/health/async").json()["queues"]["live"]["running"] == 1
        client.say({"type": "end"})
        client.first("ended")
        finals = len(client.all("final"))
    after, took = metrics(rig), time.monotonic() - began

    def grown(name: str, **labels: str) -> float:
        place = name, frozenset(labels.items())
        return after[place] - before.get(place, 0.0)

    assert grown("parley_live_final_seconds_count") == finals >= 1
    assert grown("parley_live_finals_total", model="tiny.en") == finals
    assert 0 < grown("parley_live_final_seconds_sum") < took * finals
    assert 1 <= grown("parley_live_first_seconds_count") <= finals
    assert grown("parley_live_partials_total", outcome="made") >= 2
    names = {name for name, _ in after}
    for panel in next(each for each in DASHBOARDS if each.uid == "parley-live").panels:
        assert set(re.findall(r"parley_\w+", panel.expr)) <= names
    eventually(lambda: value(rig, "parley_live_sessions", state="heard") == 0, "it is over", PATIENCE_S)


def test_live_workers_are_named(rig: Rig) -> None:
    """/health/async knows how many there are, and metrics how many sessions they carry."""
    eventually(
        lambda: rig.http.get("/health/async").json()["queues"]["live"]["workers"] == 2, "both are named", PATIENCE_S
    )
    # a gateway's figures may be a few seconds old, of a time when they were not
    eventually(lambda: value(rig, "parley_workers", queue="live") == 2, "both are counted", PATIENCE_S)
    assert value(rig, "parley_worker_slots", queue="live") >= 2


def test_no_more_sessions_than_the_workers_carry(rig: Rig) -> None:
    """What they say they carry is what is let in; the third, of another key, is told when to come again."""
    other = rig.other_key()

    def refusal() -> InvalidStatus | None:
        address = rig.stack.env["DATABASE_URL"].replace("+psycopg", "")
        with psycopg.connect(address, autocommit=True) as connection:  # until they say so again
            connection.execute("UPDATE workers SET slots = 1 WHERE 'live' = ANY(queues)")
        try:
            with Client(rig.stack.url, other) as third:
                task = third.first("hello")["session"]
        except InvalidStatus as refused:
            return refused if refused.response.status_code == 503 else None
        rig.delete(task, other)
        return None

    with rig.client() as first, rig.client() as second:
        for client in (first, second):
            client.first("hello")
        # a worker says anew what it carries every five seconds, which may be in between
        busy = next(filter(None, (refusal() for _ in range(TRIES))), None)
        assert busy is not None
        assert int(busy.response.headers["Retry-After"]) > 0
        assert b"service_busy" in (busy.response.body or b"")
        for client in (first, second):
            client.say({"type": "end"})
            client.first("ended")
