"""Models under the names that they have on the Hugging Face Hub."""

from __future__ import annotations

import re

import pytest

from api.intake.parameters import parse
from shared.config import Settings
from shared.errors import ModelNotAllowed


def config(**values: object) -> Settings:
    return Settings.model_validate({"database_url": "postgresql://", "redis_url": "redis://", **values})


@pytest.mark.parametrize(
    ("hub_name", "model"),
    [
        ("Systran/faster-whisper-base", "base"),
        ("systran/faster-whisper-tiny.en", "tiny.en"),
        ("guillaumekln/faster-whisper-large-v2", "large-v2"),
        ("openai/whisper-small", "small"),
        ("openai/whisper-large", "large-v1"),
        ("openai/whisper-large-v3-turbo", "large-v3-turbo"),
        ("mobiuslabsgmbh/faster-whisper-large-v3-turbo", "large-v3-turbo"),
        ("deepdml/faster-whisper-large-v3-turbo-ct2", "large-v3-turbo"),
        ("Systran/faster-distil-whisper-large-v3", "distil-large-v3"),
        ("distil-whisper/distil-large-v3", "distil-large-v3"),
        ("distil-whisper/distil-large-v3.5-ct2", "distil-large-v3.5"),
        ("nvidia/parakeet-tdt-0.6b-v3", "parakeet-tdt-0.6b-v3"),
        ("istupakov/parakeet-tdt-0.6b-v3-onnx", "parakeet-tdt-0.6b-v3"),
    ],
)
def test_a_model_may_have_its_name_on_the_hub(hub_name: str, model: str) -> None:
    """Where the model is offered; where it is not, the error has the name that was sent."""
    offered = config(whisper_models=f"base,{model}")
    assert parse({"model": hub_name, "language": "en"}, offered).options.model == model  # parakeet has to be told
    with pytest.raises(ModelNotAllowed, match=re.escape(hub_name)):
        parse({"model": hub_name}, config(whisper_model="medium", whisper_models="medium.en"))


def test_every_offered_name_can_be_asked_for() -> None:
    """A server that offers a model by another name, or by the Hub's own, is asked for what it offers."""
    turbo = "mobiuslabsgmbh/faster-whisper-large-v3-turbo"
    assert parse({"model": turbo}, config(whisper_models="base,turbo")).options.model == "turbo"
    assert parse({"model": turbo}, config(whisper_models=f"large-v3-turbo,{turbo}")).options.model == turbo
