"""What workers that recognise the shards of one recording have to agree on, although none of them hears all of it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from shared.claims import Claim
from shared.errors import LeaseLost
from shared.kernel.jobs import lock
from shared.kernel.leases import holds
from shared.kernel.shards import note_language


def agree_on_language(
    session: Session, claim: Claim, detection: tuple[str, float] | None = None
) -> tuple[str, float] | None:
    """The language in which all shards of the recording are recognised, and its probability; None while it is open.

    The first worker with a `detection` decides for all. Raises LeaseLost when the claim is stale.
    """
    job = lock(session, claim.job_id)
    if job is None or not holds(session, claim):
        raise LeaseLost
    if detection:
        note_language(job, {"language": detection[0], "language_probability": detection[1]})
    return None if job.language is None else (job.language, job.language_probability or 0.0)
