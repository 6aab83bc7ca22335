"""The command; see __init__.py."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from functools import partial
from pathlib import Path

from scripts.bench.live_kills.harness import Outcome, figures, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.live_kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="so many kills (default 100)")
    parser.add_argument("--minutes", type=float, default=240, help="but for no longer than this (default 240)")
    parser.add_argument("--speakers", type=int, default=3, help="sessions at any time (default 3)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="decides who is killed when")  # noqa: S311
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parley-live-") as home:
        outcome = run(
            Path(home),
            kills=options.kills,
            minutes=options.minutes,
            speakers=options.speakers,
            seed=options.seed,
            report=partial(print, flush=True),
        )
    print(summary(outcome), f"seed {options.seed}", sep="\n")
    return 1 if outcome.faults else 0


def summary(outcome: Outcome) -> str:
    """What was done to whom, and what is wrong."""
    kills = ", ".join(f"{count} {name}" for name, count in sorted(outcome.kills.items()))
    late = sum(session.late > 0 for session in outcome.sessions)
    finals = sum(len(session.finals) for session in outcome.sessions)
    return "\n".join(
        (
            f"{outcome.kills.total()} kills in {outcome.seconds:.0f} s: {kills}; {outcome.cuts} lines cut",
            f"{len(outcome.sessions)} sessions, {finals} finals, {late} whose last words came late",
            f"sessions without a listener: {figures(outcome.unheard_s)}",
            f"clients without a line: {figures(outcome.away_s)}",
            f"{len(outcome.faults)} faults",
            *outcome.faults,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
