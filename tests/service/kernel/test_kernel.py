"""The lease kernel against a real PostgreSQL: what may happen to a job, in any order."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select, text, update
from uuid_utils.compat import uuid7

from api.history import search
from shared.claims import Answer, Claim, Claimant
from shared.config import Settings
from shared.db import session
from shared.errors import DiarizationError, LeaseLost, NoAudio, NotFound, ParleyError, StorageUnavailable, WrongState
from shared.kernel import job_views, jobs, leases, lost_leases, shards
from shared.kernel.agreement import agree_on_language
from shared.kernel.jobs import Outcome
from shared.kernel.orders import JobOrder, Source
from shared.kernel.submission import new_jobs
from shared.models import Artifact, Job, Stage
from shared.options import JobOptions
from shared.repair import repair
from shared.rings import Ring
from shared.stages import STAGES
from shared.states import JOB_MOVES, STAGE_MOVES, TERMINAL, JobState, StageState
from shared.storage import Storage
from shared.transcript import Shard
from tests.service.kernel.truth import assert_exact

ATTEMPTS = 3
CLAIMANT = Claimant("w", 30)
SUMMARY = {
    "language": "en",
    "language_probability": 1.0,
    "duration": 2.0,
    "model": "m",
    "speakers": 1,
    "full_text": "a",
}


def submit(owner: uuid.UUID, content: str | None = None, **options: Any) -> tuple[uuid.UUID, Outcome]:
    job_id = uuid7()
    sha256 = content or uuid.uuid4().hex
    with session() as opened:
        _, outcome = new_jobs.submit(
            opened,
            JobOrder(
                job_id=job_id,
                owner_id=owner,
                source=Source(f"{owner}/{job_id}/upload", sha256, 10, "call.wav"),
                options=JobOptions(**options),
            ),
        )
    return job_id, outcome


def claim(job_id: uuid.UUID, stage: str, shard: int = 0) -> Claim | None:
    with session() as opened:
        return leases.claim(opened, job_id, stage, shard, worker="w", device="cpu", lease_s=30)


def complete(held: Claim, shards: int = 0, claimant: Claimant | None = None) -> Outcome:
    """Hand an answer in; that of convert plans so many shards, 10 s each. A `claimant` may be given the next claim."""
    key = f"{held.owner_id}/{held.job_id}/{held.stage}/{held.shard}.{held.fence}.json"
    plan = [asdict(Shard(10.0 * n, 10.0 * n + 10, 10.0 * n, 10.0 * n + 10)) for n in range(shards)]
    with session() as opened:
        return leases.complete(opened, held, Answer(key, 1, SUMMARY | {"shards": plan}), claimant)


def fail(held: Claim, error: ParleyError) -> Outcome:
    with session() as opened:
        return leases.fail(opened, held, error, max_attempts=ATTEMPTS)


def give_back(held: Claim) -> Outcome:
    with session() as opened:
        return leases.give_back(opened, held)


def expire(job_id: uuid.UUID) -> Outcome:
    with session() as opened:
        opened.execute(
            update(Stage)
            .where(Stage.job_id == job_id, Stage.state == StageState.RUNNING)
            .values(lease_until=func.now() - text("interval '1 s'"))
        )
    with session() as opened:
        return jobs_expire(opened, job_id)


def jobs_expire(opened: Any, job_id: uuid.UUID) -> Outcome:
    return lost_leases.expire(opened, job_id, max_attempts=ATTEMPTS)


def state(job_id: uuid.UUID) -> str:
    with session() as opened:
        return opened.scalars(select(Job.state).where(Job.id == job_id)).one()


def stage_row(job_id: uuid.UUID, name: str, shard: int = 0) -> Stage:
    with session() as opened:
        return opened.get_one(Stage, (job_id, name, shard))


def finish(job_id: uuid.UUID, outcome: Outcome) -> None:
    """Do every stage that is rung until nothing rings any more."""
    rings = list(outcome.rings)
    while rings:
        bell = rings.pop()
        held = claim(bell.job_id, bell.stage, bell.shard)
        assert held is not None
        rings += complete(held).rings


def test_a_job_goes_from_upload_to_transcript(owner: uuid.UUID, environment: Settings) -> None:
    """Doing what is rung, in order, brings a job to done with its summary and full progress."""
    job_id, outcome = submit(owner, diarization=True)
    assert [bell.stage for bell in outcome.rings] == ["convert"]
    finish(job_id, outcome)
    with session() as opened:
        view = job_views.get(opened, owner, job_id)
        assert (view.job.state, view.progress, view.eta_seconds) == (JobState.DONE, 100, 0)
        assert job_views.owned(opened, owner, job_id).full_text == "a"


def test_transcribe_and_diarize_run_side_by_side(owner: uuid.UUID) -> None:
    """Both are queued when convert is done, and merge waits for the slower one."""
    job_id, _ = submit(owner, diarization=True)
    assert {bell.stage for bell in complete(held(job_id, "convert")).rings} == {"transcribe", "diarize"}
    first, second = held(job_id, "transcribe"), held(job_id, "diarize")
    assert complete(first).rings == ()
    assert [bell.stage for bell in complete(second).rings] == ["merge"]


def held(job_id: uuid.UUID, stage: str, shard: int = 0) -> Claim:
    lease = claim(job_id, stage, shard)
    assert lease is not None
    return lease


def test_only_one_of_many_claims_wins(owner: uuid.UUID) -> None:
    """Eight workers that answer the same doorbell at once get one claim."""
    job_id, _ = submit(owner)
    won: list[Claim] = []
    barrier = threading.Barrier(8)

    def answer() -> None:
        barrier.wait(timeout=10)
        if lease := claim(job_id, "convert"):
            won.append(lease)

    threads = [threading.Thread(target=answer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert len(won) == 1


def test_forty_races_into_merge_give_forty_merges(owner: uuid.UUID) -> None:
    """When the last two needs are settled at the same moment, merge is rung exactly once."""
    merges: list[Ring] = []
    for _ in range(40):
        job_id, _ = submit(owner, diarization=True)
        complete(held(job_id, "convert"))
        both = [held(job_id, "transcribe"), held(job_id, "diarize")]
        barrier = threading.Barrier(2)

        def race(lease: Claim, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(timeout=10)
            merges.extend(complete(lease).rings)

        threads = [threading.Thread(target=race, args=(lease,)) for lease in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=20)
        held(job_id, "merge")  # else the window of this key would soon be full
    assert [bell.stage for bell in merges] == ["merge"] * 40


def test_a_stale_worker_changes_nothing(owner: uuid.UUID) -> None:
    """After its lease was given to another, a worker's heartbeat, answer, failure and return are all refused."""
    job_id, _ = submit(owner)
    stale = held(job_id, "convert")
    expire(job_id)
    fresh = held(job_id, "convert")
    assert fresh.fence > stale.fence
    with session() as opened:
        assert leases.heartbeat(opened, stale, progress=0.9, lease_s=30) == "lease lost"
    for write in (complete, give_back, lambda claim: fail(claim, NoAudio("x"))):
        with pytest.raises(LeaseLost):
            write(stale)
    assert stage_row(job_id, "convert").progress == 0
    complete(fresh)
    with session() as opened:
        keys = list(opened.scalars(select(Artifact.key).where(Artifact.owner_id == owner, Artifact.stage == "convert")))
    assert keys == [f"{owner}/{job_id}/convert/0.{fresh.fence}.json"]


