"""What schemathesis has to know of Parley that OpenAPI cannot say."""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from typing import TYPE_CHECKING

import schemathesis
from schemathesis import HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.openapi.checks import (
    AllowHeaderMismatch,
    EnsureResourceAvailability,
    RejectedPositiveData,
    UnsupportedMethodResponse,
    UseAfterFree,
)

if TYPE_CHECKING:
    from schemathesis.specs.openapi.schemas import OpenApiCase

BEYOND_SCHEMAS = re.compile(
    # one field about another
    r"excludes|is larger than|needs|given twice|is for a live stream at a url|Send only one of|is not possible|"
    r"must be later than|has no field|null character|"
    # values that only we can have made, that settings decide, or that are written in more ways than one
    r"must come from next_cursor|must be the id of an earlier|must be (auto or )?one of those that|must be some of|"
    r"must be a time|seconds at most on this server|must have \d+ bytes|part_bytes must be from"
)
"""Messages of `invalid_request` about rules that no schema states. Errors with other codes are such rules always."""

NOT_REJECTED_RIGHTLY = re.compile(
    r"Invalid component: positive test case|"  # a right request after all, once a link had given it its values
    r"\[\]: Incorrect type"  # in a form one value is a list of one
)
"""Words of schemathesis about wrong requests that are not wrong."""

JOBS_BY_NAME = ("/jobs/failed", "/jobs/clear", "/jobs/repair", "/transcribe/batch")
"""As GET and DELETE these are jobs of that name, so 404 and not 405."""

OF_ONE = {("DELETE", path) for path in ("/tasks/{task_id}", "/jobs/{job_id}", "/api/v1/jobs/{job_id}")}
OF_MANY = {
    ("POST", "/jobs/clear"),
    ("POST", "/jobs/repair"),
    *(("DELETE", path) for path in ("/jobs/all", "/jobs/failed", "/batches/{batch_id}")),
    *(("DELETE", path) for path in ("/uploads/{upload_id}", "/api/audio/{clip_id}")),
}
"""Calls that remove what can be asked for by other paths as well: the task that they name, or whatever it may be."""

ANY = "any"
_removals: list[tuple[float, str]] = []
"""When they did so, in ms since 1970, and the id of the task, or ANY."""


@schemathesis.hook
def filter_case(context: HookContext, case: OpenApiCase) -> bool:
    """Keep the key that everything is asked with, and the first key, which later gateways start with: neither revoke
    nor limit them. All keys are listed, and what is listed is tried."""
    return str(case.path_parameters.get("key_id")) not in os.environ["FUZZ_KEPT_KEYS"].split()


@schemathesis.hook
def after_call(context: HookContext, case: OpenApiCase, response: Response) -> None:
    """Note a removal."""
    call = (case.method.upper(), case.path)
    if call in OF_ONE | OF_MANY and response.status_code < 300:
        (removed,) = map(str, case.path_parameters.values()) if call in OF_ONE else (ANY,)
        _removals.append((time.time() * 1000, removed))


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: OpenApiCase, response: Response) -> bool:
    """Whether a failure is one, and not a rule or a path that a schema cannot express.

    No schema says that an empty parameter of a query counts as left out.
    """
    match failure:
        case RejectedPositiveData():
            body = json.loads(response.text)
            code = body["error"]["code"] if "error" in body else body["code"]
            return code == "invalid_request" and not BEYOND_SCHEMAS.search(response.text)
        case AcceptedNegativeData():
            is_left_out = any(not str(value).strip() for value in (case.query or {}).values())
            return not is_left_out and not NOT_REJECTED_RIGHTLY.search(failure.message)
        case UnsupportedMethodResponse() | AllowHeaderMismatch():
            return case.path not in JOBS_BY_NAME
        case EnsureResourceAvailability():  # it knows removals under the same path only
            return not _was_removed(case)
        case UseAfterFree():  # a key that was revoked stays in the list, and has limits
            return case.path != "/admin/keys/{key_id}"
        case _:
            return True


def _was_removed(case: OpenApiCase) -> bool:
    """Whether what the path names may have been since the newest of it was made. An id is a UUIDv7, which begins with
    its time."""
    ids = [str(value) for value in case.path_parameters.values() if _is_id(str(value))]
    made_ms = max((uuid.UUID(one).int >> 80 for one in ids), default=float("inf"))
    return any(moment >= made_ms and removed in (ANY, *ids) for moment, removed in _removals)


def _is_id(value: str) -> bool:
    try:
        return uuid.UUID(value).version == 7
    except ValueError:
        return False
