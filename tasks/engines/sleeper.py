"""Stand-ins for the two model stages, chosen by `ENGINE=sleeper`: the pipeline under load without the models' cost.

Their answers depend on the recording alone, so that a test can tell one job's transcript from another's.
"""

from __future__ import annotations

import time

from shared.transcript import Diarization, Progress, Segment, Shard, SpeakerTurn, Transcription, Word

STEPS = 10


def transcribe(fingerprint: str, part: Shard, seconds: float, progress: Progress) -> Transcription:
    """One segment whose only word is `fingerprint`, after a pause of `seconds`."""
    _pause(seconds, progress)
    word = Word(part.start, part.end, f" {fingerprint}", 1.0)
    segment = Segment(0, part.start, part.end, word.text, 1.0, words=(word,))
    return Transcription("en", 1.0, part.end - part.start, "sleeper", (segment,), shard=part)


def diarize(duration: float, seconds: float, progress: Progress) -> Diarization:
    """One speaker from start to end, after a pause of `seconds`."""
    _pause(seconds, progress)
    turns = (SpeakerTurn(0.0, duration, "A"),)
    return Diarization(turns, turns)


def _pause(seconds: float, progress: Progress) -> None:
    for step in range(STEPS):
        progress(step / STEPS)
        time.sleep(seconds / STEPS)