def test_handing_in_twice_is_handing_in_once(owner: uuid.UUID) -> None:
    """A COMMIT whose fate is unknown can be repeated: the published answer stays."""
    job_id, _ = submit(owner)
    lease = held(job_id, "convert")
    complete(lease)
    assert complete(lease) == Outcome()
    assert stage_row(job_id, "convert").state == StageState.DONE


def test_a_poison_recording_stops_after_three_attempts(owner: uuid.UUID) -> None:
    """A stage whose worker vanishes every time is dead after the third attempt, its cause kept, the job in error."""
    job_id, _ = submit(owner)
    for _ in range(ATTEMPTS):
        held(job_id, "convert")
        expire(job_id)
    assert claim(job_id, "convert") is None
    with session() as opened:
        job = job_views.get(opened, owner, job_id).job
    assert (job.state, job.error_code) == (JobState.ERROR, "worker_lost")


def test_an_outage_is_not_counted_as_an_attempt(owner: uuid.UUID) -> None:
    """Storage that is away ten times over does not use the attempts up, and nobody is rung at once."""
    job_id, _ = submit(owner)
    for _ in range(10):
        assert fail(held(job_id, "convert"), StorageUnavailable("away")) == Outcome()
    assert stage_row(job_id, "convert").state == StageState.QUEUED
    complete(held(job_id, "convert"))


