"""The models that the server offers, as Home Assistant is told of them, and which of them is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from cli import VERSION
from cli.wyoming.gateway import Gateway

PROGRAM = "parley"

FRESH_S = 5.0
"""So long an answer of the server is repeated to others who ask what there is."""

KNOWN_S = 600.0
"""So long it is good enough to choose a model by."""

ATTRIBUTION = {
    "faster_whisper": {"name": "OpenAI", "url": "https://github.com/openai/whisper"},
    "onnx": {"name": "onnx-asr", "url": "https://github.com/istupakov/onnx-asr"},
}
"""By engine; the protocol wants to know whom to thank."""


class Catalog:
    """What is offered. `model` is the model for those who name none; None means the server's default."""

    def __init__(self, gateway: Gateway, model: str | None) -> None:
        self._gateway, self._model = gateway, model
        self._asking = asyncio.Lock()
        self._offered: Mapping[str, Any] = {}
        self._read_at = float("-inf")

    async def info(self) -> dict[str, Any]:
        """The data of an `info` event. Raises Failure."""
        offered = await self._read(FRESH_S)
        models = [_model(model) for model in offered["models"]]
        preferred = self._model or offered["default"]
        models.sort(key=lambda model: model["name"] != preferred)  # clients take the first
        program = {
            "name": PROGRAM,
            "description": "Parley, transcription on your own machines",
            "attribution": {"name": "Parley", "url": ""},
            "installed": True,
            "version": VERSION,
            "models": models,
            "supports_transcript_streaming": False,
            "requires_external_vad": True,
        }
        others = ("tts", "handle", "intent", "wake", "mic", "snd")
        return {"asr": [program], **{name: [] for name in others}}

    async def choose(self, name: str | None, language: str | None) -> str | None:
        """The model to ask for; None means the server's default. Raises Failure.

        Home Assistant names only a language, which may be one of any model that it was told of: then it is the first
        installed model that knows the language.
        """
        if name or self._model or not language:
            return name or self._model
        offered = await self._read(KNOWN_S)
        code = language.replace("_", "-").partition("-")[0].lower()
        able = [model["id"] for model in offered["models"] if code in model["languages"] and _is_installed(model)]
        is_known = offered["default"] in [model["id"] for model in offered["models"]]
        return able[0] if is_known and able and offered["default"] not in able else None

    async def takes_hotwords(self, model: str | None) -> bool:
        """Whether a model, None for the default, can be told which words to expect. Raises Failure."""
        offered = await self._read(KNOWN_S)
        engines = {each["id"]: each["engine"] for each in offered["models"]}
        return bool(engines.get(model or offered["default"], "faster_whisper") == "faster_whisper")

    async def _read(self, max_age_s: float) -> Mapping[str, Any]:
        async with self._asking:
            if time.monotonic() - self._read_at > max_age_s:
                self._offered = await self._gateway.models()
                self._read_at = time.monotonic()
            return self._offered


def _is_installed(model: Mapping[str, Any]) -> bool:
    """Where the server does not know, the model may well be there."""
    return model.get("installed") is not False


def _model(model: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": model["id"],
        "description": model["id"],
        "attribution": ATTRIBUTION.get(model["engine"], {"name": model["engine"], "url": ""}),
        "installed": _is_installed(model),
        "version": None,
        "languages": model["languages"],
    }
