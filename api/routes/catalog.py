"""What can be asked for: models and languages."""

from __future__ import annotations

from fastapi import APIRouter

from api.bodies.tasks import Language, Languages, ModelInfo, Models
from api.dependencies import CallerDep, SessionDep, SettingsDep
from api.errors import responses
from shared.abilities import abilities, is_english_only
from shared.errors import DatabaseUnavailable, Forbidden, Unauthorized
from shared.kernel import fleet
from shared.languages import LANGUAGES

router = APIRouter(tags=["catalogue"], responses=responses(Unauthorized, Forbidden, DatabaseUnavailable))


@router.get("/models", response_model=Models, summary="Available models")
def models(caller: CallerDep, work: SessionDep, config: SettingsDep) -> Models:
    """This server's allow-list and its default, with what its workers said in the last seconds of each model."""
    stock = fleet.stock(work)
    return Models(default=config.whisper_model, models=[_described(name, stock) for name in config.allowed_models])


def _described(name: str, stock: fleet.Stock) -> ModelInfo:
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


@router.get("/languages", response_model=Languages, summary="Available languages")
def languages(caller: CallerDep) -> Languages:
    """By code; `language` takes the code or the name."""
    return Languages(languages=[Language(code=code, name=name) for code, name in LANGUAGES.items()])