def test_giving_a_stage_back_costs_no_attempt(owner: uuid.UUID) -> None:
    """A worker that shuts down hands its stage to another, as often as it happens."""
    job_id, _ = submit(owner)
    for _ in range(10):
        assert [bell.stage for bell in give_back(held(job_id, "convert")).rings] == ["convert"]
    assert stage_row(job_id, "convert").attempt == 0


def test_an_error_that_no_retry_helps_ends_the_job_at_once(owner: uuid.UUID) -> None:
    """No audio is no audio: one attempt, the code on the job, the other stages dropped."""
    job_id, _ = submit(owner)
    fail(held(job_id, "convert"), NoAudio("nothing to hear"))
    with session() as opened:
        view = job_views.get(opened, owner, job_id)
    assert (view.job.state, view.job.error_code) == (JobState.ERROR, "no_audio")
    assert {row.state for row in view.stages if row.name in ("transcribe", "merge", "store")} == {"cancelled"}


def test_a_dead_diarization_leaves_the_transcript(owner: uuid.UUID) -> None:
    """Merge goes on without speakers, is told why, and its answer is not reused for a healthy request."""
    content = uuid.uuid4().hex
    job_id, _ = submit(owner, content, diarization=True)
    complete(held(job_id, "convert"))
    complete(held(job_id, "transcribe"))
    for attempt in range(ATTEMPTS):
        outcome = fail(held(job_id, "diarize"), DiarizationError("no"))
        assert [bell.stage for bell in outcome.rings] == (["diarize"] if attempt < ATTEMPTS - 1 else ["merge"])
    merging = held(job_id, "merge")
    assert [
        (claim_input.stage, claim_input.error_code) for claim_input in merging.inputs if claim_input.key is None
    ] == [("diarize", "diarization_error")]
    finish(job_id, complete(merging))
    assert state(job_id) == JobState.DONE
    again, outcome = submit(owner, content, diarization=True)
    assert [bell.stage for bell in outcome.rings] == ["diarize"]
    assert state(again) == JobState.QUEUED


def test_the_same_request_is_answered_at_once(owner: uuid.UUID, environment: Settings) -> None:
    """Same bytes and options: born done, cached, its upload a duplicate; another owner shares nothing."""
    content = uuid.uuid4().hex
    job_id, outcome = submit(owner, content, diarization=True)
    finish(job_id, outcome)
    again, outcome = submit(owner, content, diarization=True)
    assert outcome == Outcome((), duplicate=True)
    with session() as opened:
        job = job_views.owned(opened, owner, again)
        assert (job.state, job.cached, job.full_text) == (JobState.DONE, True, "a")
        assert job_views.transcript_key(opened, again) == job_views.transcript_key(opened, job_id)


def test_another_speaker_count_costs_no_second_recognition(owner: uuid.UUID) -> None:
    """Only diarize, merge and store run again; another display format runs nothing."""
    content = uuid.uuid4().hex
    job_id, outcome = submit(owner, content, diarization=True)
    finish(job_id, outcome)
    again, outcome = submit(owner, content, diarization=True, num_speakers=3)
    with session() as opened:
        assert job_views.get(opened, owner, again).job.duration == 2.0
    assert [bell.stage for bell in outcome.rings] == ["diarize"]
    assert [bell.stage for bell in complete(held(again, "diarize")).rings] == ["merge"]
    subtitle_job, _ = submit(owner, content, diarization=True, format="srt", timestamp_granularity="word")
    assert state(subtitle_job) == JobState.DONE


def test_owners_share_no_answers(owner: uuid.UUID, environment: Settings) -> None:
    """The same bytes sent by somebody else start from the beginning."""
    from shared.callers import keys

    content = uuid.uuid4().hex
    job_id, outcome = submit(owner, content)
    finish(job_id, outcome)
    with session() as opened:
        other = keys.create(opened, "other")[0].id
    _, outcome = submit(other, content)
    assert ([bell.stage for bell in outcome.rings], outcome.duplicate) == (["convert"], False)
    with session() as opened, pytest.raises(NotFound):
        job_views.get(opened, other, job_id)


