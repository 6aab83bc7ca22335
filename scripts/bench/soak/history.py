"""The invariants, checked over what callers were told and what the database and the bucket hold afterwards."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from scripts.bench.soak.caller import Task
from scripts.bench.soak.truth import Truth
from shared.models import Job, Stage
from shared.options import JobOptions
from shared.stages import FINAL, plan
from shared.states import JOB_MOVES, TERMINAL, JobState, StageState

QUIET_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant: how many things it was tried on, and those that break it."""

    name: str
    tried: int
    broken: tuple[str, ...]


def check(tasks: Sequence[Task], truth: Truth) -> tuple[Check, ...]:
    """All invariants, once nothing runs any more. Every object must belong to an answer or be about to be removed."""
    wait_until_quiet(truth)
    survivors = [task for task in tasks if not task.is_deleted]
    jobs, stages = truth.jobs(), truth.stages()
    # before the objects: a sweep may remove what is listed there, and settle its erasure, before that is read
    to_be_removed = tuple(row.prefix for row in truth.erasures() if not row.settled)
    artifacts, objects = truth.artifacts(), set(truth.storage.list(""))
    answers, transcripts = {row.key for row in artifacts}, [row.key for row in artifacts if row.stage == FINAL]
    present = [(task, jobs[task.id]) for task in survivors if task.id in jobs]
    successes = [(task, job) for task, job in present if job.state == JobState.DONE]
    polls = sum(len(task.statuses) for task in tasks)
    missing = [str(task.id) for task in survivors if task.id not in jobs]
    doubled = [str(job.id) for _, job in successes if not _has_one_transcript(job, transcripts)]
    left_over = [key for key in sorted(objects - answers) if not key.startswith(to_be_removed)]
    return (
        Check("acknowledged and there", len(survivors), tuple(missing)),
        Check("ended", len(present), tuple(filter(None, (_unended(job, stages) for _, job in present)))),
        Check("one transcript in storage", len(successes), tuple(doubled)),
        Check(
            "its own text, always the same",
            len(successes),
            tuple(filter(None, (_foreign(*pair) for pair in successes))),
        ),
        Check("status never went back", polls, tuple(back for task in tasks for back in _went_back(task))),
        Check("every answer has its object", len(answers), tuple(sorted(answers - objects))),
        Check("every object has its answer", len(objects), tuple(left_over)),
    )


def table(checks: Sequence[Check]) -> str:
    """The checks as lines of text, with the first things that break each."""
    lines = [f"{'invariant':<32}{'tried':>8}{'broken':>8}"]
    for result in checks:
        lines.append(f"{result.name:<32}{result.tried:>8}{len(result.broken):>8}")
        lines += [f"    {broken}" for broken in result.broken[:10]]
    return "\n".join(lines)


def wait_until_quiet(truth: Truth) -> None:
    """Return when no stage of any job can run or is running any more, or after a while; the check then says which."""
    deadline = time.monotonic() + QUIET_TIMEOUT_S
    live = (StageState.WAITING, StageState.QUEUED, StageState.RUNNING)
    while any(row.state in live for row in truth.stages()) and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(1)  # a worker that was overtaken removes its object after it has been told so


def _unended(job: Job, stages: Sequence[Stage]) -> str:
    live = [row.name for row in stages if row.job_id == job.id and row.state in ("waiting", "queued", "running")]
    if job.state in TERMINAL and not live:
        return ""
    return f"{job.id} is {job.state}, its stages {', '.join(live) or 'settled'}"


def _has_one_transcript(job: Job, transcripts: Sequence[str]) -> bool:
    """The object of one answer, or none for a job that was answered by another's."""
    return sum(f"/{job.id}/" in key for key in transcripts) == (0 if job.cached else 1)


def _foreign(task: Task, job: Job) -> str:
    """What is wrong with the text. The sleeper says a word that follows from the recording and the options."""
    options = JobOptions.from_row(job.options)
    expected = plan(task.sha256, options.model_dump())["transcribe"][:12]
    texts = {job.full_text, *task.texts}
    return "" if texts == {expected} else f"{job.id} says {sorted(map(str, texts))}, not {expected}"


def _went_back(task: Task) -> list[str]:
    regressions = []
    for (old_state, old_share), (new_state, new_share) in pairwise(task.statuses):
        if new_share < old_share or not _reachable(JobState(old_state), JobState(new_state)):
            regressions.append(f"{task.id}: {old_state} {old_share} % -> {new_state} {new_share} %")
    return regressions


def _reachable(old: JobState, new: JobState) -> bool:
    return old == new or any(_reachable(step, new) for step in JOB_MOVES[old])
