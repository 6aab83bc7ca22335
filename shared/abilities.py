"""What a speech model was trained to do, told by its name: one rule for the gateway, which has no models, and workers.

Names that are nobody's here count as Whisper's; a worker that loads such a model finds out what it can do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shared.errors import InvalidRequest
from shared.languages import LANGUAGES

WITHOUT_CANTONESE = frozenset({"tiny", "base", "small", "medium", "large-v1", "large-v2"})
"""`yue` came with large-v3, and with the models that were made from it."""

ENGLISH = frozenset({"en"})
EUROPEAN = frozenset({
    "bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "hr", "hu", "it",
    "lt", "lv", "mt", "nl", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "uk",
})  # fmt: skip
"""As NVIDIA's model cards list them."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one model can do.

    engine : what runs it, a file of tasks/engines
    languages : codes; with one alone nothing is detected
    translates : gives English text for speech in another language
    detects_language : without it, a model of several languages has to be told
    takes_context, takes_temperature : has prompt and hotwords, has sampling
    """

    engine: str
    languages: frozenset[str]
    translates: bool = False
    detects_language: bool = False
    takes_context: bool = False
    takes_temperature: bool = False


ONNX_MODELS = {
    "parakeet-tdt-0.6b-v2": Abilities("onnx", ENGLISH),
    "parakeet-tdt-0.6b-v3": Abilities("onnx", EUROPEAN),
    "parakeet-ctc-0.6b": Abilities("onnx", ENGLISH),
    "canary-1b-v2": Abilities("onnx", EUROPEAN, translates=True),
}
"""Models that are no Whisper, by the name of their folder in MODEL_DIR/onnx."""


def abilities(model: str) -> Abilities:
    """What the model of this name can do."""
    if model in ONNX_MODELS:
        return ONNX_MODELS[model]
    english_only = model.endswith(".en") or model.startswith("distil-")
    languages = frozenset(LANGUAGES) - ({"yue"} if model in WITHOUT_CANTONESE else set())
    return Abilities(
        "faster_whisper",
        ENGLISH if english_only else languages,
        # the turbo models were not trained to: they would answer in the original language
        translates=not english_only and "turbo" not in model,
        detects_language=True,
        takes_context=True,
        takes_temperature=True,
    )


def is_english_only(model: str) -> bool:
    """Whether the model was trained on English alone."""
    return abilities(model).languages == ENGLISH


def check(model: str, task: str, language: str | None, possible: Iterable[str] = ()) -> None:
    """Raises InvalidRequest when the model cannot do the task or does not know the language or a `possible` one.

    Languages are codes.
    """
    able = abilities(model)
    if task == "translate" and not able.translates:
        why = "it knows English only" if is_english_only(model) else "it was made to transcribe only"
        raise InvalidRequest(f"{model} cannot translate: {why}. large-v3 and small can.", parameter="task")
    languages = [("language", language)] if language else [("languages", code) for code in possible]
    for parameter, code in languages:
        if code not in able.languages:
            knows = "knows English only, not" if is_english_only(model) else "does not know"
            raise InvalidRequest(f"{model} {knows} {LANGUAGES.get(code, code)}.", parameter=parameter)
    if not language and len(able.languages) > 1 and not able.detects_language:
        raise InvalidRequest(f"{model} does not detect the language: name it.", parameter="language")


def check_extras(model: str, *, prompt: str | None, hotwords: str | None, temperature: float | None) -> None:
    """Raises InvalidRequest for what the model would not look at."""
    able = abilities(model)
    for name, value in (("prompt", prompt), ("hotwords", hotwords)):
        if value and value.strip() and not able.takes_context:
            raise InvalidRequest(f"{model} takes no {name}.", parameter=name)
    if temperature is not None and not able.takes_temperature:
        raise InvalidRequest(f"{model} has no temperature.", parameter="temperature")
