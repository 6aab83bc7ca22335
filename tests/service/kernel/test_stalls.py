"""A stage without progress is stopped; one that begins anew, because memory ran out, makes progress."""

from __future__ import annotations

import time
import uuid

import pytest
from uuid_utils.compat import uuid7

from shared.config import Settings
from shared.db import session
from shared.errors import Interrupted
from shared.kernel import leases
from shared.kernel.orders import JobOrder, Source
from shared.kernel.submission import new_jobs
from shared.models import Stage
from shared.options import JobOptions

STALL_TIMEOUT_S = 2.0
"""Much longer than the wait between two reports below, on any machine."""


def test_what_begins_anew_is_no_stall(environment: Settings, owner: uuid.UUID) -> None:
    """Work that was half done and begins again goes on beyond the time for stalls, and what is shown stays at a half;
    without progress it is told to stop."""
    from tasks.lease import KeptLease  # imports the Celery app, which looks at the settings at once

    config = environment.model_copy(
        # what ignores the stop for `grace_s` is killed with its process, which here is the test's own
        update={"stall_timeout_s": STALL_TIMEOUT_S, "heartbeat_s": 0.2, "grace_s": 60}
    )
    job_id = uuid7()
    with session() as opened:
        source = Source(f"{owner}/{job_id}/upload", uuid.uuid4().hex, 10, "call.wav")
        new_jobs.submit(opened, JobOrder(job_id=job_id, owner_id=owner, source=source, options=JobOptions()))
        claim = leases.claim(opened, job_id, "convert", 0, worker="w", device="cpu", lease_s=config.lease_s)
    assert claim is not None

    with KeptLease(claim, config, clean_up=lambda: None) as lease:
        lease.progress(0.5)
        again_at = time.monotonic()
        while (passed_s := time.monotonic() - again_at) < 1.5 * STALL_TIMEOUT_S:
            lease.progress(0.1 * passed_s)
            time.sleep(0.05)
        with session() as opened:
            assert opened.get_one(Stage, (job_id, "convert", 0)).progress == 0.5

        with pytest.raises(Interrupted, match="stalled"):
            while time.monotonic() - again_at < 30:
                lease.progress(0.4)
                time.sleep(0.05)
