"""What each Whisper model can do, by its name."""

from __future__ import annotations

import pytest

from shared.abilities import can_translate, check, is_english_only
from shared.config import WHISPER_MODELS
from shared.errors import InvalidRequest


def test_every_model_is_told_apart() -> None:
    """Of the models that may be asked for, these translate, these know English only, and these know Cantonese."""
    assert [name for name in WHISPER_MODELS if can_translate(name)] == [
        "tiny", "base", "small", "medium", "large-v1", "large-v2", "large-v3", "large",
    ]  # fmt: skip
    assert [name for name in WHISPER_MODELS if is_english_only(name)] == [
        "tiny.en", "base.en", "small.en", "medium.en",
        "distil-small.en", "distil-medium.en", "distil-large-v2", "distil-large-v3", "distil-large-v3.5",
    ]  # fmt: skip
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
