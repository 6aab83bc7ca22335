"""`python -m tasks.weights asr|diarize`: wait until the weights that a worker of this queue offers are in MODEL_DIR.

For pods, which begin beside the job that fetches the weights: the worker itself ends when its models are missing. Each
line on stdout says what is missing; the exit status is 0, or 1 after an hour.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from shared.config import Settings, settings
from tasks.engines.folders import weight_files
from tasks.engines.loading import model_name

WAIT_S = 3600
POLL_S = 2
NEWS_EVERY_S = 30


def missing(queue: str, config: Settings) -> list[Path]:
    """Files below MODEL_DIR that the worker would not find. A model's folder appears as a whole, by a rename."""
    if queue == "diarize":
        files = [config.model_dir / "diarization" / "config.yaml"]
    else:
        offered = dict.fromkeys([model_name(config, "auto"), *config.allowed_models])
        files = [file for name in offered for file in weight_files(config, name)]
    return [file for file in files if not file.is_file()]


def wait(queue: str, config: Settings, wait_s: float = WAIT_S) -> bool:
    """Wait for whoever fetches the weights; False when that took longer than `wait_s` seconds."""
    start = time.monotonic()
    news_at = start
    while absent := missing(queue, config):
        if time.monotonic() - start > wait_s:
            return False
        if time.monotonic() >= news_at:
            more = f" and {len(absent) - 1} more files" if absent[1:] else ""
            print(f"waiting for the job models: {absent[0]}{more} missing", flush=True)
            news_at += NEWS_EVERY_S
        time.sleep(POLL_S)
    return True


def main(arguments: Sequence[str]) -> None:
    """Raises SystemExit with a line that says what is missing, or how it is called."""
    match arguments:
        case ["asr" | "diarize" as queue]:
            if not wait(queue, settings()):
                raise SystemExit(f"nobody has brought the weights to {settings().model_dir} in {WAIT_S} s")
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
