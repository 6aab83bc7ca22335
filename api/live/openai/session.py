"""A transcription session of OpenAI's Realtime API as its client configures it, by `session.update`.

What is changed is answered with the whole configuration as it is in effect, so a client sees where ours is another
than it asked for. What there is not at all is refused by name.
"""

from __future__ import annotations

import copy
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

from api.intake import parameters
from api.live.request import Stream, Wish
from api.live.sound import Coding
from shared.config import Settings
from shared.errors import InvalidRequest

CODINGS: dict[str, tuple[Coding, int]] = {
    "audio/pcm": ("pcm16", 24_000),
    "audio/pcmu": ("mulaw", 8000),
    "audio/pcma": ("alaw", 8000),
}
"""By the type of a format, the coding and the rate in Hz."""

ALIASES = {"gpt-realtime-whisper": "auto", "gpt-live-transcribe": "auto"}
"""Models of OpenAI's that there are in this API alone; the others are in `openai_models`."""

COMMITTED_BY_CLIENT = re.compile("gpt-realtime-whisper|gpt-live-transcribe")
"""Models that find no speech by themselves: their clients commit."""

VAD = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 400}
"""As tasks/listening/bounds.py has it. The figures cannot be chosen."""

VAD_FIELDS = frozenset({*VAD, "create_response", "interrupt_response", "eagerness"})
INPUT_FIELDS = frozenset({"format", "noise_reduction", "transcription", "turn_detection"})
TRANSCRIPTION_FIELDS = frozenset({"model", "language", "languages", "prompt", "keywords", "delay"})
LOGPROBS = "item.input_audio_transcription.logprobs"


class Configuration:
    """`is_fixed` once audio has come: what was recognised by it cannot be changed any more."""

    def __init__(self, job_id: uuid.UUID, model: str, config: Settings) -> None:
        self.id = f"sess_{job_id.hex}"
        self.is_fixed = False
        self._config = config
        self._expires_at = int(time.time() + config.live_longest_s)
        self._has_chosen_detection = False
        self._format: dict[str, Any] = {"type": "audio/pcm", "rate": 24_000}
        self._transcription: dict[str, Any] = {"model": model or "whisper-1"}
        self._detection: dict[str, Any] | None = None if COMMITTED_BY_CLIENT.match(model) else VAD
        self._include: list[str] = []
        self.wish()

    @property
    def coding(self) -> Coding:
        return CODINGS[self._format["type"]][0]

    @property
    def has_detection(self) -> bool:
        """Whether pauses end items; otherwise the client's commits do."""
        return self._detection is not None

    @property
    def has_logprobs(self) -> bool:
        return bool(self._include)

    def snapshot(self) -> dict[str, Any]:
        """As `session.created` and `session.updated` have it."""
        return {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "id": self.id,
            "expires_at": self._expires_at,
            "audio": {
                "input": {
                    "format": self._format,
                    "transcription": self._transcription,
                    "noise_reduction": None,
                    "turn_detection": self._detection,
                }
            },
            "include": self._include or None,
        }

    def wish(self) -> Wish:
        """What is asked for, in our words. Raises what `parameters.read` and `parameters.spec` raise."""
        transcription = self._transcription
        model = str(transcription["model"])
        aliases = {**ALIASES, **self._config.openai_aliases}
        fields = {
            "rate": CODINGS[self._format["type"]][1],
            "model": aliases.get(model, model),
            "language": transcription.get("language"),
            "languages": None if transcription.get("language") else ",".join(transcription.get("languages") or ()),
            "prompt": transcription.get("prompt"),
            "hotwords": ", ".join(transcription.get("keywords") or ()),
            "diarization": "true" if model.endswith("-diarize") else "false",
        }
        stream = parameters.read(Stream, fields)
        return Wish(stream, parameters.spec(stream, self._config), None)

    def update(self, session: object) -> None:
        """Take over what a `session.update` has. Raises InvalidRequest and ModelNotAllowed; then nothing is changed."""
        changed = copy.deepcopy(self)
        changed._update(_fields(session, "session", {"type", "audio", "include"}))
        changed.wish()
        if self.is_fixed and (changed._format, changed._transcription) != (self._format, self._transcription):
            raise _wrong("session.audio.input", "format and transcription cannot be changed once audio has come.")
        self.__dict__.update(changed.__dict__)

    def _update(self, session: Mapping[str, Any]) -> None:
        if session.get("type") != "transcription":
            raise _wrong("session.type", "transcription; there are no other sessions here.")
        audio = _fields(session.get("audio"), "session.audio", {"input"})
        fields = _fields(audio.get("input"), "session.audio.input", INPUT_FIELDS)
        if fields.get("noise_reduction") is not None:
            raise _wrong("session.audio.input.noise_reduction", "noise is not reduced; leave it null.")
        if fields.get("format") is not None:
            self._format = _format(fields["format"])
        if "transcription" in fields:
            self._transcribe(fields["transcription"])
        if "turn_detection" in fields:
            self._detection = _detection(fields["turn_detection"])
            self._has_chosen_detection = True
        elif not self._has_chosen_detection:
            self._detection = None if COMMITTED_BY_CLIENT.match(str(self._transcription["model"])) else VAD
        if "include" in session:
            self._include = session["include"] or []
            if self._include not in ([], [LOGPROBS]):
                raise _wrong("session.include", f"{LOGPROBS}, or nothing.")

    def _transcribe(self, value: object) -> None:
        name = "session.audio.input.transcription"
        if value is None:
            raise _wrong(name, "a transcription session transcribes.")
        fields = _fields(value, name, TRANSCRIPTION_FIELDS)
        for field in ("model", "language", "prompt", "delay"):
            if not isinstance(fields.get(field) or "", str):
                raise _wrong(f"{name}.{field}", "a text.")
        for field in ("languages", "keywords"):
            listed = fields.get(field)
            if listed is not None and not (isinstance(listed, list) and all(isinstance(each, str) for each in listed)):
                raise _wrong(f"{name}.{field}", "a list of texts.")
        fields.pop("delay", None)  # ours is what it is, and `session.updated` shows none
        self._transcription = self._transcription | fields
        if not self._transcription.get("model"):
            self._transcription["model"] = "whisper-1"


def _format(value: object) -> dict[str, Any]:
    name = "session.audio.input.format"
    fields = _fields(value, name, {"type", "rate"})
    if fields.get("type") not in CODINGS:
        raise _wrong(f"{name}.type", f"one of {', '.join(CODINGS)}.")
    rate = CODINGS[fields["type"]][1]
    if fields.get("rate") not in (None, rate):
        raise _wrong(f"{name}.rate", f"{rate} with {fields['type']}.")
    return {"type": fields["type"], "rate": rate} if fields["type"] == "audio/pcm" else {"type": fields["type"]}


def _detection(value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    name = "session.audio.input.turn_detection"
    fields = _fields(value, name, VAD_FIELDS)
    if fields.get("type") not in ("server_vad", "semantic_vad"):
        raise _wrong(f"{name}.type", "server_vad, semantic_vad, or null instead of all.")
    return VAD


def _fields(value: object, name: str, names: set[str] | frozenset[str]) -> dict[str, Any]:
    """An object without fields that there are not; none is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(name, "an object.")
    for field in value:
        if field not in names and value[field] is not None:
            raise _wrong(f"{name}.{str(field)[:60]}", "there is no such option.")
    return dict(value)


def _wrong(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{name}: {why}", parameter=name)
