"""The command; see __init__.py."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from functools import partial
from pathlib import Path

from scripts.bench.soak.harness import Outcome, run
from scripts.bench.soak.history import table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.soak", description=__doc__)
    parser.add_argument("--jobs", type=int, default=5000, help="at least so many jobs (default 5000)")
    parser.add_argument("--kills", type=int, default=2000, help="at least so many kills (default 2000)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="decides who is killed when")  # noqa: S311
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parley-soak-") as home:
        outcome = run(
            Path(home), jobs=options.jobs, kills=options.kills, seed=options.seed, report=partial(print, flush=True)
        )
    print(summary(outcome), f"seed {options.seed}", sep="\n")
    return 0 if outcome.is_clean else 1


def summary(outcome: Outcome) -> str:
    """What was done to whom, and the table of invariants."""
    kills = ", ".join(f"{count} {name}" for name, count in outcome.kills.most_common())
    return "\n".join(
        (
            f"{outcome.tasks} jobs acknowledged, {outcome.refused} requests cut off, {outcome.seconds:.0f} s",
            f"{outcome.kills.total()} kills: {kills}",
            f"{len(outcome.lost)} lost",
            table(outcome.checks),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
