"""Speech recognition of a recording whose channels are speakers, such as a call with a party on each side.

Channels are recognised one after another and put in order of time afterwards: people talk at once, and what one says
must not be cut by the other. `spk_1` is the first channel (left), whether or not it is heard first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from shared.transcript import Caveat, Finished, Progress, Segment, Shard, SpeakerTurn, Transcription
from tasks.asr import checks, crosstalk
from tasks.asr.checks import overlap
from tasks.asr.decoding import TranscribeOptions
from tasks.asr.language import Language, check_language
from tasks.asr.mixed.passages import Mixture
from tasks.asr.part import (
    SCAN_SHARE,
    WINDOW_S,
    Part,
    PartTranscription,
    find_languages,
    listen,
    nothing_said,
    recognise,
)
from tasks.asr.shard_join import MAX_PAUSE_S, within
from tasks.asr.vad import Read, Span, close_gaps
from tasks.engines.recogniser import Recogniser


@dataclass(frozen=True, slots=True)
class _ChannelTranscription:
    """One channel, counted from 1, and what was recognised on it."""

    number: int
    part: Part
    transcription: PartTranscription

    @property
    def speaker(self) -> str:
        return f"spk_{self.number}"


def transcribe_channels(
    reads: Sequence[Read],
    duration: float,
    options: TranscribeOptions,
    recogniser: Recogniser,
    progress: Progress,
    *,
    finished: Finished = lambda _: None,
    window_s: float = WINDOW_S,
    shard: Shard | None = None,
    decided: Language | None = None,
) -> Transcription:
    """Recognise each channel on its own; `reads` has one function per channel, from left to right.

    Segments have the channel as their speaker and are in order of their start; those of two speakers may overlap. The
    language is given, or voted over all channels together. `finished` is called once, at the end, as only then the
    order is certain. Arguments and errors are otherwise those of `transcribe`.

    Warnings besides those of `transcribe`: `single_channel`; `identical_channels`, for a channel that holds the same
    as an earlier one and is not recognised again; `crosstalk`, where a segment that faintly repeats another channel
    was left out.
    """
    code = check_language(options.language, options.task, options.model, recogniser)
    preset = Language(code, 1.0) if code else decided
    place = shard or Shard(0.0, duration, 0.0, duration)
    count = len(reads)
    parts: dict[int, Part] = {}
    for number, read in enumerate(reads, start=1):

        def report(share: float, before: int = number - 1) -> None:
            progress(SCAN_SHARE * (before + share) / count)

        parts[number] = listen(read, place, window_s, report)
    parts, caveats = _distinct(parts, shard)
    if not any(part.packings for part in parts.values()):
        progress(1.0)
        nothing = nothing_said(preset, place, options)
        return replace(nothing, warnings=(*caveats, *nothing.warnings), turns=())

    language = preset
    mixtures: list[Mixture | None] = [None] * len(parts)
    if language is None or not code:
        spoken = list(parts.values())
        language, mixtures = find_languages(spoken, decided, options, recogniser, lambda: progress(SCAN_SHARE))
    options = replace(options, language=language.code)
    channels = list(_recognised(parts, options, recogniser, progress, mixtures))
    channels, leaks = _without_leaks(channels)
    segments = sorted(
        (s for channel in channels for s in channel.transcription.segments), key=lambda s: (s.start, s.end)
    )
    segments = [replace(segment, id=number) for number, segment in enumerate(segments)]
    finished(within(segments, channels[0].part.bounds))
    progress(1.0)
    warnings = [
        warning for channel in channels for warning in channel.transcription.warnings if warning.code != "no_speech"
    ]
    if not segments:
        warnings.append(checks.no_speech())
    doubts = (*language.caveats, *checks.language_doubt(language))
    dropped = [stretch for channel in channels for stretch in channel.transcription.dropped]
    return Transcription(
        language.code,
        language.probability,
        place.end - place.start,
        options.model,
        tuple(segments),
        (
            *caveats,
            *checks.joined([*doubts, *leaks, *warnings]),
        ),
        sum(channel.part.speech_seconds for channel in channels),
        sum(channel.transcription.dropped_seconds for channel in channels),
        tuple(sorted(dropped, key=lambda stretch: stretch.start)),
        tuple(sorted((turn for channel in channels for turn in _turns(channel)), key=lambda t: (t.start, t.speaker))),
        place,
    )


def _distinct(parts: dict[int, Part], shard: Shard | None) -> tuple[dict[int, Part], list[Caveat]]:
    """Channels without those that only repeat an earlier one, be it in this shard only."""
    if len(parts) == 1:
        message = "The recording has one channel only: all that is said is given to one speaker."
        return parts, [Caveat("single_channel", message)]
    distinct: dict[int, Part] = {}
    caveats = []
    for number, part in parts.items():
        twin = next((n for n, p in distinct.items() if crosstalk.same_sound(p.read, part.read, part.packings)), None)
        if twin is None:
            distinct[number] = part
        else:
            message = f"Channels {twin} and {number} hold the same sound; what is said is given to spk_{twin}."
            start, end = (shard.start, shard.end) if shard else (None, None)
            caveats.append(Caveat("identical_channels", message, start, end))
    return distinct, caveats


def _recognised(
    parts: dict[int, Part],
    options: TranscribeOptions,
    recogniser: Recogniser,
    progress: Progress,
    mixtures: Sequence[Mixture | None],
) -> Iterator[_ChannelTranscription]:
    """Channel after channel; the progress of each weighs its seconds of speech."""
    total = sum(packing.duration for part in parts.values() for packing in part.packings)
    completed_share = 0.0
    for (number, part), mixture in zip(parts.items(), mixtures, strict=True):
        weight = sum(packing.duration for packing in part.packings) / total

        def report(share: float, completed_share: float = completed_share, weight: float = weight) -> None:
            progress(SCAN_SHARE + (1 - SCAN_SHARE) * (completed_share + weight * share))

        transcription = recognise(part, options, recogniser, report, lambda _: None, mixture)
        completed_share += weight
        channel = _ChannelTranscription(number, part, transcription)
        yield replace(
            channel,
            transcription=replace(
                transcription, segments=tuple(_of(s, channel.speaker) for s in transcription.segments)
            ),
        )


def _of(segment: Segment, speaker: str) -> Segment:
    return replace(segment, speaker=speaker, words=tuple(replace(word, speaker=speaker) for word in segment.words))


def _without_leaks(channels: list[_ChannelTranscription]) -> tuple[list[_ChannelTranscription], list[Caveat]]:
    """Channels without the segments that leaked in from another; speech that leaked in is no speech of theirs."""
    clean, caveats = [], []
    voices = [crosstalk.Channel(channel.part.read, channel.transcription.segments) for channel in channels]
    for faint, channel in zip(voices, channels, strict=True):
        leaks = {
            segment.id: other
            for voice, other in zip(voices, channels, strict=True)
            if other is not channel
            for segment in crosstalk.leaked(faint, voice)
        }
        leak_spans = [Span(s.start, s.end) for s in faint.segments if s.id in leaks]
        for segment in faint.segments:
            if segment.id in leaks and channel.part.answers_for(segment.start, segment.end):
                message = f"Left out: channel {channel.number} faintly repeats channel {leaks[segment.id].number} here."
                caveats.append(Caveat("crosstalk", message, segment.start, segment.end))
        speech = tuple(span for span in channel.part.speech if overlap(span, leak_spans) < span.duration / 2)
        segments = tuple(segment for segment in faint.segments if segment.id not in leaks)
        clean.append(
            replace(
                channel,
                part=replace(channel.part, speech=speech),
                transcription=replace(channel.transcription, segments=segments),
            )
        )
    return clean, caveats


def _turns(channel: _ChannelTranscription) -> Iterator[SpeakerTurn]:
    core = channel.part.core
    for span in close_gaps(channel.part.speech, MAX_PAUSE_S):
        if span.start < core.end and span.end > core.start:
            yield SpeakerTurn(max(span.start, core.start), min(span.end, core.end), channel.speaker)
