"""A pool without children, `-P solo`: the stage runs in the worker's main process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from scripts.local.apps import API, BEAT, worker
from tests.faults.rig import Rig, asleep, eventually, start


@pytest.fixture
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Speech recognition that listens every half second, diarization that hangs for a minute at a time, both solo."""
    asr, diarize = asleep(worker("asr", "asr", 1, 1), 5), asleep(worker("diarize", "diarize", 1, 1), 600)
    solo = [replace(app, arguments=(*app.arguments, "-P", "solo")) for app in (asr, diarize)]
    with start(tmp_path_factory.mktemp("solo"), (API, worker("io", "io,cpu", 1, 1), *solo, BEAT)) as rig:
        yield rig
        rig.check_history()


def test_work_in_the_main_process_is_kept_cancelled_and_ended(rig: Rig) -> None:
    """Work that listens is let go of and the worker goes on; work that hangs is ended with its worker, which is started
    again; a task goes through to its end."""
    first, hung, whole = rig.submit(), rig.submit(diarization=True), rig.submit()
    asr, diarize = rig.stack.pid("worker-asr"), rig.stack.pid("worker-diarize")
    rig.running(first, "transcribe")
    assert rig.caller.cancel(first) == "cancelling"
    assert rig.caller.wait(first) == "cancelled"
    rig.running(hung, "diarize")
    assert rig.caller.cancel(hung) == "cancelling"
    assert rig.caller.wait(hung) == "cancelled"
    eventually(lambda: rig.stack.pid("worker-diarize") not in (None, diarize), "the worker is another", 30)
    assert rig.caller.wait(whole) == "done"
    assert rig.stack.pid("worker-asr") == asr
