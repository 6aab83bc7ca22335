"""What can be asked for, models and languages, as response bodies."""

from __future__ import annotations

from api.bodies.tasks import Language, Languages, LiveModels, ModelInfo, Models
from shared.abilities import abilities, is_english_only
from shared.config import Settings
from shared.kernel.fleet import Stock
from shared.languages import LANGUAGES


def models(config: Settings, stock: Stock) -> Models:
    """The models of this server's list, with what its workers have of them, and its default."""
    return Models(
        default=config.whisper_model,
        models=[_model(name, stock) for name in config.allowed_models],
        live=LiveModels(model=config.live_model or None, final_model=config.live_final_model or None),
    )


def languages() -> Languages:
    """All languages by code."""
    return Languages(languages=[Language(code=code, name=name) for code, name in LANGUAGES.items()])


def _model(name: str, stock: Stock) -> ModelInfo:
    able = abilities(name)
    return ModelInfo(
        id=name,
        engine=able.engine,
        languages=sorted(able.languages),
        english_only=is_english_only(name),
        translates=able.translates,
        detects_language=able.detects_language,
        installed=stock.has_installed(name),
        loaded=stock.has_loaded(name),
    )
