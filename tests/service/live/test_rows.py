"""Rows of live sessions: who may end one, who may write, and what a task that failed leaves to the next."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select, text, update
from uuid_utils.compat import uuid7

from shared.config import Settings
from shared.db import Query, run, session
from shared.errors import LeaseLost, UnexpectedError, WrongState
from shared.kernel import erasure, fleet, jobs, leases
from shared.kernel.orders import JobOrder, LiveSource
from shared.live import allowances, crowd, listeners, sessions
from shared.live import sweep as live_sweep
from shared.live.age import Age
from shared.live.listeners import Place
from shared.live.sessions import End, Hold
from shared.live_events import Final, SpeechStarted
from shared.models import ApiKey, Job, LiveChunk, LiveSession, LiveVoices, StorageChange, Worker
from shared.options import JobOptions
from shared.states import JobState
from tasks.live import recording
from tasks.live.pace import Pace
from tests.conftest import MODELS

RATE = 16_000
SOUND = bytes(range(256)) * 100
ROOT = Path(__file__).parents[3]

DIES = 9
DIES_AT_THE_END = f"""
import os
from tasks.listening.listener import Listener
from tasks.live.__main__ import main

Listener.finish = lambda self: os._exit({DIES})
main()
"""
"""A live worker whose model kills it in the last pass."""


@pytest.fixture
def held(owner: uuid.UUID) -> Iterator[Hold]:
    """A session with three chunks."""
    job_id = uuid7()
    order = JobOrder(job_id=job_id, owner_id=owner, source=LiveSource(job_id.hex), options=JobOptions())
    with session() as work:
        work.execute(delete(LiveSession))  # of other tests, which nobody listens to any more
        hold = sessions.begin(work, order, encoding="pcm16", rate=RATE)
    third = len(SOUND) // 3
    for number in range(3):
        data = SOUND[number * third : (number + 1) * third if number < 2 else None]
        assert row(sessions.append(hold, number + 1, number, data)) is not None
    yield hold
    with session() as work:
        work.execute(delete(LiveSession).where(LiveSession.owner_id == owner))


def row(query: Query) -> Any:
    """The first row of a statement of the gateway's."""
    with session() as work:
        return work.connection().exec_driver_sql(query.text, dict(query.parameters)).first()


def stored_voices(held: Hold) -> bytes | None:
    """What the session's voices sound like."""
    with session() as work:
        return work.scalar(select(LiveVoices.voices).where(LiveVoices.job_id == held.job_id))


def state(job_id: uuid.UUID) -> str:
    with session() as work:
        return work.get_one(Job, job_id).state


def retried(held: Hold, job_id: uuid.UUID) -> uuid.UUID:
    """The task that is made of this one's recording."""
    from api import retries  # needs settings

    return retries.retry(owner_of(held), job_id, uuid7(), "r").id


def failed(held: Hold, config: Settings) -> None:
    """The session ends, and its task fails before the chunks are a recording."""
    with session() as work:
        sessions.end(work, held.job_id, End.CLIENT)
        claim = leases.claim(work, held.job_id, "download", 0, worker="w", device="cpu", lease_s=config.lease_s)
        assert claim is not None
        leases.fail(work, claim, UnexpectedError("of this test"), max_attempts=1)
    assert state(held.job_id) == JobState.ERROR


def test_an_older_socket_ends_nothing(held: Hold) -> None:
    """What it says after another has taken the session over changes nothing; that one may end it."""
    newer = sessions.hold(held.job_id, row(sessions.take(held.job_id, owner_of(held))))
    with session() as work:
        assert sessions.end(work, held.job_id, End.CLIENT, sessions.holds(held)) == ()
    assert state(held.job_id) == JobState.LIVE
    with session() as work:
        sessions.end(work, held.job_id, End.CLIENT, sessions.holds(newer))
    assert state(held.job_id) == JobState.QUEUED


def test_a_session_is_as_old_as_the_database_says(held: Hold) -> None:
    """For the socket that goes on with it and for its listener, and older as time goes by."""
    with session() as work:
        work.get_one(LiveSession, held.job_id).created_at = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, 100)
    newer = sessions.hold(held.job_id, row(sessions.take(held.job_id, owner_of(held))))
    with session() as work:
        claim = listeners.claim(work, "w", 60.0)
    assert claim is not None
    for age in (newer.age, claim.age):
        before_s = age.now_s
        assert 100 <= before_s < 130
        time.sleep(0.01)
        assert before_s + 0.01 <= age.now_s < 130


