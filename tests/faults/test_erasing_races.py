"""A job is deleted at the very moment at which another begins to live on its answers."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable

from sqlalchemy import select
from uuid_utils.compat import uuid7

from shared.claims import Answer, Claim
from shared.db import session
from shared.kernel import erasure, leases
from shared.kernel.orders import JobOrder, Source
from shared.kernel.submission import new_jobs
from shared.models import Artifact, Stage
from shared.options import JobOptions
from shared.storage import stage_key, upload_key

RACES = 30


def submit(owner: uuid.UUID, sha256: str) -> uuid.UUID:
    """A job over the recording `sha256`."""
    job_id = uuid7()
    with session() as opened:
        source = Source(upload_key(owner, job_id), sha256, 1, None)
        new_jobs.submit(opened, JobOrder(job_id=job_id, owner_id=owner, source=source, options=JobOptions()))
    return job_id


def claim(job_id: uuid.UUID) -> Claim | None:
    """The right to convert."""
    with session() as opened:
        return leases.claim(opened, job_id, "convert", 0, worker="w", device="", lease_s=30)


def complete(held: Claim) -> None:
    """Hand in the known answer, or one of its own."""
    own = Answer(stage_key(held.owner_id, held.job_id, "convert", 0, held.fence, ".wav"), 1, {"duration": 1.0})
    with session() as opened:
        leases.complete(opened, held, held.known_answer or own)


def erase(owner: uuid.UUID, job_id: uuid.UUID) -> list[str]:
    """The keys that the erasure will remove from storage."""
    with session() as opened:
        return list(erasure.erase(opened, owner, job_id).keys)


def at_once(*works: Callable[[], None]) -> None:
    """Run all of them on threads that start together; the first error is raised."""
    barrier, errors = threading.Barrier(len(works)), list[BaseException]()

    def run(work: Callable[[], None]) -> None:
        barrier.wait(timeout=10)
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    if errors:
        raise errors[0]


def again_and_again(race: Callable[[str], None]) -> None:
    """Each time over a recording of its own."""
    for _ in range(RACES):
        race(uuid.uuid4().hex)


def keys_used_by(job_id: uuid.UUID) -> set[str]:
    """Objects that the stages of a job refer to."""
    with session() as opened:
        rows = select(Artifact.key).join(Stage, Stage.artifact_id == Artifact.id).where(Stage.job_id == job_id)
        return set(opened.scalars(rows))


def test_claiming_a_known_answer_while_its_job_is_erased(owner: uuid.UUID) -> None:
    """Either the answer is kept for the claim or the claim does not know of it; never is it known and gone."""

    def race(sha256: str) -> None:
        first, second = submit(owner, sha256), submit(owner, sha256)
        earlier = claim(first)
        assert earlier is not None
        complete(earlier)
        claims: list[Claim | None] = []
        erased: list[str] = []
        at_once(lambda: claims.append(claim(second)), lambda: erased.extend(erase(owner, first)))
        (held,) = claims
        assert held is not None
        complete(held)
        assert keys_used_by(second).isdisjoint(erased)
        assert len(keys_used_by(second)) == 2

    again_and_again(race)


def test_handing_in_the_same_answer_while_the_first_is_erased(owner: uuid.UUID) -> None:
    """The second of two equal answers is published when the first one goes, and dropped when it stays."""

    def race(sha256: str) -> None:
        first, second = submit(owner, sha256), submit(owner, sha256)
        one, other = claim(first), claim(second)
        assert one is not None
        assert other is not None
        complete(one)
        erased: list[str] = []
        at_once(lambda: complete(other), lambda: erased.extend(erase(owner, first)))
        assert keys_used_by(second).isdisjoint(erased)
        assert len(keys_used_by(second)) == 2

    again_and_again(race)


def test_submitting_the_same_recording_while_it_is_erased(owner: uuid.UUID) -> None:
    """The new job keeps the upload or brings its own."""

    def race(sha256: str) -> None:
        first = submit(owner, sha256)
        submitted: list[uuid.UUID] = []
        erased: list[str] = []
        at_once(lambda: submitted.append(submit(owner, sha256)), lambda: erased.extend(erase(owner, first)))
        (second,) = submitted
        assert len(keys_used_by(second)) == 1
        assert keys_used_by(second).isdisjoint(erased)

    again_and_again(race)
