"""The models that the sessions of a process share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from shared.abilities import abilities
from shared.config import Settings
from shared.errors import ModelNotAllowed, ParleyError
from shared.live.listeners import Claim
from shared.options import JobOptions
from shared.telemetry.logs import get_logger
from tasks.listening.turn import Turn
from tasks.live.watch import ANSWERS

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.engines.faster_whisper import FasterWhisper
    from tasks.engines.speaker_embedding import SpeakerEmbedding
    from tasks.listening.listener import Listener

log = get_logger(__name__)

SPEAKERS_FILE = "speakers/wespeaker.onnx"
"""Below MODEL_DIR: what tells speakers apart. Without it they have no names while they speak."""

_loading = threading.Lock()
_final_turn = Turn()
_embeddings: dict[Path, SpeakerEmbedding] = {}
_missed: set[Path] = set()


@contextmanager
def listener(config: Settings, claim: Claim) -> Iterator[Listener]:
    """One for the session, that goes on where the claim says. Loads its models with the first session that needs them;
    they stay until the last is through.

    Raises ModelUnavailable, ModelTooLarge and ModelNotAllowed.
    """
    from tasks.engines import loading
    from tasks.listening.listener import Listener
    from tasks.listening.options import ListenOptions

    place = claim.place
    with ExitStack() as stack:
        with _loading:
            model = loading.whisper(config, config.live_model or claim.options.model, _calls(config))
            stack.enter_context(loading.in_use(model))  # before another is loaded
            final_model = _final_model(config, claim.options)
            if final_model:
                stack.enter_context(loading.in_use(final_model))
            embedding = _speaker_embedding(config.model_dir / SPEAKERS_FILE) if claim.options.diarization else None
        options = ListenOptions(
            language=claim.options.language,
            hotwords=claim.options.hotwords,
            final_model=None if final_model is model else final_model,
            final_turn=_final_turn,
            speaker_embedding=embedding,
            most_speakers=claim.options.num_speakers or claim.options.max_speakers,
        )
        yield Listener(
            model,
            options,
            start_s=place.resume_s,
            utterance=place.utterance,
            language=place.language,
            voices=place.voices,
            on_answer=ANSWERS.count,
        )


@contextmanager
def usual(config: Settings) -> Iterator[tuple[FasterWhisper, FasterWhisper]]:
    """The models of text and of finals of a session that asks for none. They stay in memory. Raises as `listener`."""
    from tasks.engines import loading

    with ExitStack() as stack:
        with _loading:
            name = loading.model_name(config, config.live_model or "auto")
            if abilities(name).engine != "faster_whisper":
                raise ModelNotAllowed(f"{name} recognises no live text.")
            model = loading.whisper(config, name, _calls(config))
            stack.enter_context(loading.in_use(model))
            final_model = _final_model(config, JobOptions())
            if final_model:
                stack.enter_context(loading.in_use(final_model))
        yield model, final_model or model


def workers(config: Settings) -> int:
    """How many sessions a model works for at once."""
    from tasks.engines import loading

    return loading.workers(config, _calls(config))


def _calls(config: Settings) -> int:
    """Those of sessions that come at the same time. With a larger model for finals it is one: only one final is
    recognised at a time, which should have all threads, and partials share them."""
    return 1 if config.live_final_model else config.live_slots


def final_name(config: Settings, options: JobOptions) -> str:
    """The name of the model for finals, empty where it is that of partials: also where the request names a model and
    gets it for its live text."""
    return config.live_final_model if config.live_model or options.model == "auto" else ""


def _final_model(config: Settings, options: JobOptions) -> FasterWhisper | None:
    """None also where it cannot be had: the other one's finals are better than none."""
    from tasks.engines import loading

    name = final_name(config, options)
    if not name:
        return None
    try:
        name = loading.model_name(config, name)
        if abilities(name).engine != "faster_whisper":
            raise ModelNotAllowed(f"{name} recognises no live text.")
        return loading.whisper(config, name, _calls(config))
    except ParleyError as error:
        log.warning("final_model_missing", model=name, code=error.code, message=error.message)
        return None


def _speaker_embedding(path: Path) -> SpeakerEmbedding | None:
    """Loaded once in a process. Where it is missed that is logged once, and the next session looks anew."""
    if embedding := _embeddings.get(path):
        return embedding
    try:
        from tasks.engines.speaker_embedding import SpeakerEmbedding

        _embeddings[path] = SpeakerEmbedding(path)
    except Exception as error:  # noqa: BLE001 - onnxruntime has errors of its own, and text without names is better than none
        if path not in _missed:
            log.warning("speakers_missing", path=str(path), error=type(error).__name__)
        _missed.add(path)
        return None
    return _embeddings[path]
