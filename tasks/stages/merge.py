"""Join what was said (transcribe) with who was talking (diarize) into the finished transcript.

Pure Python and near linear in words + turns: every word finds its turns by bisection.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from shared.transcript import Diarization, Segment, Speaker, SpeakerTurn, Transcript, Transcription, Word
from tasks.asr.quality import assess, dropped_speech
from tasks.asr.shard_join import join

NEAREST_TURN_S = 1.0
"""A word in nobody's turn belongs to the nearest turn that is at most this many seconds away.

Whisper's word times, held against the utterance bounds of pyannote's sample call, are wrong by up to 0.57 s (tiny.en)
and 0.76 s (base), rounded up here. A word farther off was said in a stretch in which the diarization heard nobody.
"""


def merge(shards: Sequence[Transcription], diarization: Diarization | None) -> Transcript:
    """The transcript of one recording.

    `shards` are its parts in order, their times counted from the start of the recording; joining.py says how words
    that two of them heard are told. Besides those no word is dropped, reworded or moved past another; a time that runs
    backwards is raised to the one before it. Segments are cut where the speaker changes and numbered from 0.

    Speakers are `spk_1`, `spk_2`, ... in the order in which they are first heard in the words. `speakers` holds
    those that say something in the transcript, with the seconds they talk in `diarization.turns`, overlapped
    speech included. `turns` keeps every turn, renamed; voices without a word are numbered after the others.
    Without a diarization there are neither speakers nor turns.

    A recording that was recognised channel by channel has its speakers and turns already: they keep their names, and
    segments of two speakers may overlap.

    Raises ValueError when there is no shard.
    """
    if not shards:
        raise ValueError("a transcript needs at least one shard")
    transcription = join(shards)
    if transcription.turns is not None:
        return _of_channels(transcription, transcription.turns)
    segments = _in_time_order(transcription.segments)
    turns: list[SpeakerTurn] = []
    if diarization:
        voices = _Voices(diarization.exclusive)
        segments = [piece for segment in segments for piece in _by_speaker(segment, voices)]
        turns = sorted(diarization.turns, key=lambda turn: (turn.start, turn.end, turn.speaker))
    speakers = dict.fromkeys(segment.speaker for segment in segments if segment.speaker is not None)
    silent = dict.fromkeys(turn.speaker for turn in turns if turn.speaker not in speakers)
    names = {label: f"spk_{number}" for number, label in enumerate([*speakers, *silent], start=1)}
    seconds = _seconds(speakers, turns)
    quality = assess(transcription, segments, turns if diarization else None)
    silent_turns = dropped_speech(stretch for stretch in quality.dropped if stretch not in transcription.dropped)
    return Transcript(
        language=transcription.language,
        language_probability=transcription.language_probability,
        duration=transcription.duration,
        model=transcription.model,
        segments=tuple(_named(segment, number, names) for number, segment in enumerate(segments)),
        speakers=tuple(Speaker(names[label], talked) for label, talked in seconds.items()),
        turns=tuple(replace(turn, speaker=names[turn.speaker]) for turn in turns),
        warnings=(*transcription.warnings, *silent_turns, *(diarization.warnings if diarization else ())),
        quality=quality,
    )


def _of_channels(transcription: Transcription, turns: tuple[SpeakerTurn, ...]) -> Transcript:
    speakers = sorted({segment.speaker for segment in transcription.segments if segment.speaker is not None})
    return Transcript(
        language=transcription.language,
        language_probability=transcription.language_probability,
        duration=transcription.duration,
        model=transcription.model,
        segments=transcription.segments,
        speakers=tuple(Speaker(speaker, talked) for speaker, talked in _seconds(speakers, turns).items()),
        turns=turns,
        warnings=transcription.warnings,
        quality=assess(transcription, transcription.segments, turns),
    )


def _seconds(speakers: Iterable[str], turns: Iterable[SpeakerTurn]) -> dict[str, float]:
    """How long each of `speakers` talks in `turns`."""
    seconds = dict.fromkeys(speakers, 0.0)
    for turn in turns:
        if turn.speaker in seconds:
            seconds[turn.speaker] += turn.end - turn.start
    return seconds


class _Voices:
    """Answers who talks during a stretch of time. `turns` do not overlap."""

    def __init__(self, turns: Iterable[SpeakerTurn]) -> None:
        self._turns = sorted(turns, key=lambda turn: (turn.start, turn.end))
        self._ends = [turn.end for turn in self._turns]

    def during(self, start: float, end: float) -> str | None:
        """Who talks most from `start` to `end`, else whoever is nearest; on equal terms the earlier one."""
        first = bisect_right(self._ends, start)
        talked: dict[str, float] = {}
        after = first
        while after < len(self._turns) and self._turns[after].start < end:
            turn = self._turns[after]
            talked[turn.speaker] = talked.get(turn.speaker, 0.0) + min(end, turn.end) - max(start, turn.start)
            after += 1
        if talked:
            return max(talked, key=lambda speaker: talked[speaker])
        near = [(start - turn.end, turn.speaker) for turn in self._turns[max(0, first - 1) : first]]
        near += [(turn.start - end, turn.speaker) for turn in self._turns[first : first + 1]]
        distance, speaker = min(near, key=lambda candidate: candidate[0], default=(NEAREST_TURN_S + 1, ""))
        return speaker if distance <= NEAREST_TURN_S else None


def _by_speaker(segment: Segment, voices: _Voices) -> list[Segment]:
    """`segment` cut where the speaker changes. A piece is as sure as its words are on average."""
    if not segment.words:
        return [replace(segment, speaker=voices.during(segment.start, segment.end))]
    speakers = _bridged([voices.during(word.start, word.end) for word in segment.words])
    words = [replace(word, speaker=speaker) for word, speaker in zip(segment.words, speakers, strict=True)]
    pieces = [_of_words(segment, tuple(run)) for _, run in groupby(words, key=lambda word: word.speaker)]
    if len(pieces) == 1:
        return [replace(pieces[0], confidence=segment.confidence)]
    return pieces


def _bridged(speakers: list[str | None]) -> list[str | None]:
    """Words of nobody that stand between two words of one speaker become that speaker's."""
    bridged = list(speakers)
    last: int | None = None
    for here, speaker in enumerate(speakers):
        if speaker is None:
            continue
        if last is not None and speakers[last] == speaker:
            bridged[last:here] = [speaker] * (here - last)
        last = here
    return bridged


def _of_words(segment: Segment, words: tuple[Word, ...]) -> Segment:
    return replace(
        segment,
        start=words[0].start,
        end=max(word.end for word in words),
        text="".join(word.text for word in words).strip(),
        confidence=sum(word.confidence for word in words) / len(words),
        speaker=words[0].speaker,
        words=words,
    )


def _in_time_order(segments: Iterable[Segment]) -> list[Segment]:
    """The same segments without speakers, no start before an earlier one, no end before its start."""
    ordered = []
    now = 0.0
    for segment in segments:
        words = []
        for word in segment.words:
            now = max(now, word.start)
            words.append(replace(word, start=now, end=max(now, word.end), speaker=None))
        if words:
            joined = _of_words(segment, tuple(words))
            ordered.append(replace(joined, confidence=segment.confidence))
        else:
            now = max(now, segment.start)
            ordered.append(replace(segment, start=now, end=max(now, segment.end), speaker=None))
    return ordered


def _named(segment: Segment, number: int, names: dict[str, str]) -> Segment:
    if segment.speaker is None:
        return replace(segment, id=number)
    name = names[segment.speaker]
    return replace(segment, id=number, speaker=name, words=tuple(replace(word, speaker=name) for word in segment.words))
