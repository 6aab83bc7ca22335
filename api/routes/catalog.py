"""What can be asked for: models and languages."""

from __future__ import annotations

from fastapi import APIRouter

from api.bodies.tasks import Language, Languages, ModelInfo, Models
from api.dependencies import CallerDep, SettingsDep
from api.errors import responses
from shared.abilities import abilities, is_english_only
from shared.errors import DatabaseUnavailable, Forbidden, Unauthorized
from shared.languages import LANGUAGES

router = APIRouter(tags=["catalogue"], responses=responses(Unauthorized, Forbidden, DatabaseUnavailable))


@router.get("/models", response_model=Models, summary="Available models")
def models(caller: CallerDep, config: SettingsDep) -> Models:
    """This server's allow-list and its default."""
    return Models(default=config.whisper_model, models=[_described(name) for name in config.allowed_models])


def _described(name: str) -> ModelInfo:
    able = abilities(name)
    return ModelInfo(
        id=name,
        engine=able.engine,
        languages=sorted(able.languages),
        english_only=is_english_only(name),
        translates=able.translates,
        detects_language=able.detects_language,
    )


@router.get("/languages", response_model=Languages, summary="Available languages")
def languages(caller: CallerDep) -> Languages:
    """By code; `language` takes the code or the name."""
    return Languages(languages=[Language(code=code, name=name) for code, name in LANGUAGES.items()])
