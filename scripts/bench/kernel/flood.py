"""`python -m scripts.bench.kernel.flood`: put many tasks of one API key into the queue, and ring for them.

For tests and benches of a full queue. The tasks ask for another transcript each of a recording that the key has sent
before, so their audio is known and what waits is speech recognition.
"""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Sequence

from sqlalchemy import select
from uuid_utils.compat import uuid7

from shared.db import session
from shared.kernel.orders import JobOrder, Source
from shared.kernel.submission import new_jobs
from shared.models import Artifact, Job
from shared.options import PRIORITIES, JobOptions, Priority, priority_name
from shared.rings import Ring
from tasks.app import ring

BATCH = 250
"""Jobs per transaction."""


def flood(task_id: uuid.UUID, priorities: Sequence[Priority]) -> None:
    """A task like `task_id` with a prompt of its own for each of `priorities`."""
    with session() as work:
        model = work.get_one(Job, task_id)
        recording = work.scalars(
            select(Artifact).where(
                Artifact.owner_id == model.owner_id, Artifact.stage == "download", Artifact.hash == model.source_sha256
            )
        ).one()
    source = Source(recording.key, recording.hash, recording.bytes, model.filename)
    options = JobOptions.model_validate(model.options)
    for begin in range(0, len(priorities), BATCH):
        rings: list[Ring] = []
        with session() as work:
            for priority in priorities[begin : begin + BATCH]:
                job_id = uuid7()
                _, outcome = new_jobs.submit(
                    work,
                    JobOrder(
                        job_id=job_id,
                        owner_id=model.owner_id,
                        source=source,
                        options=options.model_copy(update={"prompt": str(job_id)}),
                        priority=priority,
                    ),
                )
                rings += outcome.rings
        ring(rings)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("known", type=uuid.UUID, help="a finished task of the key")
    arguments.add_argument(
        "counts", nargs="+", metavar="PRIORITY=COUNT", help="in this order, such as batch=9 normal=1"
    )
    options = arguments.parse_args()
    counts = [entry.partition("=") for entry in options.counts]
    flood(options.known, [priority_name(PRIORITIES[name]) for name, _, count in counts for _ in range(int(count))])


if __name__ == "__main__":
    main()
