"""A stage of the tests' own, between merge and store: nobody may read a word that was said.

`python -m tests.service.kernel.redaction MODULE ARGUMENTS...` runs a program of Parley that knows this stage.
"""

from __future__ import annotations

import runpy
import sys
from dataclasses import replace

from shared.stages import STAGES, StageRecord

STAGES["redact"] = StageRecord(needs=("merge",), queue="cpu", weight=1, writes_words=True)
STAGES["store"] = replace(STAGES.pop("store"), needs=("merge", "redact"))

from shared.transcript import Transcript, to_json  # noqa: E402 - the app below looks at the stages
from tasks.stage import Output, Work, stage  # noqa: E402

REDACTED = "[redacted]"


@stage("redact")
def redact(work: Work) -> Output:
    """Transcript -> the same one with other words."""
    transcript = work.load(Transcript, work.input("merge"))
    segments = tuple(replace(segment, text=REDACTED, words=()) for segment in transcript.segments)
    return Output(to_json(replace(transcript, segments=segments)), ".json")


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