def test_a_refused_resume_takes_nothing(held: Hold) -> None:
    """Who asks to go on behind a frame that has not arrived leaves the session to its socket."""
    refused = row(sessions.take(held.job_id, owner_of(held), 4))
    assert (refused[0], refused[1]) == (None, 3)
    assert row(sessions.append(held, 4, 3, b"1234")) is not None
    assert row(sessions.take(held.job_id, owner_of(held), 4))[0] == held.holder + 1
    assert row(sessions.take(held.job_id, uuid7(), 4)) is None
    assert row(sessions.append(held, 5, 4, b"1234")) is None


def test_a_listener_whose_claim_has_passed_writes_no_end(held: Hold) -> None:
    """The session is not heard to its end before its new listener says so."""
    with session() as work:
        first = listeners.claim(work, "first", 0.0)
    with session() as work:
        second = listeners.claim(work, "second", 60.0)
    assert first is not None and second is not None and second.fence == first.fence + 1
    with pytest.raises(LeaseLost), session() as work:
        listeners.finish(work, first)
    with session() as work:
        assert work.get_one(LiveSession, held.job_id).heard_at is None
        listeners.finish(work, second)
    with session() as work:
        assert work.get_one(LiveSession, held.job_id).heard_at is not None


@pytest.mark.parametrize("again", [lambda first, _: first, lambda _, second: second], ids=["first", "second"])
def test_a_failed_task_leaves_its_sound_to_the_next(
    again: Callable[[uuid.UUID, uuid.UUID], uuid.UUID], held: Hold, environment: Settings, tmp_path: Path
) -> None:
    """A retry has every byte, also after it has failed itself; the task before it then has none to give."""
    failed(held, environment)
    second = retried(held, held.job_id)
    assert state(second) == JobState.QUEUED
    with session() as work:
        assert work.scalar(select(func.count()).where(LiveChunk.job_id == held.job_id)) == 0
        claim = leases.claim(work, second, "download", 0, worker="w", device="cpu", lease_s=environment.lease_s)
        assert claim is not None
    file = recording.write(second, tmp_path / "again.wav", lambda _: None)
    assert (tmp_path / "again.wav").read_bytes().endswith(SOUND)
    assert file.filename.startswith("live-")
    with session() as work:
        assert listeners.claim(work, "w", 60.0) is None
        leases.fail(work, claim, UnexpectedError("of this test"), max_attempts=1)
    failing = again(held.job_id, second)
    if failing == second:
        third = retried(held, second)
        recording.write(third, tmp_path / "third.wav", lambda _: None)
        assert (tmp_path / "third.wav").read_bytes().endswith(SOUND)
    else:
        with pytest.raises(WrongState):
            retried(held, failing)


def test_a_cancelled_session_leaves_nothing(held: Hold) -> None:
    """Its chunks are forgotten, so there is nothing to retry."""
    with session() as work:
        jobs.cancel(work, owner_of(held), held.job_id)
    with pytest.raises(WrongState):
        retried(held, held.job_id)


def test_places_are_those_that_live_workers_say(held: Hold) -> None:
    """Of workers that are heard from and take sessions, less the sessions that are there."""
    with session() as work:
        work.execute(delete(Worker))
        others = (work.scalar(select(func.count()).where(LiveSession.heard_at.is_(None))) or 0) - 1
        fleet.show(work, "a", [sessions.QUEUE], 3, deaf=False)
        fleet.show(work, "b", [sessions.QUEUE], 4, deaf=True)
        fleet.show(work, "c", ["asr"], 5, deaf=False)
        assert sessions.free_places(work) == 3 - 1 - others
        fleet.show(work, "a", [sessions.QUEUE], 6, deaf=False)
        assert sessions.free_places(work) == 6 - 1 - others
        work.execute(delete(Worker))


def test_what_a_session_may_keep_is_the_same_however_much_has_come(held: Hold, environment: Settings) -> None:
    """More of it comes while that is looked at, and does not count twice; what its key keeps besides does."""
    owner, most = owner_of(held), 10 * len(SOUND)

    def allowed() -> int | None:
        with session() as work:
            return run(work, allowances.of(held, owner, environment)).bytes

    with session() as work:
        work.get_one(ApiKey, owner).max_stored_bytes = most
    assert allowed() == most
    assert row(sessions.append(held, 4, 3, SOUND)) is not None
    assert allowed() == most
    with session() as work:
        work.add(StorageChange(owner_id=owner, bytes=100))
    assert allowed() == most - 100
    with session() as work:
        work.get_one(ApiKey, owner).max_stored_bytes = 0
    assert allowed() is None


