"""The way of a recording, one task per stage. Start reading here.

download -> convert -> transcribe -+-> merge -> store
                   \\-> diarize ----+

The order is data (shared/stages.py), what all stages share is in stage.py, the work itself in stages/.
A long recording is cut into shards by convert: transcribe runs once for each of them, wherever there is a free worker.
An uploaded recording is in storage before its job exists, so its download is born done. That of a live session is made
of its chunks (docs/live.md). Whoever is to be told of the
end is told by the outbox (shared/webhooks/outbox.py), however the job ends.

This module is imported by every worker, whatever its queues, so it imports nothing that only some of them need: what
brings numpy or models along is imported by the stage that uses it.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from shared.errors import DecodeFailed
from shared.intake import sources
from shared.kernel.shards import heard_seconds, planned
from shared.stages import STAGES
from shared.telemetry.logs import get_logger
from shared.transcript import (
    Caveat,
    Conversion,
    Diarization,
    Finished,
    Shard,
    Transcript,
    Transcription,
    from_json,
    to_json,
)
from tasks import fetch
from tasks.asr.shard_plan import plan, shard_count
from tasks.engine import Recognition, engine
from tasks.live import recording as live_recording
from tasks.stage import CopyOutput, Output, Work, key_of, stage
from tasks.stages.convert import ConvertLimits, about_sound
from tasks.stages.convert import convert as decode
from tasks.stages.download import download as get
from tasks.stages.listening_copy import listening_copy
from tasks.stages.merge import merge as join
from tasks.stages.script import in_script, rewrite

log = get_logger(__name__)


def _no_speakers(cause: str | None) -> Caveat:
    return Caveat("diarization_failed", f"Speakers could not be told apart ({cause}); the words are complete.")


def _finished(work: Work) -> Finished:
    """Tells followers of segments in the script in which the transcript will be."""
    script = work.claim.options.script
    return (lambda segments: work.finished(in_script(segments, script))) if script else work.finished


@stage("download")
def download(work: Work) -> Output:
    """The URL of a recording, or the chunks of a live session -> its bytes."""
    if work.claim.source_url is None:
        return _session_recording(work)
    url = sources.check(work.claim.source_url or "", work.config)
    ways, limits = fetch.ways(work.config, work.storage), fetch.limits(work.config, work.claim.options.max_duration)
    check = partial(sources.check, config=work.config)
    result = get(url, work.folder, ways, limits, work.progress, check=check)
    meta: dict[str, Any] = {"sha256": result.sha256, "filename": result.filename}
    if result.warnings:
        meta["warnings"] = [asdict(warning) for warning in result.warnings]
    return Output(result.path, ".media", meta)


def _session_recording(work: Work) -> Output:
    target = work.folder / "session.wav"
    recording = live_recording.write(work.claim.job_id, target, work.progress)
    return Output(target, ".wav", asdict(recording))


@stage("convert")
def convert(work: Work) -> Output:
    """Any audio or video file -> 16 kHz 16-bit WAV, of one channel unless channels are to be kept apart."""
    source, target = work.folder / "source", work.folder / "audio.wav"
    fetched = work.input("download")
    work.storage.get_file(key_of(fetched), source)
    limits = ConvertLimits(work.config.max_duration, work.config.decode_timeout_s, work.config.decode_memory_bytes)
    options = work.claim.options
    recording = decode(source, target, limits, work.progress, split=options.channels == "split", track=options.track)
    warnings = (*about_sound(fetched.meta, None), *recording.warnings)
    recording = replace(recording, shards=_shards(work, target, recording), warnings=warnings)
    copy = _listening_copy(work, target, recording, limits)
    return Output(target, ".wav", asdict(recording), audio_seconds=recording.duration, copy=copy)


def _listening_copy(work: Work, wav: Path, recording: Conversion, limits: ConvertLimits) -> CopyOutput | None:
    """None when it cannot be made, for which no transcript is given up."""
    path = work.folder / "copy.webm"
    try:
        copy = listening_copy(wav, path, recording.channels, limits, work.progress)
    except DecodeFailed as error:
        log.warning("no_listening_copy", message=error.message, exc_info=True)
        return None
    return CopyOutput(path, ".webm", {**asdict(copy), "duration": recording.duration, "lanes": recording.channels})


def _shards(work: Work, wav: Path, recording: Conversion) -> tuple[Shard, ...]:
    """A short recording has none, and its worker does without the detector of pauses, which takes 60 MB."""
    if shard_count(recording.duration, work.config.shard_target_s) < 2:
        return ()
    from tasks import pcm

    reads = [pcm.file_reader(wav, channel=n, channels=recording.channels) for n in range(recording.channels)]
    return plan(reads, recording.duration, work.config.shard_target_s, lambda: work.progress(1.0))


@stage("transcribe", lambda config: engine(config).device())
def transcribe(work: Work) -> Output:
    """WAV, or a shard of it -> words with times."""
    from tasks import pcm

    audio = work.input("convert")
    duration, count = float(audio.meta["duration"]), audio.meta.get("channels", 1)
    shards = planned(audio.meta)
    shard = shards[work.claim.shard] if shards else None
    transcription = engine(work.config).transcribe(
        Recognition(
            fingerprint=work.claim.hash[:12],
            duration=duration,
            reads=[pcm.reader(work.storage, key_of(audio), channel=n, channels=count) for n in range(count)],
            shard=shard,
            options=work.claim.options,
            agree_on_language=work.agree_on_language,
            progress=work.progress,
            finished=_finished(work),
        )
    )
    warnings = (*about_sound(audio.meta, shard), *transcription.warnings)
    transcription = replace(transcription, warnings=warnings)
    language = {"language": transcription.language, "language_probability": transcription.language_probability}
    return Output(to_json(transcription), ".json", language, audio_seconds=heard_seconds(shard) if shard else duration)


@stage("diarize", lambda config: engine(config).diarization_device())
def diarize(work: Work) -> Output:
    """WAV -> who spoke when."""
    from tasks import pcm

    audio = work.input("convert")
    duration = float(audio.meta["duration"])
    sound = partial(pcm.waveform, work.storage, key_of(audio), duration, work.folder)
    turns = engine(work.config).diarize(sound, duration, work.claim.options, work.progress)
    return Output(to_json(turns), ".json", audio_seconds=duration)


@stage("merge")
def merge(work: Work) -> Output:
    """Words + speaker turns -> transcript, its Chinese text in the script that was asked for."""
    shards = [work.load(Transcription, claim_input) for claim_input in work.inputs("transcribe")]
    turns = next(iter(work.inputs("diarize")), None)
    transcript = join(shards, work.load(Diarization, turns) if turns and turns.key else None)
    if turns and not turns.key:
        transcript = replace(transcript, warnings=(*transcript.warnings, _no_speakers(turns.error_code)))
    if script := work.claim.options.script:
        transcript = rewrite(transcript, script)
    return Output(to_json(transcript), ".json")


@stage("store")
def store(work: Work) -> Output:
    """Transcript -> the summary that the history is searched by. Its object becomes the final one."""
    answers = [answer for name in STAGES["store"].needs for answer in work.inputs(name)]  # a skipped one has none
    content = work.content(answers[-1])
    transcript = from_json(Transcript, content)
    summary = {
        "language": transcript.language,
        "language_probability": transcript.language_probability,
        "duration": transcript.duration,
        "model": transcript.model,
        "speakers": len(transcript.speakers),
        "full_text": transcript.text,
    }
    return Output(content, ".json", summary, key=key_of(answers[-1]))
