"""What is asked of a live session's recogniser."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.listening.turn import Turn

if TYPE_CHECKING:
    from tasks.engines.faster_whisper import FasterWhisper
    from tasks.engines.speaker_embedding import SpeakerEmbedding


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """How speech is recognised while it arrives.

    language : a code of the model's `languages`; None to find it out, and keep it from an utterance that is clear
        about it until another one is
    hotwords : shown to the decoder each time; of them the last 223 tokens count
    final_model : recognises finals, where it is another than that of the partials
    final_turn : at that model. Sessions that share the model share it too
    speaker_embedding : tells speakers apart, where they are asked for
    most_speakers : no more than so many; None without a bound of the caller's
    partial_every_s : between two passes over an utterance that goes on
    """

    language: str | None = None
    hotwords: str | None = None
    final_model: FasterWhisper | None = None
    final_turn: Turn = field(default_factory=Turn)
    speaker_embedding: SpeakerEmbedding | None = None
    most_speakers: int | None = None
    partial_every_s: float = 0.5
