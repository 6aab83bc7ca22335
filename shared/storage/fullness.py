"""Whether the object store takes anything more. Some say so (507, or a code); SeaweedFS on a full disk only says that
it failed. So once a write has been refused, a thread goes on trying one until it is taken: while it is refused, uploads
are told at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from shared.errors import ParleyError, StorageFull, StorageRefused, StorageUnavailable
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

SURE_AFTER_S = 10.0
"""A store that starts refuses writes for a moment, too: it is full when it has refused every one for so long."""

INTERVAL_S = 2.0


class Fullness:
    """`probe` writes as much as a part of an upload, and raises what a write raises."""

    def __init__(self, probe: Callable[[], None]) -> None:
        self._probe = probe
        self._lock = threading.Lock()
        self._is_watched = False
        self._is_full = False

    def check(self) -> None:
        """Raises StorageFull while nothing can be stored, as far as is known."""
        if self._is_full:
            raise StorageFull("The object store takes nothing more: its disk is full.")

    def note(self, error: BaseException) -> None:
        """A write ended so. From now on the store is watched if it was refused."""
        if not isinstance(error, (StorageFull, StorageRefused)):
            return
        with self._lock:
            if self._is_watched:
                return
            self._is_watched, self._is_full = True, isinstance(error, StorageFull)
        threading.Thread(target=self._watch, name="storage-fullness", daemon=True).start()

    def _watch(self) -> None:
        refused_at = time.monotonic()
        while True:
            time.sleep(INTERVAL_S)
            try:
                self._probe()
            except StorageFull:
                is_full = True
            except StorageRefused:
                is_full = self._is_full or time.monotonic() - refused_at >= SURE_AFTER_S
            except StorageUnavailable:
                refused_at, is_full = time.monotonic(), self._is_full
            except ParleyError:  # the bucket is gone: nobody knows
                is_full = False
            else:
                break
            if is_full and not self._is_full:
                log.error("storage_full")
            self._is_full = is_full
        with self._lock:
            self._is_watched = self._is_full = False
        log.info("storage_takes_writes")