def test_cancel_is_honest_about_running_work(owner: uuid.UUID) -> None:
    """Cancelling until the worker lets go, then cancelled; at once when nobody works on it; refused when done."""
    job_id, _ = submit(owner)
    lease = held(job_id, "convert")
    with session() as opened:
        assert jobs.cancel(opened, owner, job_id).state == JobState.CANCELLING
    with session() as opened:
        assert leases.heartbeat(opened, lease, progress=0.1, lease_s=30) == "cancelled"
    give_back(lease)
    assert state(job_id) == JobState.CANCELLED

    waiting, _ = submit(owner)
    with session() as opened:
        assert jobs.cancel(opened, owner, waiting).state == JobState.CANCELLED
    assert claim(waiting, "convert") is None

    ended_job, outcome = submit(owner)
    finish(ended_job, outcome)
    with session() as opened, pytest.raises(WrongState):
        jobs.cancel(opened, owner, ended_job)


def test_a_cancelled_job_whose_worker_died_is_ended_by_the_sweep(owner: uuid.UUID) -> None:
    """Nobody is left to let go, so the expired lease does it."""
    job_id, _ = submit(owner)
    held(job_id, "convert")
    with session() as opened:
        jobs.cancel(opened, owner, job_id)
    expire(job_id)
    assert state(job_id) == JobState.CANCELLED


def test_the_sweep_rings_for_what_nobody_claimed(owner: uuid.UUID, environment: Settings, bucket: Storage) -> None:
    """A doorbell that was lost is rung again, each time after a longer wait.

    All waits are a hundred times as long here, so that none ends while a sweep does other work.
    """
    config = environment.model_copy(update={"ring_again_s": 1000})
    job_id, _ = submit(owner)
    bells: list[Ring] = []

    def ring(rings: Sequence[Ring]) -> None:
        bells.extend(bell for bell in rings if bell.job_id == job_id)

    def later(seconds: int) -> None:
        with session() as opened:
            opened.execute(
                update(Stage).where(Stage.job_id == job_id).values(rung_at=func.now() - text(f"interval '{seconds} s'"))
            )

    repair(config, bucket, ring)
    assert bells == []
    later(1100)
    repair(config, bucket, ring)
    assert len(bells) == 1
    later(1100)
    repair(config, bucket, ring)
    assert len(bells) == 1
    later(2100)
    repair(config, bucket, ring)
    assert len(bells) == 2


def test_pages_follow_each_other_without_gap(owner: uuid.UUID) -> None:
    """Keyset paging shows every job once, newest first, also when new ones arrive between two pages."""
    job_ids = [submit(owner)[0] for _ in range(5)]
    with session() as opened:
        first, cursor = search.page(opened, owner, limit=2)
    submit(owner)
    with session() as opened:
        second, cursor = search.page(opened, owner, limit=2, before=cursor)
        third, end = search.page(opened, owner, limit=2, before=cursor)
    assert [job.id for job in (*first, *second, *third)] == job_ids[::-1]
    assert end is None


# ---- shards


def test_merge_waits_for_all_shards(owner: uuid.UUID) -> None:
    """convert makes a row per shard, each is rung, and merge gets their answers in order when the last is in."""
    job_id, _ = submit(owner, diarization=True)
    rings = complete(held(job_id, "convert"), shards=3).rings  # two at a time, while no worker is known to live
    assert sorted((bell.stage, bell.shard) for bell in rings) == [("diarize", 0), ("transcribe", 0), ("transcribe", 1)]
    complete(held(job_id, "diarize"))
    for shard in (0, 2):
        assert "merge" not in {bell.stage for bell in complete(held(job_id, "transcribe", shard)).rings}
    assert [bell.stage for bell in complete(held(job_id, "transcribe", 1)).rings] == ["merge"]
    merging = held(job_id, "merge")
    assert [(claim_input.stage, claim_input.shard) for claim_input in merging.inputs] == [
        ("diarize", 0),
        *(("transcribe", n) for n in range(3)),
    ]
    assert len({claim_input.key for claim_input in merging.inputs}) == 4
    finish(job_id, complete(merging))
    assert state(job_id) == JobState.DONE


