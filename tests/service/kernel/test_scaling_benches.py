"""The benches of scale at tiny size, and the backlog that they make."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from sqlalchemy import select
from uuid_utils.compat import uuid7

from scripts.bench.kernel.backlog import fill
from scripts.bench.kernel.looks import NAMES
from scripts.bench.ratios import Goal
from scripts.bench.scaling import Run, amdahl, report, side, unique
from scripts.bench.soak.truth import bare_environment
from scripts.local.apps import ROOT
from shared.claims import Answer
from shared.db import engine, session
from shared.kernel import leases, ring_window
from shared.kernel.orders import JobOrder, Source
from shared.kernel.submission import new_jobs
from shared.models import Artifact, Job, Stage
from shared.options import JobOptions
from shared.stages import STAGES, plan
from shared.states import JobState

SUMMARY = {
    "language": "en",
    "language_probability": 1.0,
    "duration": 60.0,
    "model": "m",
    "speakers": 1,
    "full_text": "a",
}


def run(line: str, *, status: int = 0) -> str:
    """The output of a bench that ends with this status."""
    environ = bare_environment() | {"MODEL_DIR": os.environ["MODEL_DIR"]}
    command = (sys.executable, "-m", *line.split())
    process = subprocess.run(
        command, cwd=ROOT, env=environ, timeout=300, check=False, stdout=subprocess.PIPE, text=True
    )
    assert process.returncode == status, process.stdout
    return process.stdout


def stages_of(job_id: uuid.UUID) -> set[tuple[object, ...]]:
    """What decides who works on what, of each stage."""
    with session() as opened:
        rows = opened.scalars(select(Stage).where(Stage.job_id == job_id)).all()
    return {(row.name, row.shard, row.state, row.queue, row.priority, row.progress, row.attempt) for row in rows}


def submitted(owner: uuid.UUID) -> uuid.UUID:
    """A task whose audio is known."""
    options, sha256, job_id = JobOptions(diarization=False), uuid.uuid4().hex, uuid7()
    hashes = plan(sha256, options.model_dump())
    with session() as opened:
        meta = {"duration": 60}
        answer = {"owner_id": owner, "key": uuid.uuid4().hex, "bytes": 1}
        opened.add(Artifact(stage="convert", hash=hashes["convert"], meta=meta, **answer))
        opened.flush()
        source = Source(f"{owner}/{job_id}/upload", sha256, 10, "call.wav")
        new_jobs.submit(opened, JobOrder(job_id=job_id, owner_id=owner, source=source, options=options))
    return job_id


def test_a_filled_task_is_as_a_submitted_one_and_can_be_done(owner: uuid.UUID) -> None:
    """Its stages stand as after a submission, and workers bring it to its end by the usual functions."""
    with engine().connect() as connection:
        fill(connection, [owner], 0, 3)
    engine().dispose()  # its connections look at no foreign keys
    with session() as opened:
        filled = list(opened.scalars(select(Job.id).where(Job.owner_id == owner).order_by(Job.id)))
    assert len(filled) == 3
    with session() as opened:
        rings = [bell for bell in ring_window.refill(opened) if bell.job_id == filled[0]]
    assert stages_of(filled[0]) == stages_of(submitted(owner))
    while rings:
        bell = rings.pop()
        with session() as opened:
            claim = leases.claim(opened, bell.job_id, bell.stage, bell.shard, worker="w", device="cpu", lease_s=30)
            assert claim is not None
            assert {claim_input.stage for claim_input in claim.inputs} == set(STAGES[bell.stage].needs) - {"diarize"}
            outcome = leases.complete(opened, claim, Answer(uuid.uuid4().hex, 1, SUMMARY, 60.0))
        rings += [following for following in outcome.rings if following.job_id == filled[0]]
    with session() as opened:
        assert opened.get_one(Job, filled[0]).state == JobState.DONE


def test_claims_are_timed_and_a_fleet_works() -> None:
    """Every act is told with its slowest statement; a fleet claims and completes, and loses no lease."""
    output = run(
        "scripts.bench.kernel.claims --rows 300 --keys 3 --times 3 --workers 6 --work 0.5 --seconds 2 --settle 3"
        " --processes 2 --sweeping 2 --idle 5"
    )
    print(output)
    lines = output.splitlines()
    for act in ("claim", "heartbeat", "complete", "submit", "room in the queue", "windows", "sweep", "metrics"):
        assert any(line.startswith(act) and " rows, " in line for line in lines), act
    assert "5 idle connections" in output
    fleet = lines[-1].split()
    assert float(fleet[4]) > 3  # claims per second: 6 workers, half a second, three stages
    assert "lost" not in lines[-1] and "did not answer" not in lines[-1]


def test_looks_at_two_queues_are_compared() -> None:
    """Each look has a row of its pairs, and one of their medians."""
    output = run("scripts.bench.kernel.looks --rows 30,300 --keys 3 --pairs 3")
    print(output)
    for look in NAMES:
        assert re.search(rf"^{re.escape(look)}  .* 3 pairs .* ms$", output, re.M), look
        assert re.search(rf"^{re.escape(look)}, of the medians .* goal <= 1.5", output, re.M), look


def test_a_run_tells_how_long_workers_held_recognition(tmp_path: Path) -> None:
    """With a sleeping engine, one worker that slept for each of three recordings, one after another."""
    asleep = {"ENGINE": "sleeper", "SLEEPER_SECONDS": "0.3", "SHARD_TARGET_S": "0"}
    with side(tmp_path / "stack", 1, asleep) as one:
        one.warm_up(tmp_path)
        measurement = one.run(unique(tmp_path, 1, 3))
    assert len(set(measurement.texts)) == 3
    assert 3 * 0.3 <= measurement.held_s <= measurement.wall_s


def test_a_row_has_the_ratio_amdahl_and_the_words(capsys: pytest.CaptureFixture[str]) -> None:
    """A pair whose words differ in one of four, with a ratio of 1.6 where 1.8 is the bound."""
    pairs = [(Run(10.0, 80 / 9, ("a b", "c d")), Run(6.25, 10.0, ("a b", "c e")))]
    assert not report("queue", pairs, Goal(1.85, is_floor=True))
    output = capsys.readouterr().out
    assert "1.60 (1.60-1.60)" in output and "Amdahl 1.80" in output and output.rstrip().endswith("MISSED")
    assert "words apart 25.0%" in output
    assert report("queue", pairs, Goal(1.5, is_floor=True))


@pytest.mark.parametrize(("held_s", "bound"), [(10.0, 2.0), (5.0, 4 / 3), (0.0, 1.0), (12.0, 2.0)])
def test_amdahl_is_bounded_by_what_one_worker_did_beside_recognition(held_s: float, bound: float) -> None:
    """The bound for two workers follows from the share of the time in which the one was busy."""
    assert amdahl(Run(wall_s=10.0, held_s=held_s, texts=())) == pytest.approx(bound)
