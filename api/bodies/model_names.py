"""Names of models: those of the Hugging Face Hub, which many clients send, and ours."""

from __future__ import annotations

import re
from collections.abc import Collection

HUB = re.compile(
    r"openai/whisper-(?P<whisper>.+)"
    r"|(systran|guillaumekln|mobiuslabsgmbh|deepdml|dropbox-dash)/faster-(?P<faster>(distil-)?whisper-.+?)(-ct2)?"
    r"|distil-whisper/(?P<distil>distil-.+?)(-ct2)?"
    r"|nvidia/(?P<nvidia>.+)"
    r"|istupakov/(?P<onnx>.+)-onnx",
    re.IGNORECASE,
)
"""Where models that Parley runs are published: by those who made them, and converted for its engines."""

OTHER_NAMES = {"large-v3": "large", "large-v3-turbo": "turbo"}
"""The second of two names by which faster-whisper knows a model."""

FIRST_LARGE = "openai/whisper-large"
"""On the Hub the first model of this size, which faster-whisper calls large-v1."""


def own_name(model: str, offered: Collection[str]) -> str:
    """Our name of a model that is asked for by the Hub's, where it is offered; any other text as it is."""
    hub = HUB.fullmatch(model)
    if model in offered or hub is None:
        return model
    name = next(text for text in hub.groupdict().values() if text).lower().replace("distil-whisper-", "distil-")
    name = "large-v1" if model.lower() == FIRST_LARGE else name.removeprefix("whisper-")
    return next((each for each in (name, OTHER_NAMES.get(name, name)) if each in offered), model)
