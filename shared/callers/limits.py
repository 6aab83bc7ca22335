"""What one API key may use. These are bounds; its fair share of the workers is the ring window's business.

The requests per minute are counted in Valkey by api/limits.py; everything here is asked of PostgreSQL.
"""

from __future__ import annotations

import math
import time
import uuid
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.config import Settings
from shared.errors import InvalidRequest, QuotaExceeded, ServiceBusy, TooManyQueued
from shared.ledger import counts
from shared.models import ApiKey, AudioDay, Stage
from shared.stages import FINAL, profile
from shared.states import StageState

OBSERVED = timedelta(minutes=5)
"""The throughput that a Retry-After is derived from is that of the last five minutes. When nothing ended in that time,
the same time is the advice: long enough to see something end."""

LONGEST_ADVICE_S = 3600
"""Nobody can tell how long a queue of hours takes."""


COUNTED_FOR_S = 1.0
"""How long a count of the whole queue holds, which no submission needs anew."""


@dataclass(slots=True)
class _Queue:
    """How many tasks of all keys wait, as this process counted them last."""

    count: int = 0
    counted_at: float = -COUNTED_FOR_S

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.counted_at < COUNTED_FOR_S

    def has_room(self, session: Session, most: int, count: int) -> bool:
        if not self.is_fresh:
            self.count = counts.waiting(session)
            self.counted_at = time.monotonic()
        return self.count + count <= most


_queue = _Queue()


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a key. None means that the server's setting holds, 0 that there is no limit."""

    requests_per_minute: int | None = None
    max_running: int | None = None
    max_queued: int | None = None
    minutes_per_day: int | None = None
    max_open_uploads: int | None = None
    max_announced_bytes: int | None = None
    max_stored_bytes: int | None = None
    max_waiting_deliveries: int | None = None
    webhook_tests_per_minute: int | None = None
    retention_seconds: int | None = None

    @staticmethod
    def of(row: ApiKey) -> Limits:
        """The key's own."""
        return Limits(**{field.name: getattr(row, field.name) for field in fields(Limits)})

    def value(self, name: str, config: Settings) -> int:
        """The limit that holds, by the name that it has here and in the settings; 0 is none."""
        override = getattr(self, name)
        return int(getattr(config, name) if override is None else override)


def is_roomy(limits: Limits, config: Settings) -> bool:
    """Whether a key without limits of this kind may submit a task, as far as this process has counted just now."""
    has_limits = limits.value("max_queued", config) or limits.value("minutes_per_day", config)
    return not has_limits and _queue.is_fresh and _queue.count < config.max_queued_tasks


def check_room(session: Session, owner_id: uuid.UUID, limits: Limits, config: Settings, count: int = 1) -> None:
    """Whether this key may submit so many more tasks now.

    Raises TooManyQueued, QuotaExceeded and ServiceBusy, each with `retry_after_s`, and InvalidRequest for more than
    there can ever be room for. Tasks that are on their way in at the same moment do not see each other, so a limit can
    be passed by as many, and the whole queue by a second's worth.
    """
    if most := limits.value("max_queued", config):
        if count > most:
            raise InvalidRequest(f"This API key may have {most} tasks waiting, not {count}.", max_queued=most)
        waiting = counts.waiting(session, owner_id)
        if waiting + count > most:
            raise TooManyQueued(
                f"This API key has {waiting} tasks waiting and may have {most}.",
                max_queued=most,
                retry_after_s=_advice_s(session, owner_id, waiting + count - most),
            )
    if minutes := limits.value("minutes_per_day", config):
        _check_day(session, owner_id, minutes)
    if not _queue.has_room(session, config.max_queued_tasks, count):
        raise ServiceBusy("The queue is full; nothing was accepted.", retry_after_s=_advice_s(session))


def note_audio(session: Session, owner_id: uuid.UUID, seconds: float) -> None:
    """Count audio towards today. Call late in a transaction: the day's row of the key stays locked until its end."""
    statement = insert(AudioDay).values(owner_id=owner_id, day=today(), seconds=seconds)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["owner_id", "day"], set_={"seconds": AudioDay.seconds + statement.excluded.seconds}
        )
    )


def _used_s(session: Session, owner_id: uuid.UUID) -> float:
    return session.scalar(select(AudioDay.seconds).where(AudioDay.owner_id == owner_id, AudioDay.day == today())) or 0


def _check_day(session: Session, owner_id: uuid.UUID, minutes: int) -> None:
    if _used_s(session, owner_id) < minutes * 60:
        return
    now = datetime.now(UTC)
    resets_at = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    raise QuotaExceeded(
        f"This API key has used its {minutes} minutes of audio for today (UTC).",
        minutes_per_day=minutes,
        resets_at=resets_at.isoformat(),
        retry_after_s=math.ceil((resets_at - now).total_seconds()),
    )


def today() -> date:
    """The day whose minutes are counted now."""
    return datetime.now(UTC).date()


def _advice_s(session: Session, owner_id: uuid.UUID | None = None, tasks: int = 1) -> int:
    """Seconds in which so many of the tasks (of this key) that now wait will have been begun, by what ended lately."""
    ended = select(func.count()).where(
        Stage.name == FINAL,
        Stage.profile == profile(FINAL, {}, ""),
        Stage.state == StageState.DONE,
        Stage.attempt > 0,
        Stage.finished_at > func.now() - OBSERVED,
    )
    if owner_id:
        ended = ended.where(Stage.owner_id == owner_id)
    count = session.scalar(ended) or 0
    seconds = tasks * OBSERVED.total_seconds() / count if count else OBSERVED.total_seconds()
    return min(max(math.ceil(seconds), 1), LONGEST_ADVICE_S)
