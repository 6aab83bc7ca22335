"""What routes ask for by type: a session, the caller, the object store, the settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from sqlalchemy.orm import Session

from api import limits
from api.auth import PresentedKey, identify
from shared import db
from shared.callers.keys import Caller
from shared.config import Settings, settings
from shared.storage import Storage, storage


def _session() -> Iterator[Session]:
    with db.session() as opened:
        yield opened


SessionDep = Annotated[Session, Depends(_session, scope="function")]
"""One transaction per request. It is committed when the route has returned, before the response is sent."""


def _caller(request: Request, session: SessionDep, key: PresentedKey) -> Caller:
    return identify(session, request, key, "transcribe")


def _admin(request: Request, session: SessionDep, key: PresentedKey) -> Caller:
    return identify(session, request, key, "admin")


def _detached_caller(request: Request, key: PresentedKey) -> Caller:
    with db.session() as opened:
        return identify(opened, request, key, "transcribe")


def _submitter(request: Request, key: PresentedKey) -> Caller:
    with db.session() as opened:
        caller = identify(opened, request, key, "transcribe")
        limits.admit(opened, caller, request.headers.get("idempotency-key"), limits.announced_bytes(request))
        return caller


def _detached_admin(request: Request, key: PresentedKey) -> Caller:
    with db.session() as opened:
        return identify(opened, request, key, "admin")


CallerDep = Annotated[Caller, Depends(_caller, scope="function")]
AdminDep = Annotated[Caller, Depends(_admin, scope="function")]
DetachedCallerDep = Annotated[Caller, Depends(_detached_caller)]
DetachedAdminDep = Annotated[Caller, Depends(_detached_admin)]
"""As those above, but no transaction stays open, for routes that take long or commit by themselves."""

SubmitterDep = Annotated[Caller, Depends(_submitter)]
"""A detached caller that may submit a task now, or repeats a request. It is asked before the body is read."""


def _idempotency_key(*, is_documented: bool) -> Any:
    return Header(
        alias="Idempotency-Key",
        max_length=255,
        pattern="^[ -~]+$",
        description="For 24 hours the same key with the same request gives the same answer, and makes nothing twice",
        include_in_schema=is_documented,
    )


IdempotencyKeyDep = Annotated[str | None, _idempotency_key(is_documented=True)]
ContractIdempotencyKeyDep = Annotated[str | None, _idempotency_key(is_documented=False)]
"""The same for the APIs of others, whose documents do not have it."""


async def _settings() -> Settings:  # async, as it never blocks: a plain function would cost a hop to a thread
    return settings()


async def _storage() -> Storage:
    return storage()


SettingsDep = Annotated[Settings, Depends(_settings)]
StorageDep = Annotated[Storage, Depends(_storage)]
