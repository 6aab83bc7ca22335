"""Who spoke when: 16 kHz audio in, speaker turns out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.errors import DiarizationError, Interrupted, LeaseLost, ParleyError
from shared.transcript import SAMPLE_RATE, Caveat, Diarization, Progress, SpeakerTurn
from tasks.diarization.steps import SEGMENTATION, SHARES
from tasks.engines.step_down import StepDown, is_out_of_memory

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Pipeline = Any
"""A `tasks.diarization.pipeline.Diarizer`, whose module imports torch and is not imported before it is needed."""


@dataclass(frozen=True, slots=True)
class DiarizeOptions:
    """What the caller knows about the number of speakers. `num_speakers` overrides the other two."""

    num_speakers: int | None = None
    min_speakers: int | None = None
    max_speakers: int | None = None


def diarize(
    waveform: npt.NDArray[np.float32], options: DiarizeOptions, pipeline: Pipeline, progress: Progress
) -> Diarization:
    """Speaker turns of a recording, in order of their start, within the recording.

    waveform : (samples,) mono at 16 kHz, -1..1
    progress : called between batches with a share that goes back only where the pipeline starts again; what it raises
        to stop the work gets out

    Speakers are named as the pipeline names them. Silence has no turns. Where fewer voices can be told apart than were
    asked for, there are as many as can, with the warning `speakers_not_met`. When memory runs out segmentation starts
    again with less at once, then on the CPU; what comes behind it starts again on the CPU at once. Raises OutOfMemory
    when that does not help either, DiarizationError when the pipeline fails otherwise.
    """
    import numpy as np
    import torch

    watch = _Watch(progress)
    watch.report(0.0)
    if len(waveform) == 0:
        watch.report(1.0)
        return Diarization((), (), tuple(_not_met(options, 0)))
    file = {"waveform": torch.from_numpy(np.ascontiguousarray(waveform))[None], "sample_rate": SAMPLE_RATE}
    output, caveats = _run(pipeline, file, options, watch)
    duration = len(waveform) / SAMPLE_RATE
    turns = _turns(output.speaker_diarization, duration)
    result = Diarization(
        turns=turns,
        exclusive=_turns(output.exclusive_speaker_diarization, duration),
        warnings=(*caveats, *_not_met(options, len({turn.speaker for turn in turns}))),
    )
    watch.report(1.0)
    return result


def _run(pipeline: Pipeline, file: dict[str, Any], options: DiarizeOptions, watch: _Watch) -> tuple[Any, list[Caveat]]:
    """The pipeline's output, and what had to be done to get it in the memory there is."""
    usual = pipeline.segmentation_batch_size
    segmenting = StepDown("Speaker diarization", usual, lambda: bool(pipeline.to_cpu()))
    embedding = StepDown("Speaker diarization", 1, lambda: bool(pipeline.to_cpu()))  # a chunk at a time, always
    try:
        while True:
            try:
                output = pipeline(
                    file,
                    num_speakers=options.num_speakers,
                    min_speakers=options.min_speakers,
                    max_speakers=options.max_speakers,
                    hook=watch,
                )
                return output, [*segmenting.caveats(), *embedding.caveats()]
            except (Interrupted, LeaseLost, ParleyError):
                raise
            except Exception as error:
                if not is_out_of_memory(error):
                    raise DiarizationError(f"Speaker diarization failed: {type(error).__name__}") from error
                (embedding if SEGMENTATION in file else segmenting).take(error)
                pipeline.segmentation_batch_size = segmenting.batch_size
                watch.start_again()
    finally:
        pipeline.segmentation_batch_size = usual


def _not_met(options: DiarizeOptions, count: int) -> Iterator[Caveat]:
    """What to say of `count` speakers where others were asked for."""
    least = options.num_speakers or options.min_speakers or 0
    most = options.num_speakers or options.max_speakers or count
    if least <= count <= most:
        return
    number = f"{least}" if options.num_speakers else f"At least {least}" if count < least else f"At most {most}"
    yield Caveat("speakers_not_met", f"{number} speakers were asked for, but {count} could be told apart.")


class _Watch:
    """pyannote's hook: turns the progress of each step into that of the whole."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._share = 0.0

    def __call__(
        self,
        step: str,
        _artefact: object,
        *,
        file: object = None,
        total: int | None = None,
        completed: int | None = None,
    ) -> None:
        start, end = SHARES.get(step, (self._share, self._share))
        # A step's last call has no count; `completed` counts whole batches and may exceed `total`.
        share = 1.0 if not total else min(1.0, float(completed or 0) / float(total))
        self.report(start + share * (end - start))

    def start_again(self) -> None:
        self._share = 0.0

    def report(self, share: float) -> None:
        self._share = max(self._share, share)
        self._progress(self._share)


def _turns(annotation: Any, duration: float) -> tuple[SpeakerTurn, ...]:
    """A pyannote Annotation as turns; its last frame may reach past the end of the recording."""
    turns = (
        SpeakerTurn(max(0.0, float(segment.start)), min(duration, float(segment.end)), str(speaker))
        for segment, _, speaker in annotation.itertracks(yield_label=True)
    )
    return tuple(sorted((t for t in turns if t.start < t.end), key=lambda t: (t.start, t.end, t.speaker)))
