"""What routes ask for by type: a session, the caller, the object store, the settings."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, cast

from fastapi import Depends, Header, Query, Request
from sqlalchemy.orm import Session

from api.auth import Poll, PresentedKey, identify, poll, submitter
from api.delivery import Granularity, TranscriptView
from api.transcripts.screen import BOUNDS, Marks, PresetName, ScreenChoices
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


async def _submitter(request: Request, _key: PresentedKey) -> Caller:
    return await submitter(request)


def _detached_admin(request: Request, key: PresentedKey) -> Caller:
    with db.session() as opened:
        return identify(opened, request, key, "admin")


async def _poll(task_id: uuid.UUID, request: Request, _key: PresentedKey) -> Poll:
    return await poll(request, task_id)


async def _job_poll(job_id: uuid.UUID, request: Request, _key: PresentedKey) -> Poll:
    return await poll(request, job_id)


CallerDep = Annotated[Caller, Depends(_caller, scope="function")]
AdminDep = Annotated[Caller, Depends(_admin, scope="function")]
DetachedCallerDep = Annotated[Caller, Depends(_detached_caller)]
DetachedAdminDep = Annotated[Caller, Depends(_detached_admin)]
"""As those above, but no transaction stays open, for routes that take long or commit by themselves."""

SubmitterDep = Annotated[Caller, Depends(_submitter)]
"""A detached caller that may submit a task now, or repeats a request. It is asked before the body is read."""


PollDep = Annotated[Poll, Depends(_poll)]
JobPollDep = Annotated[Poll, Depends(_job_poll)]
"""The caller and how the task in the path stands, for routes that are asked again and again: no thread, no session."""


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


def _limit(name: str, description: str) -> Any:
    least, most = BOUNDS[name]
    return Query(description=f"Subtitles: {description}, {least:g} to {most:g}")


def _subtitle_choices(
    max_line_length: Annotated[int | None, _limit("max_line_length", "columns of a line")] = None,
    max_lines: Annotated[int | None, _limit("max_lines", "lines of a cue")] = None,
    min_cue_s: Annotated[float | None, _limit("min_cue_s", "minimum seconds a cue is shown")] = None,
    max_cue_s: Annotated[float | None, _limit("max_cue_s", "maximum seconds a cue is shown")] = None,
    reading_speed: Annotated[float | None, _limit("reading_speed", "columns read in a second")] = None,
    gap_s: Annotated[float | None, _limit("gap_s", "seconds without text between two cues")] = None,
    closed_gap_s: Annotated[float | None, _limit("closed_gap_s", "shorter gaps are closed to gap_s")] = None,
    speaker_marks: Annotated[
        Marks | None, Query(description="Subtitles: names of speakers, or a dash for each in a cue of several")
    ] = None,
) -> ScreenChoices:
    return cast(ScreenChoices, {name: value for name, value in locals().items() if value is not None})


def _newest_view(
    subtitles: Annotated[ScreenChoices, Depends(_subtitle_choices)],
    format: Annotated[Format | None, Query(description="Default: the task's own")] = None,
    response_format: Annotated[Format | None, Query(description="The same as format")] = None,
    timestamp_granularity: Annotated[
        Granularity | None, Query(description="word puts each word's times into json")
    ] = None,
    preset: Annotated[
        PresetName | None, Query(description="Subtitles: limits of a broadcaster, for what is not given itself")
    ] = None,
) -> TranscriptView:
    if format and response_format and format != response_format:
        raise InvalidRequest("format is given twice, under two names.", parameter="format")
    return TranscriptView(format or response_format, timestamp_granularity, None, preset, subtitles)


NewestViewDep = Annotated[TranscriptView, Depends(_newest_view)]


def _transcript_view(
    view: NewestViewDep,
    version: Annotated[
        int | None,
        Query(ge=0, le=2**31 - 1, description="Version of the corrections; default: the newest. 0 is the original"),
    ] = None,
) -> TranscriptView:
    return replace(view, version=version)


TranscriptViewDep = Annotated[TranscriptView, Depends(_transcript_view)]
"""How the query asks for a transcript to be shown: as it is now, or also as it was. It must stand behind the caller's
in the parameters of the route."""
