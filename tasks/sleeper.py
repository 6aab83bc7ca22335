"""Stand-ins for the two model stages, chosen by `ENGINE=sleeper`: the pipeline under load without the models' cost.

Their answers depend on the recording alone, so that a test can tell one job's transcript from another's.
"""

from __future__ import annotations

import time

from shared.transcript import Diarization, Progress, Segment, SpeakerTurn, Transcription, Word

STEPS = 10


def transcribe(fingerprint: str, duration: float, seconds: float, progress: Progress) -> Transcription:
    """One segment whose only word is `fingerprint`, after a pause of `seconds`."""
    _pause(seconds, progress)
    word = Word(0.0, duration, f" {fingerprint}", 1.0)
    segment = Segment(0, 0.0, duration, word.text, 1.0, words=(word,))
    return Transcription("en", 1.0, duration, "sleeper", (segment,))


def diarize(duration: float, seconds: float, progress: Progress) -> Diarization:
    """One speaker from start to end, after a pause of `seconds`."""
    _pause(seconds, progress)
    turns = (SpeakerTurn(0.0, duration, "A"),)
    return Diarization(turns, turns)


def _pause(seconds: float, progress: Progress) -> None:
    for step in range(STEPS):
        progress(step / STEPS)
        time.sleep(seconds / STEPS)