def test_a_recording_is_recognised_from_its_beginning(owner: uuid.UUID) -> None:
    """Where a window takes two of three shards they are the first two, wherever PostgreSQL keeps the rows."""
    job_id, _ = submit(owner)
    held(job_id, "convert")
    whole = Stage.job_id == job_id
    with session() as opened:
        for way in ("indexscan", "bitmapscan"):  # rows are read as they lie
            opened.execute(text(f"SET LOCAL enable_{way} = off"))
        job = jobs.lock(opened, job_id)
        assert job is not None
        shards.fan_out(opened, job, [Shard(10.0 * n, 10.0 * n + 10, 10.0 * n, 10.0 * n + 10) for n in range(3)])
        first = whole & (Stage.name == "transcribe") & (Stage.shard == 0)
        opened.execute(update(Stage).where(first).values(progress=0.0))  # its row lies behind the others now
        opened.execute(update(Stage).where(whole, Stage.name == "convert").values(state=StageState.DONE))
        rings = jobs.advance(opened, job, "convert")
    assert [bell.shard for bell in rings] == [0, 1]


def test_a_lost_shard_is_one_shard_again(owner: uuid.UUID) -> None:
    """When the lease of one shard runs out, only that one is rung; the others keep their first attempt."""
    job_id, _ = submit(owner)
    complete(held(job_id, "convert"), shards=3)
    complete(held(job_id, "transcribe", 0))
    stale = held(job_id, "transcribe", 1)
    assert [(bell.stage, bell.shard) for bell in expire(job_id).rings] == [("transcribe", 1)]
    with pytest.raises(LeaseLost):
        complete(stale)
    for shard in (1, 2):
        complete(held(job_id, "transcribe", shard))
    assert [stage_row(job_id, "transcribe", shard).attempt for shard in range(3)] == [1, 2, 1]
    assert stage_row(job_id, "merge").state == StageState.QUEUED


def test_a_shard_that_cannot_be_recognised_ends_the_job(owner: uuid.UUID) -> None:
    """The waiting shards are dropped, the worker of a running one is told to stop, and nothing of the job runs on."""
    job_id, _ = submit(owner)
    complete(held(job_id, "convert"), shards=3)
    doomed, running = held(job_id, "transcribe", 0), held(job_id, "transcribe", 2)
    fail(doomed, NoAudio("no"))
    with session() as opened:
        assert leases.heartbeat(opened, running, progress=0.5, lease_s=30) == "cancelled"
    give_back(running)
    assert (state(job_id), claim(job_id, "transcribe", 1)) == (JobState.ERROR, None)
    assert [stage_row(job_id, "transcribe", n).state for n in range(3)] == ["dead", "cancelled", "cancelled"]


def test_cancelling_takes_every_shard_along(owner: uuid.UUID) -> None:
    """Cancelled once the last worker has let go of its shard."""
    job_id, _ = submit(owner)
    complete(held(job_id, "convert"), shards=3)
    both = [held(job_id, "transcribe", shard) for shard in (0, 1)]
    with session() as opened:
        assert jobs.cancel(opened, owner, job_id).state == JobState.CANCELLING
    give_back(both[0])
    assert state(job_id) == JobState.CANCELLING
    complete(both[1])
    assert state(job_id) == JobState.CANCELLED


def test_a_conversion_that_ends_after_the_cancel_makes_no_shards(owner: uuid.UUID) -> None:
    """The one row is cancelled already and stays the only one."""
    job_id, _ = submit(owner)
    lease = held(job_id, "convert")
    with session() as opened:
        jobs.cancel(opened, owner, job_id)
    assert complete(lease, shards=3).rings == ()
    with session() as opened:
        view = job_views.get(opened, owner, job_id)
    assert ([row.state for row in view.stages if row.name == "transcribe"], view.job.state) == (
        ["cancelled"],
        "cancelled",
    )