def test_a_session_is_heard_while_its_lease_lasts(held: Hold) -> None:
    """Else it waits, and when it was heard to its end it is none of the crowd."""

    def now() -> tuple[int, int]:
        with session() as work:
            crowd_counts = crowd.of(work)
            return crowd_counts.running - before.running, crowd_counts.waiting - before.waiting

    with session() as work:
        before = crowd.of(work)
    assert now() == (0, 0)
    with session() as work:
        claim = listeners.claim(work, "w", 60.0)
    assert claim is not None and now() == (1, -1)
    with session() as work:
        listeners.give_back(work, [claim], failed=True)
    assert now() == (0, 0)
    with session() as work:
        work.get_one(LiveSession, held.job_id).lease_until = None
    with session() as work:
        claim = listeners.claim(work, "w", 60.0)
    assert claim is not None
    with session() as work:
        listeners.finish(work, claim)
    assert now() == (0, -1)


def tried(held: Hold, config: Settings) -> int:
    """How often a listener says that somebody speaks and fails, until nobody tries any more."""
    for count in range(2 * sessions.MAX_ATTEMPTS):
        with session() as work:
            work.get_one(LiveSession, held.job_id).lease_until = None
        with session() as work:
            claim = listeners.claim(work, "w", 60.0)
        if claim is None:
            live_sweep.sweep(config)
            return count
        with session() as work:
            listeners.record(work, claim, [SpeechStarted(claim.place.utterance, 0.1)], claim.event, claim.place, 60.0)
        with session() as work:
            listeners.give_back(work, [claim], failed=True)
    return 2 * sessions.MAX_ATTEMPTS


@pytest.mark.parametrize("progress", ["none", "final", "silence"])
def test_a_place_that_nobody_gets_past_is_given_up(progress: str, held: Hold, environment: Settings) -> None:
    """However much each listener says before it fails there; whoever gets further leaves five attempts more."""
    with session() as work:
        work.get_one(LiveSession, held.job_id).attempt = 2
    with session() as work:
        claim = listeners.claim(work, "w", 60.0)
    assert claim is not None
    with session() as work:
        if progress == "final":
            final = Final(0, 0.0, 0.5, "", (), "en")
            listeners.record(work, claim, [final], claim.event, Place(1, 0.5, voices=b"voices"), 60.0)
        elif progress == "silence":
            listeners.move(work, claim, Place(0, 60.0))
        else:
            listeners.record(work, claim, [SpeechStarted(0, 0.1)], claim.event, claim.place, 60.0)
    with session() as work:
        listeners.give_back(work, [claim], failed=True)
    assert tried(held, environment) == sessions.MAX_ATTEMPTS - (3 if progress == "none" else 1)
    with session() as work:
        record = work.get_one(LiveSession, held.job_id)
        assert record.heard_at is not None and record.worker is None
    assert stored_voices(held) is None


def test_voices_are_kept_while_somebody_listens(held: Hold) -> None:
    """Whoever takes over has them; a release that does not know them leaves them as they are."""
    with session() as work:
        claim = listeners.claim(work, "w", 60.0)
    assert claim is not None and claim.place.voices is None
    with session() as work:
        final, place = Final(0, 0.0, 0.5, "", (), "en", speaker="spk_1"), Place(1, 0.5, voices=b"voices")
        listeners.record(work, claim, [final], claim.event, place, 60.0)
    with session() as work:
        listeners.give_back(work, [claim])
    with session() as work:
        work.execute(update(LiveSession).where(LiveSession.job_id == held.job_id).values(utterance=2, resume_s=0.75))
    with session() as work:
        claim = listeners.claim(work, "w", 60.0)
    assert claim is not None and claim.place == Place(2, 0.75, voices=b"voices")


def of_the_release_before(held: Hold) -> None:
    """How its listeners and its beat close a session."""
    with session() as work:
        statement = update(LiveSession).where(LiveSession.job_id == held.job_id).values(heard_at=func.now())
        work.execute(statement.values(lease_until=None))


