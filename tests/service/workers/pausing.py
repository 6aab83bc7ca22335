"""A short stage of the tests' own, between merge and store, that takes as long as a file is there.

`python -m tests.service.workers.pausing MODULE ARGUMENTS...` runs a program of Parley that knows this stage.
"""

from __future__ import annotations

import os
import runpy
import sys
import time
from dataclasses import replace
from pathlib import Path

from shared.stages import STAGES, StageRecord

STAGES["pause"] = StageRecord(needs=("merge",), queue="cpu", weight=1, is_short=True)
STAGES["store"] = replace(STAGES.pop("store"), needs=("pause",))

from tasks.stage import Output, Work, stage  # noqa: E402 - the app below looks at the stages

HOLD = "PAUSE_WHILE"
"""Names the file."""


@stage("pause")
def pause(work: Work) -> Output:
    """Transcript -> the same one, later."""
    while Path(os.environ[HOLD]).exists():
        work.progress(0.5)
        time.sleep(0.05)
    return Output(work.content(work.input("merge")), ".json")


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
