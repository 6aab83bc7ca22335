"""Query parameters of the history -> what is looked for. The same for its pages and its export."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Query, Request

from api.history.search import Filters
from api.languages import hint, language_code
from shared.errors import InvalidRequest
from shared.states import JobState

Limit = Annotated[int, Query(ge=1, le=100, description="Entries per page")]
Cursor = Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before")]

REPEATABLE = frozenset({"tag"})


def _filters(
    request: Request,
    status: Annotated[JobState | None, Query(description="Only tasks in this state")] = None,
    language: Annotated[
        str | None, Query(max_length=64, description="Only in this language: a code, tag or name")
    ] = None,
    model: Annotated[str | None, Query(max_length=255, description="Only transcripts that this model has made")] = None,
    tag: Annotated[
        list[str], Query(max_length=20, description="Only tasks with this tag; of several, with all of them")
    ] = [],  # noqa: B006
    reference: Annotated[str | None, Query(max_length=255, description="Only tasks with this very reference")] = None,
    batch_id: Annotated[uuid.UUID | None, Query(description="Only tasks of this batch")] = None,
    since: Annotated[str | None, Query(max_length=64, description="Created then or later (RFC 3339, or a day)")] = None,
    until: Annotated[str | None, Query(max_length=64, description="Created before then (RFC 3339, or a day)")] = None,
    q: Annotated[
        str | None,
        Query(
            max_length=500,
            description="Words of the transcript, the file name, tags or the reference: "
            '`word other` (both), `"a phrase"`, `one or other`, `-not`',
        ),
    ] = None,
) -> Filters:
    pairs = request.query_params.multi_items()
    names = [name for name, _ in pairs]
    for name, value in pairs:
        if names.count(name) > 1 and name not in REPEATABLE:
            raise InvalidRequest(f"{name[:100]!r} is given twice.", parameter=name[:100])
        if "\x00" in value:
            raise InvalidRequest(f"{name[:100]!r} holds a null character.", parameter=name[:100])
    filters = Filters(
        state=status,
        language=_language(language),
        model=model or None,
        tags=tuple(dict.fromkeys(one for one in tag if one)),
        reference=reference or None,
        batch_id=batch_id,
        since=_moment("since", since),
        until=_moment("until", until),
        words=q or None,
    )
    if filters.since and filters.until and filters.since >= filters.until:
        raise InvalidRequest("until must be later than since.", parameter="until")
    return filters


FiltersDep = Annotated[Filters, Depends(_filters)]


def only(request: Request, *names: str) -> None:
    """Refuse parameters that do not exist: a filter that is misspelt would find everything. Raises InvalidRequest."""
    for name in request.query_params:
        if name not in names:
            raise InvalidRequest(f"There is no parameter {name[:100]!r}.", parameter=name[:100])


FILTERS = ("status", "language", "model", "tag", "reference", "batch_id", "since", "until", "q")


def _language(value: str | None) -> str | None:
    if not value:
        return None
    code = language_code(value)
    if code is None:
        raise InvalidRequest(
            f"language must be one of those that GET /languages lists.{hint(value)}", parameter="language"
        )
    return code


def _moment(name: str, value: str | None) -> datetime | None:
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if len(value) == len("2026-03-01"):
            return moment.replace(tzinfo=UTC)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(
            f"{name} must be a time with its zone, such as 2026-03-01T08:00:00Z, or a day (UTC), such as 2026-03-01. "
            "A + has to be sent as %2B.",
            parameter=name,
        ) from error