def finished(held: Hold) -> None:
    with session() as work:
        row = work.get_one(LiveSession, held.job_id)
        claim = listeners.Claim(
            held.job_id, row.fence, row.encoding, row.rate, row.event, Place(), JobOptions(), None, Age()
        )
        listeners.finish(work, claim)


def cancelled(held: Hold) -> None:
    with session() as work:
        jobs.cancel(work, owner_of(held), held.job_id)


def erased(held: Hold) -> None:
    with session() as work:
        erasure.erase(work, owner_of(held), held.job_id)


@pytest.mark.parametrize(
    ("end", "is_swept"), [(finished, False), (erased, False), (cancelled, True), (of_the_release_before, True)]
)
def test_voices_are_kept_no_longer_than_somebody_listens(
    end: Callable[[Hold], None], is_swept: bool, held: Hold, environment: Settings
) -> None:
    """However that ends, also by a release that knows nothing of them. A sweep leaves those of the others alone."""
    with session() as work:
        claim = listeners.claim(work, "w", 60.0)
    assert claim is not None
    with session() as work:
        final, place = Final(0, 0.0, 0.5, "", (), "en", speaker="spk_1"), Place(1, 0.5, voices=b"voices")
        listeners.record(work, claim, [final], claim.event, place, 60.0)
    live_sweep.sweep(environment)
    assert stored_voices(held) == b"voices"
    end(held)
    if is_swept:
        live_sweep.sweep(environment)
    assert stored_voices(held) is None


def test_voices_make_the_row_of_a_session_no_larger(held: Hold) -> None:
    """It is copied by each chunk and each heartbeat."""

    def size() -> int:
        with session() as work:
            return int(
                work.scalar(
                    text("SELECT pg_column_size(s) FROM live_sessions s WHERE job_id = :job_id").bindparams(
                        job_id=held.job_id
                    )
                )
                or 0
            )

    with session() as work:
        claim = listeners.claim(work, "w", 60.0)
    assert claim is not None
    sizes = []
    for number, voices in enumerate((None, b"v" * 1024, b"w" * 2048)):
        with session() as work:
            final, place = Final(number, 0.0, 0.5, "", (), "en"), Place(number + 1, 0.5, "en", voices)
            listeners.record(work, claim, [final], claim.event + number, place, 60.0)
        assert stored_voices(held) == voices
        sizes.append(size())
    assert len(set(sizes)) == 1, sizes


def test_who_gets_past_a_place_leaves_five_attempts_more(held: Hold, environment: Settings) -> None:
    """It has heard what had arrived with its claim, as those that failed before at most had; whose claim has passed
    says nothing of that."""
    with session() as work:
        work.get_one(LiveSession, held.job_id).attempt = sessions.MAX_ATTEMPTS - 2
    with session() as work:
        passed = listeners.claim(work, "w", 0.0)
    with session() as work:
        claim = listeners.claim(work, "w", 60.0)
    assert passed is not None and claim is not None
    assert (passed.attempt, claim.attempt) == (sessions.MAX_ATTEMPTS - 1, sessions.MAX_ATTEMPTS)
    assert claim.seq == 3
    with pytest.raises(LeaseLost), session() as work:
        listeners.get_past(work, passed)
    with session() as work:
        listeners.get_past(work, claim)
        listeners.give_back(work, [claim], failed=True)
    assert tried(held, environment) == sessions.MAX_ATTEMPTS - 1


