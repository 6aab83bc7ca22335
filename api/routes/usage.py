"""GET /usage: what a key has used. GET /admin/usage: what all keys have."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BeforeValidator

from api.bodies.tasks import OwnUsage, QuotaUse, Usage, UsageItem, UsageTotal
from api.dependencies import AdminDep, CallerDep, SessionDep, SettingsDep
from api.errors import responses
from api.history.filters import only
from shared.callers import quotas, usage
from shared.callers.usage import Use
from shared.errors import DatabaseUnavailable, Forbidden, InvalidRequest, Unauthorized

router = APIRouter(responses=responses(Unauthorized, Forbidden, InvalidRequest, DatabaseUnavailable))


def _day(value: object) -> object:
    """RFC 3339's full-date and nothing else: a number would be read as seconds since 1970."""
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise ValueError("must be a day, such as 2026-03-01")
    return value


Day = Annotated[date, BeforeValidator(_day)]
Since = Annotated[Day | None, Query(description="First day (UTC); without it the first of this month")]
Until = Annotated[Day | None, Query(description="Last day (UTC); without it today")]
By = Annotated[str, Query(max_length=64, description="Group by day, model or both, separated by commas")]


@router.get("/usage", response_model=OwnUsage, tags=["tasks"], summary="Usage of this key")
def mine(
    request: Request,
    caller: CallerDep,
    session: SessionDep,
    config: SettingsDep,
    since: Since = None,
    until: Until = None,
    by: By = "day",
) -> OwnUsage:
    """Finished tasks, minutes of audio and bytes of recordings. Deleting tasks does not reduce them.

        curl -H "Authorization: Bearer $API_KEY" "$URL/usage?since=2026-03-01&until=2026-03-31&by=day,model"

    A task that failed or was cancelled is not counted. One that was answered from what was known has no minutes.
    `quotas` is how things stand now: open uploads, bytes announced and stored, webhooks that wait.
    """
    only(request, "since", "until", "by")
    first, last = _days(since, until)
    spent = _usage(first, last, usage.used(session, caller.id, first, last, _names(by, ("day", "model"))))
    quota_usage = quotas.used(session, caller.id, caller.limits, config)
    return OwnUsage(
        **dict(spent),
        quotas={name: QuotaUse(used=quota.used, limit=quota.limit) for name, quota in quota_usage.items()},
    )


@router.get("/admin/usage", response_model=Usage, tags=["admin"], summary="Usage of all keys")
def of_all(
    request: Request,
    caller: AdminDep,
    session: SessionDep,
    since: Since = None,
    until: Until = None,
    by: Annotated[
        str, Query(max_length=64, description="Group by any of key, day, model, separated by commas")
    ] = "key",
    key: Annotated[uuid.UUID | None, Query(description="Only this key, by its id")] = None,
) -> Usage:
    """The same for all keys, also the revoked ones, or for one.

    curl -H "Authorization: Bearer $ADMIN_KEY" "$URL/admin/usage?since=2026-03-01&by=key,model"
    """
    only(request, "since", "until", "by", "key")
    first, last = _days(since, until)
    return _usage(first, last, usage.used(session, key, first, last, _names(by, ("key", "day", "model"))))


def _days(since: date | None, until: date | None) -> tuple[date, date]:
    last = until or max(usage.today(), since or date.min)
    first = since or last.replace(day=1)
    if first > last:
        raise InvalidRequest("until must not be before since.", parameter="until")
    return first, last


def _names(value: str, choices: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    if not set(names) <= set(choices):
        raise InvalidRequest(f"by must be some of {', '.join(choices)}, separated by commas.", parameter="by")
    return names


def _usage(since: date, until: date, used: Sequence[Use]) -> Usage:
    items = [
        UsageItem(
            day=use.day,
            model=use.model,
            key_id=use.key,
            tasks=use.tasks,
            minutes=round(use.seconds / 60, 3),
            bytes=use.bytes,
        )
        for use in used
    ]
    total = UsageTotal(
        tasks=sum(use.tasks for use in used),
        minutes=round(sum(use.seconds for use in used) / 60, 3),
        bytes=sum(use.bytes for use in used),
    )
    return Usage(since=since, until=until, items=items, total=total)
