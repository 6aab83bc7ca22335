"""What each model can do, by its name."""

from __future__ import annotations

from typing import TypedDict

import pytest

from shared.abilities import ONNX_MODELS, abilities, check, check_extras, is_english_only
from shared.config import WHISPER_MODELS
from shared.errors import InvalidRequest


def test_every_model_is_told_apart() -> None:
    """Of the models that may be asked for, these translate, these know English only, and these know Cantonese."""
    assert [name for name in WHISPER_MODELS if abilities(name).translates] == [
        "tiny",
        "base",
        "small",
        "medium",
        "large-v1",
        "large-v2",
        "large-v3",
        "large",
    ]
    assert [name for name in WHISPER_MODELS if is_english_only(name)] == [
        "tiny.en",
        "base.en",
        "small.en",
        "medium.en",
        "distil-small.en",
        "distil-medium.en",
        "distil-large-v2",
        "distil-large-v3",
        "distil-large-v3.5",
    ]
    assert [name for name in WHISPER_MODELS if knows(name, "yue")] == ["large-v3", "large", "large-v3-turbo", "turbo"]
    assert all(knows(name, "en") and knows(name, None) for name in WHISPER_MODELS)


def knows(model: str, language: str | None) -> bool:
    try:
        check(model, "transcribe", language)
    except InvalidRequest as error:
        assert error.detail == {"parameter": "language"}
        return False
    return True


@pytest.mark.parametrize("model", ["turbo", "tiny.en", "distil-large-v3"])
def test_a_model_that_cannot_translate_is_named(model: str) -> None:
    """The error is about `task` and says which models can."""
    with pytest.raises(InvalidRequest, match=f"{model} cannot translate.*large-v3") as caught:
        check(model, "translate", None)
    assert caught.value.detail == {"parameter": "task"}


def test_a_model_of_the_operators_own_is_let_through() -> None:
    """What it can do is found out by the worker that loads it."""
    assert all(knows("our-finetune", language) for language in ("yue", "de", None))


@pytest.mark.parametrize("model", ONNX_MODELS)
def test_a_model_without_detection_needs_its_language(model: str) -> None:
    """Of several languages one has to be named; of one alone none."""
    assert knows(model, None) == (len(abilities(model).languages) == 1)
    assert knows(model, "en") and not knows(model, "ja")


class Extras(TypedDict):
    prompt: str | None
    hotwords: str | None
    temperature: float | None


class SomeExtras(TypedDict, total=False):
    prompt: str
    hotwords: str
    temperature: float


@pytest.mark.parametrize("extra", [{"prompt": "Valkey"}, {"hotwords": "Valkey"}, {"temperature": 0.0}])
def test_what_a_model_would_not_look_at_is_refused(extra: SomeExtras) -> None:
    """A prompt, hotwords and a temperature are Whisper's; for another model the error names the field."""
    nothing: Extras = {"prompt": None, "hotwords": None, "temperature": None}
    extras: Extras = {**nothing, **extra}
    check_extras("base", **extras)
    check_extras("canary-1b-v2", **nothing)
    with pytest.raises(InvalidRequest) as caught:
        check_extras("canary-1b-v2", **extras)
    assert caught.value.detail == {"parameter": next(iter(extra))}
