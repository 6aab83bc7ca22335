"""What routes ask for by type: a session, the caller, the object store, the settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request
from sqlalchemy.orm import Session

from api import limits
from api.auth import PresentedKey, identify
from api.delivery import DEFAULTS, Granularity, TranscriptView
from shared import db
from shared.callers.keys import Caller
from shared.config import Settings, settings
from shared.errors import InvalidRequest
from shared.options import Format
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


def _transcript_view(
    format: Annotated[Format | None, Query(description="Default: the task's own")] = None,
    response_format: Annotated[Format | None, Query(description="The same as format")] = None,
    timestamp_granularity: Annotated[
        Granularity | None, Query(description="word puts each word's times into json")
    ] = None,
    max_line_length: Annotated[int, Query(description="Columns of a line in srt and vtt")] = DEFAULTS.max_line_length,
    max_lines: Annotated[int, Query(description="Lines of a cue in srt and vtt")] = DEFAULTS.max_lines,
    version: Annotated[
        int | None,
        Query(ge=0, le=2**31 - 1, description="Version of the corrections; default: the newest. 0 is the original"),
    ] = None,
) -> TranscriptView:
    if format and response_format and format != response_format:
        raise InvalidRequest("format is given twice, under two names.", parameter="format")
    return TranscriptView(format or response_format, timestamp_granularity, max_line_length, max_lines, version)


TranscriptViewDep = Annotated[TranscriptView, Depends(_transcript_view)]
"""How the query asks for a transcript to be shown. It must stand behind the caller's in the parameters of the route."""
