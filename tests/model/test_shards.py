"""Recordings in shards, with real weights: cut anywhere, they have the words of the whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from shared.config import Settings
from shared.transcript import SAMPLE_RATE, Shard, Transcription
from tasks.asr.channels import transcribe_channels
from tasks.asr.decoding import TranscribeOptions
from tasks.asr.long_language import decide_language
from tasks.asr.shard_join import join
from tasks.asr.shard_plan import OVERLAP_S, Seam, cut, find_seam, plan
from tasks.asr.vad import Samples, Span
from tasks.engines import loading
from tasks.engines.faster_whisper import FasterWhisper
from tasks.stages.transcribe import transcribe
from tests.model.test_transcribe import ignore, reader, recording

PAUSE_S = 1.5


@pytest.fixture(scope="module")
def jfk() -> Samples:
    return recording("jfk.wav")


@pytest.fixture(scope="module")
def whole(jfk: Samples, tiny: FasterWhisper) -> Transcription:
    return in_shards(jfk, [Shard(0.0, 11.0, 0.0, 11.0)], tiny)


def in_shards(samples: Samples, shards: Sequence[Shard], model: FasterWhisper) -> Transcription:
    """Each shard recognised as a worker does, from the samples that it hears and no others."""
    parts = []
    for shard in shards:

        def read(start: float, end: float, shard: Shard = shard) -> Samples:
            assert shard.heard_from <= start <= end <= shard.heard_to
            return reader(samples)(start, end)

        options = TranscribeOptions("tiny.en")
        parts.append(transcribe(read, len(samples) / SAMPLE_RATE, options, model, ignore, shard=shard))
    return join(parts)


def words(transcription: Transcription) -> list[str]:
    return ["".join(c for c in w.text.casefold() if c.isalnum()) for s in transcription.segments for w in s.words]


@pytest.mark.parametrize("share", [-0.2, 0.1, 0.5, 0.9, 1.2])
def test_a_seam_moved_across_a_word_gives_the_words_of_the_whole(
    share: float, jfk: Samples, whole: Transcription, tiny: FasterWhisper
) -> None:
    """Before it, through its beginning, middle and end, behind it: the words, their order and number stay the same."""
    word = next(w for s in whole.segments for w in s.words if w.text.strip() == "for")
    at = round((word.start + share * (word.end - word.start)) * SAMPLE_RATE) / SAMPLE_RATE
    shards = cut([Seam(at, in_silence=False)], 11.0)
    joined = in_shards(jfk, shards, tiny)
    assert words(joined) == words(whole)
    for one, other in zip(
        (w for s in whole.segments for w in s.words), (w for s in joined.segments for w in s.words), strict=True
    ):
        assert other.start == pytest.approx(one.start, abs=0.6)
    assert joined.duration == 11.0
    assert joined.speech_seconds == pytest.approx(whole.speech_seconds, abs=0.5)
    assert joined.warnings == ()


def test_a_plan_cuts_where_nobody_speaks(jfk: Samples, whole: Transcription, tiny: FasterWhisper) -> None:
    """Three speeches with pauses between them, cut by their length: each is told in full, in the recording's times."""
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE), np.float32)
    samples = np.concatenate([jfk, pause, jfk, pause, jfk])
    duration = len(samples) / SAMPLE_RATE
    shards = plan([reader(samples)], duration, 12)
    assert len(shards) == 3
    assert [shard.heard_from for shard in shards] == [shard.start for shard in shards]
    for number, shard in enumerate(shards[1:], start=1):
        assert number * 11 + (number - 1) * PAUSE_S - 0.5 < shard.start < number * (11 + PAUSE_S) + 0.5
    joined = in_shards(samples, shards, tiny)
    assert words(joined) == words(whole) * 3
    assert joined.speech_seconds == pytest.approx(3 * whole.speech_seconds, abs=1)


def test_where_nobody_pauses_both_sides_hear_the_seam(jfk: Samples) -> None:
    """In the middle of a sentence the quietest place is taken, and the shards overlap by some seconds."""
    near = Span(6.5, 7.5)  # "... do for you ..."
    seam = find_seam([reader(jfk)], near)
    assert near.start <= seam.at <= near.end
    assert not seam.in_silence
    first, second = cut([seam], 11.0)
    assert 2 < first.heard_to - second.heard_from <= 2 * OVERLAP_S


def test_on_two_channels_a_pause_is_one_of_both(jfk: Samples) -> None:
    """Where one side pauses the other may speak: only alone it is cut there in silence."""
    near = Span(2.0, 4.5)  # "... Americans | ask not ..."
    other = np.zeros_like(jfk)
    other[round(1.5 * SAMPLE_RATE) : round(4.5 * SAMPLE_RATE)] = jfk[round(8.0 * SAMPLE_RATE) : 11 * SAMPLE_RATE]
    assert find_seam([reader(np.zeros_like(jfk)), reader(jfk)], near).in_silence
    assert not find_seam([reader(other), reader(jfk)], near).in_silence


def test_the_language_is_that_of_most_places(config: Settings, jfk: Samples) -> None:
    """Half a minute of Italian before minutes of English is an English recording; silence has no language."""
    base = loading.whisper(config, "base")
    italian = np.tile(recording("italian.wav"), 10)[: 30 * SAMPLE_RATE]
    samples = np.concatenate([italian, np.tile(jfk, 9)])
    language = decide_language([reader(samples)], len(samples) / SAMPLE_RATE, base, lambda: None)
    assert language is not None
    assert (language.code, language.probability > 0.8) == ("en", True)
    silence = np.zeros(90 * SAMPLE_RATE, np.float32)
    assert decide_language([reader(silence)], 90.0, base, lambda: None) is None


def test_channels_in_shards_keep_their_speakers(jfk: Samples, whole: Transcription, tiny: FasterWhisper) -> None:
    """A call with a side on each channel, cut through words of both: each side has its words, once, in order."""
    late = np.concatenate([np.zeros(2 * SAMPLE_RATE, np.float32), jfk])
    early = np.pad(jfk, (0, 2 * SAMPLE_RATE))
    reads, duration = [reader(early), reader(late)], 13.0
    shards = cut([Seam(7.0, in_silence=False)], duration)
    options = TranscribeOptions("tiny.en")
    joined = join([transcribe_channels(reads, duration, options, tiny, ignore, shard=shard) for shard in shards])
    for speaker in ("spk_1", "spk_2"):
        own = [segment for segment in joined.segments if segment.speaker == speaker]
        assert words(Transcription("en", 1.0, duration, "tiny.en", tuple(own))) == words(whole)
    assert joined.turns is not None
    assert {turn.speaker for turn in joined.turns} == {"spk_1", "spk_2"}
    assert [segment.start for segment in joined.segments] == sorted(segment.start for segment in joined.segments)
