"""What a Whisper model was trained to do, told by its name: one rule for the gateway, which has no models, and workers.

Names that are not Whisper's own are let through; a worker that loads such a model finds out what it can do.
"""

from __future__ import annotations

from shared.errors import InvalidRequest
from shared.languages import LANGUAGES

WITHOUT_CANTONESE = frozenset({"tiny", "base", "small", "medium", "large-v1", "large-v2"})
"""`yue` came with large-v3, and with the models that were made from it."""


def is_english_only(model: str) -> bool:
    """Whether the model was trained on English alone."""
    return model.endswith(".en") or model.startswith("distil-")


def can_translate(model: str) -> bool:
    """Whether it was trained to translate. The turbo models were not: they would answer in the original language."""
    return not is_english_only(model) and "turbo" not in model


def check(model: str, task: str, language: str | None) -> None:
    """Raises InvalidRequest when the model cannot do the task or does not know the language (a code)."""
    if task == "translate" and not can_translate(model):
        why = "it knows English only" if is_english_only(model) else "it was made to transcribe only"
        raise InvalidRequest(f"{model} cannot translate: {why}. large-v3 and small can.", parameter="task")
    is_known = language == "en" if is_english_only(model) else not (language == "yue" and model in WITHOUT_CANTONESE)
    if language and not is_known:
        knows = "knows English only, not" if is_english_only(model) else "does not know"
        raise InvalidRequest(f"{model} {knows} {LANGUAGES.get(language, language)}.", parameter="language")