def test_shards_that_are_known_are_not_recognised_again(owner: uuid.UUID) -> None:
    """A task that is submitted again after a failure has one shard to do, in the language of the others."""
    content = uuid.uuid4().hex
    job_id, _ = submit(owner, content)
    complete(held(job_id, "convert"), shards=3)
    for shard in (0, 2):
        complete(held(job_id, "transcribe", shard))
    fail(held(job_id, "transcribe", 1), NoAudio("no"))
    again, outcome = submit(owner, content)
    assert [(bell.stage, bell.shard) for bell in outcome.rings] == [("transcribe", 1)]
    lease = held(again, "transcribe", 1)
    with session() as opened:
        assert agree_on_language(opened, lease) == ("en", 1.0)
    finish(again, complete(lease))
    third, outcome = submit(owner, content)
    assert (state(third), outcome.rings) == (JobState.DONE, ())
    _, outcome = submit(owner, content, model="tiny")
    assert [(bell.stage, bell.shard) for bell in outcome.rings] == [("transcribe", 0), ("transcribe", 1)]


def test_the_first_language_that_is_found_is_that_of_all_shards(owner: uuid.UUID) -> None:
    """Two workers that find different ones end up with the same; a worker without its lease has no say."""
    job_id, _ = submit(owner)
    complete(held(job_id, "convert"), shards=2)
    one, other = held(job_id, "transcribe", 0), held(job_id, "transcribe", 1)
    with session() as opened:
        assert agree_on_language(opened, one) is None
    with session() as opened:
        assert agree_on_language(opened, one, ("de", 0.7)) == ("de", 0.7)
    for language in (None, ("nl", 0.6)):
        with session() as opened:
            assert agree_on_language(opened, other, language) == ("de", 0.7)
    expire(job_id)
    with session() as opened, pytest.raises(LeaseLost):
        agree_on_language(opened, one)


def test_progress_and_forecast_count_shards_by_their_share(owner: uuid.UUID) -> None:
    """Making shards moves nothing; each done one adds its part; what is left is shared by those that run at once."""
    ended_job, outcome = submit(owner)
    finish(ended_job, outcome)
    with session() as opened:  # 10 s of audio took a worker 5 s
        opened.execute(
            update(Stage)
            .where(Stage.job_id == ended_job, Stage.name == "transcribe")
            .values(audio_seconds=10.0, finished_at=Stage.started_at + text("interval '5 s'"))
        )
    job_id, _ = submit(owner)
    with session() as opened:
        before = job_views.get(opened, owner, job_id).progress
    complete(held(job_id, "convert"), shards=4)
    with session() as opened:
        queued = job_views.get(opened, owner, job_id)
    both = [held(job_id, "transcribe", shard) for shard in (1, 3)]
    complete(both[0])
    for held_now in (both[1], held(job_id, "transcribe", 0)):
        with session() as opened:
            leases.heartbeat(opened, held_now, progress=0.5, lease_s=30)
    with session() as opened:
        view = job_views.get(opened, owner, job_id)
    assert before <= queued.progress < view.progress
    assert queued.stage_detail == "transcribe queued"
    assert view.stage_detail == "transcribe 50 % (1 of 4 parts)"
    assert (queued.eta_seconds, view.eta_seconds) == (20, 5)


# ---- any order at all


@dataclass
class Seen:
    """The last state of a row that a reader saw."""

    job: str
    stages: dict[tuple[str, int], str]
    progress: int


