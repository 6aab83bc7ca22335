"""Where a session ends, whatever its client sends. Limits of its key are looked at again while it is open."""

from __future__ import annotations

from anyio import CapacityLimiter, move_on_after, to_thread

from api.live.request import MAX_MESSAGE_BYTES
from api.postgres.reader import reader
from shared.callers.keys import Caller
from shared.config import Settings
from shared.errors import StorageFull, StorageUnavailable
from shared.live import allowances
from shared.live.sessions import SAMPLE_BYTES, End, Hold
from shared.storage import storage

ROOM_S = 1.0
THREADS = CapacityLimiter(4)
"""A disk that hangs holds no more."""


class Bounds:
    """Of one session. Its recording must be no longer than others may be, and it ends behind the frame that reaches a
    bound; `frame_bytes` is what one may have.

    quota_s : seconds that its key has left for it, once they are known; None is any number
    """

    def __init__(self, who: Caller, held: Hold, config: Settings, frame_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._who, self._held, self._config = who, held, config
        last_s = frame_bytes / (SAMPLE_BYTES * held.rate) + 1
        self.longest_s = min(config.live_longest_s, max(config.max_duration - last_s, config.max_duration / 2))
        self.quota_s: float | None = None
        self._quota_bytes: int | None = None

    async def look(self) -> None:
        """What a session that has not ended may have beside all else that its key sends and keeps.

        Raises StorageFull where there is no room for what it brings, Unauthorized and DatabaseUnavailable.
        """
        if self._held.end_reason:
            return
        await check_room()
        allowance = await reader.run(allowances.of(self._held, self._who.id, self._config))
        self.quota_s, self._quota_bytes = allowance.seconds, allowance.bytes

    def reason(self, size: int) -> End | None:
        """Why a session of so many bytes ends now; None when it goes on."""
        since_s, spoken_s = self._held.age.now_s, self._held.spoken_s(size)
        if max(spoken_s, since_s) >= self.longest_s:
            return End.LONGEST
        is_spoken = self.quota_s is not None and spoken_s >= self.quota_s
        is_stored = self._quota_bytes is not None and size >= self._quota_bytes
        return End.QUOTA if is_spoken or is_stored else None


async def check_room() -> None:
    """Raises StorageFull before the disk is quite full: PostgreSQL, which has the sound first, may be on the same.

    A store that cannot be reached, or says nothing, is none of a session's matter before its end.
    """
    try:
        with move_on_after(ROOM_S):
            await to_thread.run_sync(storage().check_room, abandon_on_cancel=True, limiter=THREADS)
    except StorageFull:
        raise
    except StorageUnavailable:
        pass
