"""What a live session may have, as its key's limits have it now: minutes of the day, and bytes that are kept."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from shared.callers import keys, limits, quotas
from shared.config import Settings
from shared.db import Query, Reading
from shared.live.sessions import CONTAINER, Hold
from shared.states import TERMINAL

OVER = [str(state) for state in TERMINAL]


@dataclass(frozen=True, slots=True)
class Allowance:
    """Seconds and bytes that the session may have in all, beside all else of its key. None is any number."""

    seconds: float | None
    bytes: int | None


def of(held: Hold, owner_id: uuid.UUID, config: Settings) -> Reading[Allowance]:
    """Raises Unauthorized when the key was revoked."""
    row = yield _with_own_bytes(quotas.of_owner(owner_id), held)
    key, own_bytes = (row[:-1], row[-1] or 0) if row else (None, 0)
    own, usage = keys.caller(key).limits, quotas.usage(key)
    seconds = None
    if minutes := own.value("minutes_per_day", config):
        values = {"owner": owner_id, "job": held.job_id, "today": limits.today(), "over": OVER}
        spoken = yield Query(_SPOKEN, values | {"container": CONTAINER})
        assert spoken
        seconds = max(0.0, minutes * 60 - float(spoken[0]))
    most = own.value("max_stored_bytes", config)
    others_bytes = usage.stored_bytes - own_bytes + usage.announced_bytes
    return Allowance(seconds, max(0, most - others_bytes) if most else None)


def _with_own_bytes(usage: Query, held: Hold) -> Query:
    """The row of `usage`, with the session's own bytes as one more column. In one statement, as more of them come all
    the time."""
    own_bytes = "SELECT bytes FROM live_sessions WHERE job_id = %(job)s AND has_chunks"
    query = f"SELECT of_key.*, ({own_bytes}) FROM ({usage.text}) AS of_key"  # noqa: S608 - made of constants
    return Query(query, {**usage.parameters, "job": held.job_id})


# sound is counted when it has been probed; of other sessions it counts from its first byte. How long a container is is
# not known before: at least as long as it has been arriving
_SPOKEN = """
    SELECT coalesce((SELECT seconds FROM audio_days WHERE owner_id = %(owner)s AND day = %(today)s), 0) + coalesce((
        SELECT sum(greatest(live_sessions.bytes / (2.0 * rate), CASE encoding WHEN %(container)s
            THEN extract(epoch FROM coalesce(live_sessions.ended_at, now()) - live_sessions.created_at) END))
        FROM live_sessions JOIN jobs ON jobs.id = job_id
        WHERE live_sessions.owner_id = %(owner)s AND has_chunks AND job_id <> %(job)s
          AND jobs.duration IS NULL AND jobs.state <> ALL(%(over)s)
    ), 0)
"""