class Life(RuleBasedStateMachine):
    """One job, workers that come and go, an owner who cancels, leases that run out."""

    owner: uuid.UUID

    @initialize(diarization=st.booleans(), shards=st.sampled_from([0, 2, 3]))
    def begin(self, diarization: bool, shards: int) -> None:
        self.job_id, outcome = submit(self.owner, diarization=diarization)
        self.shards = shards
        self.bells = list(outcome.rings)
        self.held: list[Claim] = []
        self.last_view: Seen | None = None
        self.done_by: list[Claim] = []

    @rule(stage=st.sampled_from([name for name in STAGES if name != "download"]), data=st.data())
    def a_doorbell_rings(self, stage: str, data: st.DataObject) -> None:
        shard = data.draw(st.integers(0, max(self.shards - 1, 0))) if stage == "transcribe" else 0
        if lease := claim(self.job_id, stage, shard):
            self.held.append(lease)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def a_worker_hands_in(self, data: st.DataObject) -> None:
        self._try(data, self.hand_in, lambda lease: self.done_by.append(lease))

    def hand_in(self, lease: Claim) -> Outcome:
        return complete(lease, self.shards)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def a_worker_goes_on(self, data: st.DataObject) -> None:
        def hand_in(lease: Claim) -> None:
            outcome = complete(lease, self.shards, CLAIMANT)
            self.held += [outcome.claim] if outcome.claim else []

        self._try(data, hand_in, lambda lease: self.done_by.append(lease))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), error=st.sampled_from([NoAudio("a"), DiarizationError("b"), StorageUnavailable("c")]))
    def a_worker_fails(self, data: st.DataObject, error: ParleyError) -> None:
        self._try(data, lambda lease: fail(lease, error))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def a_worker_gives_back(self, data: st.DataObject) -> None:
        self._try(data, give_back)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), progress=st.floats(0, 1))
    def a_worker_beats(self, data: st.DataObject, progress: float) -> None:
        lease = data.draw(st.sampled_from(self.held))
        with session() as opened:
            leases.heartbeat(opened, lease, progress=progress, lease_s=30)

    @rule()
    def leases_run_out(self) -> None:
        expire(self.job_id)

    @rule()
    def the_owner_cancels(self) -> None:
        try:
            with session() as opened:
                jobs.cancel(opened, self.owner, self.job_id)
        except WrongState:
            assert state(self.job_id) in TERMINAL

    def _try(
        self, data: st.DataObject, act: Callable[[Claim], Any], then: Callable[[Claim], None] | None = None
    ) -> None:
        """Only what hands an answer in has something to do `then`, and may be repeated."""
        lease = data.draw(st.sampled_from(self.held))
        row = stage_row(self.job_id, lease.stage, lease.shard)
        valid = row.state == StageState.RUNNING and row.fence == lease.fence
        repeated = lease in self.done_by
        try:
            act(lease)
        except LeaseLost:
            assert not valid
        else:
            assert valid or (repeated and then is not None)
            if then:
                then(lease)

    @invariant()
    def nothing_goes_back(self) -> None:
        if not hasattr(self, "job_id"):
            return
        with session() as opened:
            view = job_views.get(opened, self.owner, self.job_id)
        now = Seen(view.job.state, {(row.name, row.shard): row.state for row in view.stages}, view.progress)
        if self.last_view:
            assert now.progress >= self.last_view.progress
            assert reachable(JOB_MOVES, self.last_view.job, now.job)
            for name, before in self.last_view.stages.items():
                assert reachable(STAGE_MOVES, before, now.stages[name])
        self.last_view = now
        running = [row for row in view.stages if row.state == StageState.RUNNING]
        assert all(row.attempt <= ATTEMPTS for row in view.stages)
        assert not (view.job.state == JobState.CANCELLED and running)
        if view.job.state == JobState.DONE:
            assert now.stages["store", 0] == StageState.DONE
            parts = [state for (name, _), state in now.stages.items() if name == "transcribe"]
            assert parts == [StageState.DONE] * max(self.shards, 1)
        if view.job.state == JobState.PROCESSING:
            # never stuck: somebody runs a stage, or somebody may
            assert running or any(row.state == StageState.QUEUED for row in view.stages)

    @invariant()
    def the_ledger_is_exact(self) -> None:
        with session() as opened:
            assert_exact(opened)

    def teardown(self) -> None:
        """Whatever happened: workers that do their work bring the job to an end."""
        if not hasattr(self, "job_id"):
            return
        for _ in range(50):
            if state(self.job_id) in TERMINAL:
                break
            expire(self.job_id)
            for stage in STAGES:
                for shard in range(max(self.shards, 1)):
                    if lease := claim(self.job_id, stage, shard):
                        self.hand_in(lease)
        assert state(self.job_id) in TERMINAL


def reachable(moves: Any, before: str, after: str) -> bool:
    """Whether some moves lead from one state to the other; a reader may have missed those between."""
    states, todo = {before}, [before]
    while todo:
        for state in moves[type(next(iter(moves)))(todo.pop())]:
            if state not in states:
                states.add(state)
                todo.append(state)
    return after in states


def test_any_order_of_events_keeps_the_rules(owner: uuid.UUID) -> None:
    """States only move along their table, progress never falls, stale writes are refused, every job can end."""

    class Here(Life):
        pass

    Here.owner = owner
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
