"""What can be asked for: models and languages."""

from __future__ import annotations

from fastapi import APIRouter

from api.bodies import catalog
from api.bodies.tasks import Languages, Models
from api.dependencies import CallerDep, SessionDep, SettingsDep
from api.errors import responses
from shared.errors import DatabaseUnavailable, Forbidden, Unauthorized
from shared.kernel import fleet

router = APIRouter(tags=["catalogue"], responses=responses(Unauthorized, Forbidden, DatabaseUnavailable))


@router.get("/models", response_model=Models, summary="Available models")
def models(caller: CallerDep, work: SessionDep, config: SettingsDep) -> Models:
    """This server's allow-list and its default, with what its workers said in the last seconds of each model."""
    return catalog.models(config, fleet.stock(work))


@router.get("/languages", response_model=Languages, summary="Available languages")
def languages(caller: CallerDep) -> Languages:
    """By code. `language` takes these codes and names, and others: docs/api.md#languages."""
    return catalog.languages()
