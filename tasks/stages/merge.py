"""Join what was said (transcribe) with who was talking (diarize) into the finished transcript.

Pure Python and near linear in words + turns. word_speakers.py says whose words are whose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from shared.transcript import Diarization, Segment, Speaker, SpeakerTurn, Transcript, Transcription, Word
from tasks.asr.quality import assess, dropped_speech
from tasks.asr.shard_join import join
from tasks.stages.word_speakers import attribute


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
        attributed = attribute(segments, diarization.exclusive)
        segments = [piece for segment in attributed for piece in _by_speaker(segment)]
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


def _by_speaker(segment: Segment) -> list[Segment]:
    """`segment` cut where the speaker of its words changes. A piece is as sure as its words are on average."""
    pieces = [_of_words(segment, tuple(run)) for _, run in groupby(segment.words, key=lambda word: word.speaker)]
    if len(pieces) == 1:
        return [replace(pieces[0], confidence=segment.confidence)]
    return pieces or [segment]


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
