"""Recordings with all that a transcript can have: sound, words and how sure they are, channels, a report, warnings."""

from __future__ import annotations

import io
import math
import os
import struct
import uuid
from collections.abc import Sequence

from shared import claims
from shared.claims import Answer, Copy
from shared.db import session
from shared.kernel import leases
from shared.transcript import Caveat, Quality, Segment, Speaker, SpeakerTurn, Stretch, Transcript, Word
from tasks.sandbox.encoder.opus import HEADER_BYTES, SAMPLE_RATE, encode
from tests.page.recordings import SEGMENT_S, Recordings, hand_in_transcript
from tests.service.gateway import SUMMARY, hand_in, work_on

SAID_S = 1.5


def spoken(word: str) -> str:
    """Without the brackets."""
    return " " + word.replace("[", "").replace("]", "")


def segment(number: int, text: str, speaker: str | None = None) -> Segment:
    """Number `number` of a recording in which each takes two seconds. Words in brackets, `[so]`, are doubtful ones."""
    texts = text.split()
    start, each = SEGMENT_S * number, SAID_S / max(1, len(texts))
    words = tuple(
        Word(
            start + n * each,
            start + (n + 1) * each,
            spoken(word),
            0.3 if "[" in word else 0.9,
            speaker,
        )
        for n, word in enumerate(texts)
    )
    return Segment(number, start, start + SAID_S, "".join(word.text for word in words), 0.9, speaker, words)


def transcript(
    texts: Sequence[str],
    speakers: Sequence[str | None] = ("spk_1", "spk_2"),
    *,
    language: str = "en",
    warnings: Sequence[Caveat] = (),
) -> Transcript:
    """Sentences that the speakers say in turn, with a report on their quality."""
    segments = tuple(segment(number, text, speakers[number % len(speakers)]) for number, text in enumerate(texts))
    turns = tuple(SpeakerTurn(one.start, one.end, one.speaker) for one in segments if one.speaker)
    seconds = {name: sum(one.end - one.start for one in segments if one.speaker == name) for name in speakers if name}
    voices = tuple(Speaker(name, talked) for name, talked in sorted(seconds.items()))
    words = [word for one in segments for word in one.words]
    doubtful = sum(word.confidence < 0.5 for word in words)
    weak = (Stretch(segments[-1].start, segments[-1].end),) if segments else ()
    quality = Quality(SAID_S * len(segments), 0.0, (), (), weak, 0.0, len(words), doubtful, 0.87)
    return Transcript(
        language,
        0.98,
        SEGMENT_S * len(segments),
        "base",
        segments,
        voices,
        turns,
        warnings=tuple(warnings),
        quality=quality,
    )


def tone(seconds: float, channels: int) -> bytes:
    """Samples that swell and fade, each channel in turn."""
    samples = bytearray()
    for n in range(int(seconds * SAMPLE_RATE)):
        loud = 12000 * abs(math.sin(n / SAMPLE_RATE * math.pi / SEGMENT_S))
        for channel in range(channels):
            is_on = int(n / SAMPLE_RATE / SEGMENT_S) % channels == channel
            samples += struct.pack("<h", int(loud * math.sin(n * (0.05 + 0.02 * channel))) if is_on else 0)
    return bytes(samples)


def hand_in_sound(recordings: Recordings, claim: claims.Claim, seconds: float, channels: int) -> None:
    """Complete `convert` with a copy to listen to."""
    assert recordings.storage is not None
    prefix = f"{claim.owner_id}/{claim.job_id}/convert/0.{claim.fence}"
    target = io.BytesIO()
    sizes = encode(io.BytesIO(bytes(HEADER_BYTES) + tone(seconds, channels)), target, channels, lambda _: None)
    meta = {**sizes, "lanes": channels, "duration": seconds}
    copy = Copy(f"{prefix}.webm", recordings.storage.put(f"{prefix}.webm", target.getvalue()), meta)
    with session() as work:
        size = recordings.storage.put(f"{prefix}.wav", bytes(100))
        leases.complete(work, claim, Answer(f"{prefix}.wav", size, {**SUMMARY}, copy=copy))


def finished_recording(
    recordings: Recordings, name: str, whole: Transcript, *, sound_s: float = 0, channels: int = 1
) -> uuid.UUID:
    """A finished recording with this transcript, and with so many seconds of sound."""
    kind = {"channels": "split"} if channels > 1 else {"diarization": "true"}
    answer = recordings.caller.http.post("/transcribe", files={"file": (name, os.urandom(64))}, data=kind)
    assert answer.status_code == 202, answer.text
    task = uuid.UUID(answer.json()["task_id"])
    listen(recordings, task, whole, sound_s=sound_s, channels=channels)
    return task


def listen(
    recordings: Recordings, task: uuid.UUID, whole: Transcript, *, sound_s: float = 0, channels: int = 1
) -> None:
    """Finish a fresh task whose speakers were asked for, or whose channels are kept apart."""
    assert recordings.storage is not None
    if sound_s:
        hand_in_sound(recordings, work_on(task, "convert"), sound_s, channels)
    else:
        hand_in(work_on(task, "convert"), recordings.storage)
    for stage in ("transcribe", *(("diarize",) if channels == 1 else ()), "merge"):
        hand_in(work_on(task, stage), recordings.storage)
    hand_in_transcript(work_on(task, "store"), recordings.storage, whole)
