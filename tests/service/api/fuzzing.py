"""`python -m tests.service.api.fuzzing --cases 5000`: schemathesis over our OpenAPI document, against real servers.

Requests are made from the document, right ones and wrong ones, alone and in sequences in which one uses what another
answered. Meanwhile the workers' part is done by a thread, so that tasks are met in every state.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from scripts.local.apps import ROOT
from scripts.local.stack import Stack
from shared import claims
from shared.callers import keys
from shared.config import settings
from shared.db import session
from shared.errors import ExtractionError, LeaseLost, NoAudio
from shared.kernel import leases
from shared.models import Stage
from shared.states import StageState
from shared.storage import Storage, storage
from tests.service.gateway import Caller, Gateway, gateway_on, hand_in

WAITS = {"MAX_WAIT_S": "0.2", "CONTRACT_WAIT_S": "0.2"}
"""Calls that wait for a transcript do so for a moment only."""

CONFIG = Path(__file__).with_name("schemathesis.toml")
ROUND_TIMEOUT_S = 1200
LEASE_S = 3600.0


@dataclass(frozen=True)
class Report:
    """What one round found: `failures` are kinds with their calls, `text` has each with its request."""

    cases: int
    operations: int
    seconds: float
    failures: tuple[str, ...]
    text: str


def fuzz(gateway: Gateway, caller: Caller, folder: Path, *, seed: int, examples: int, phases: str = "all") -> Report:
    """One round, with at most `examples` cases per operation and phase (the coverage phase has its own number)."""
    report, output = folder / f"{seed}.json", folder / f"{seed}.txt"
    with session() as work:
        first_key = keys.authenticate(work, gateway.stack.api_key)
    phase_options = ["--phases", phases] if phases != "all" else []
    with output.open("wb") as out, _workers(gateway.storage):
        subprocess.run(
            (
                sys.executable,
                "-m",
                "schemathesis.cli",
                "--config-file",
                str(CONFIG),
                "run",
                f"{gateway.url}/openapi.json",
                "--no-color",
                "--checks",
                "all",
                "--max-examples",
                str(examples),
                "--seed",
                str(seed),
                "--report",
                "json",
                "--report-json-path",
                str(report),
                *phase_options,
            ),
            env={**os.environ, "FUZZ_KEY": caller.key, "FUZZ_KEPT_KEYS": f"{caller.id} {first_key.id}"},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=ROUND_TIMEOUT_S,
            check=False,
        )
    if not report.exists():
        raise RuntimeError(f"schemathesis gave no report; it said\n{output.read_text()[-2000:]}")
    summary = json.loads(report.read_text())
    failures = [f"{failure['title']}: {', '.join(failure['operations'])}" for failure in summary["failures"]]
    return Report(
        cases=summary["test_cases"]["generated"],
        operations=summary["operations"]["tested"],
        seconds=summary["running_time"],
        failures=(*failures, *map(str, summary["errors"])),
        text=output.read_text(),
    )


def answers(gateway: Gateway) -> Counter[int]:
    """How often the gateway has answered with each status, by its own log."""
    lines = (json.loads(line) for line in gateway.log().splitlines() if '"event": "request"' in line)
    return Counter(line["status"] for line in lines)


# ---- the workers' part


@contextmanager
def _workers(bucket: Storage) -> Iterator[None]:
    over = threading.Event()
    thread = threading.Thread(target=_work, args=(bucket, over), name="workers")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _work(bucket: Storage, over: threading.Event) -> None:
    while not over.wait(0.05):
        with session() as work:
            queued = work.execute(
                select(Stage.job_id, Stage.name)
                .where(Stage.state == StageState.QUEUED)
                .order_by(Stage.job_id)
                .limit(50)
            ).all()
        for job_id, stage in queued:
            with session() as work:
                claim = leases.claim(work, job_id, stage, 0, worker="w", device="cpu", lease_s=LEASE_S)
            if claim is None:
                continue
            try:
                _end(claim, bucket)
            except LeaseLost:  # deleted or cancelled meanwhile
                continue


def _end(claim: claims.Claim, bucket: Storage) -> None:
    """Of four tasks two are done, one fails and one goes on for ever. Nothing is fetched from a URL."""
    fate = claim.job_id.int % 4
    error = ExtractionError("There is nothing to be fetched.") if claim.stage == "download" else NoAudio("No sound.")
    if claim.stage == "download" or fate == 0:
        with session() as work:
            leases.fail(work, claim, error, max_attempts=1)
    elif fate != 1:
        hand_in(claim, bucket)


# ---- on the command line


def main() -> None:
    """Rounds with one seed after another until there were enough cases. Exit status 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.service.api.fuzzing", description=__doc__)
    parser.add_argument("--cases", type=int, default=5000, help="how many at least")
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--examples", type=int, default=25, help="per operation and phase of a round")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="parley-fuzzing-"))
    with Stack(folder / "servers", apps=()) as servers:
        os.environ.update(servers.env)
        settings.cache_clear()
        with gateway_on(servers, folder / "gateway", storage(), **WAITS) as gateway:
            sys.exit(_rounds(gateway, folder, arguments.cases, arguments.seed, arguments.examples))


def _rounds(gateway: Gateway, folder: Path, cases: int, seed: int, examples: int) -> bool:
    caller = gateway.caller("transcribe", "admin")
    reports: list[Report] = []
    while sum(report.cases for report in reports) < cases:
        reports.append(fuzz(gateway, caller, folder, seed=seed + len(reports), examples=examples))
        print(f"seed {seed + len(reports) - 1}: {reports[-1].cases} cases in {reports[-1].seconds:.0f} s", flush=True)
        for failure in reports[-1].failures:
            print(f"  {failure}", flush=True)
    failures = sum(len(report.failures) for report in reports)
    print(f"{sum(report.cases for report in reports)} cases over {reports[-1].operations} calls, {failures} failures")
    print(f"answers by status: {dict(sorted(answers(gateway).items()))}; logs and reports in {folder}")
    return failures > 0


if __name__ == "__main__":
    main()