@pytest.mark.timeout(1800)
def test_an_ended_session_that_kills_at_its_end_is_given_up(held: Hold, environment: Settings) -> None:
    """After five workers, though each has heard all that had arrived before it died: nothing newer comes, and so nobody
    gets past the end."""
    own = {"MODEL_DIR": str(MODELS), "LIVE_MODEL": "tiny.en", "LIVE_LOAD": "0", "LIVE_LEASE_S": "300"}
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "CPU_THREADS": "1", **own}
    with session() as work:
        sessions.end(work, held.job_id, End.CLIENT)
    for attempt in range(1, sessions.MAX_ATTEMPTS + 1):
        worker = subprocess.run(
            (sys.executable, "-c", DIES_AT_THE_END),
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert worker.returncode == DIES, worker.stdout
        with session() as work:
            record = work.get_one(LiveSession, held.job_id)
            assert (record.attempt, record.heard_at) == (attempt, None)
            record.lease_until = None
    with session() as work:
        assert listeners.claim(work, "w", 60.0) is None
    live_sweep.sweep(environment)
    with session() as work:
        assert work.get_one(LiveSession, held.job_id).heard_at is not None


def test_four_sessions_are_let_in_where_a_worker_was_tried(owner: uuid.UUID, held: Hold) -> None:
    """Before anything is said, one behind the other, by what it says it carries; one whose model is too slow carries
    none besides the first."""
    with session() as work:
        work.execute(delete(LiveSession))
        work.execute(delete(Worker))

    def let_in(pace: Pace) -> int:
        for count in range(5):
            with session() as work:
                fleet.show(work, "tried", [sessions.QUEUE], pace.places(count), deaf=False)
                if sessions.free_places(work) <= 0:
                    return count
                job_id = uuid7()
                order = JobOrder(job_id=job_id, owner_id=owner, source=LiveSource(job_id.hex), options=JobOptions())
                sessions.begin(work, order, encoding="pcm16", rate=RATE)
        return 5

    fast, slow = Pace(4, 0.7), Pace(4, 0.7)
    fast.suppose(0.15)
    slow.suppose(0.5)
    assert let_in(fast) == 4
    with session() as work:
        work.execute(delete(LiveSession))
    assert let_in(slow) == 1
    with session() as work:
        work.execute(delete(Worker))


def test_a_session_that_is_handed_over_has_lost_no_attempt(held: Hold) -> None:
    """However often the workers that hold it end, for a model that hangs in another session, say."""
    for count in range(2 * sessions.MAX_ATTEMPTS):
        with session() as work:
            claim = listeners.claim(work, "w", 60.0)
        assert claim is not None, count
        with session() as work:
            assert work.get_one(LiveSession, held.job_id).attempt == 1
            listeners.give_back(work, [claim])


def test_nobody_begins_to_hear_what_nobody_waits_for(held: Hold) -> None:
    """Ten minutes after its end."""
    with session() as work:
        sessions.end(work, held.job_id, End.CLIENT)
        work.get_one(LiveSession, held.job_id).ended_at = func.now() - sessions.PATIENCE
    with session() as work:
        assert listeners.claim(work, "w", 60.0) is None
        work.get_one(LiveSession, held.job_id).ended_at = func.now() - sessions.PATIENCE / 2
    with session() as work:
        assert listeners.claim(work, "w", 60.0) is not None


def test_a_reader_has_few_bytes_at_once(held: Hold) -> None:
    """Of large chunks a few are read at a time, to the last, an empty one; then it is told that no more come."""
    large = b"x" * (listeners.BYTES_AT_ONCE // 2)
    for number in range(4, 9):
        assert row(sessions.append(held, number, number - 1, large if number < 8 else b"")) is not None
    chunks: list[listeners.Chunk] = []
    with session() as work:
        seq = 3
        while (arrived := listeners.chunks(work, held.job_id, seq)).chunks:
            assert sum(len(chunk.data) for chunk in arrived.chunks) <= 1.5 * listeners.BYTES_AT_ONCE
            chunks += arrived.chunks
            seq = chunks[-1].seq
            assert not arrived.is_last
        assert not arrived.is_last
        assert [chunk.seq for chunk in chunks] == [4, 5, 6, 7, 8]
        sessions.end(work, held.job_id, End.CLIENT)
    with session() as work:
        assert not listeners.chunks(work, held.job_id, 7).is_last
        assert listeners.chunks(work, held.job_id, 8).is_last


def test_a_cut_before_the_first_byte_is_read(owner: uuid.UUID, held: Hold) -> None:
    """Though sound was stored before anybody listened."""
    job_id = uuid7()
    order = JobOrder(job_id=job_id, owner_id=owner, source=LiveSource(job_id.hex), options=JobOptions())
    with session() as work:
        empty = sessions.begin(work, order, encoding="pcm16", rate=RATE)
    for number, data in enumerate((b"", b"1234", b"5678"), 1):
        assert row(sessions.append(empty, number, number - 1, data)) is not None
    with session() as work:
        assert [listeners.frame_before(work, job_id, place) for place in (0, 2, 4, 6)] == [0, 1, 2, 2]
        assert [listeners.frame_before(work, held.job_id, place) for place in (0, 2)] == [0, 0]


def owner_of(held: Hold) -> uuid.UUID:
    with session() as work:
        return work.get_one(Job, held.job_id).owner_id
