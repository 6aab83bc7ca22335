"""What recordings on their way in may take of one gateway process: memory, and a number of requests per key.

A request reserves, before its body is read, all that it can need, so that none has to wait in the middle for memory
that others hold. Whoever finds too little is refused at once: nobody waits for another's uploads.
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from shared.config import settings
from shared.errors import ServiceBusy, TooManyTransfers

RETRY_AFTER_S = 5
"""An upload of 100 MB at 20 MB/s takes as long."""

SHARE = 4


class Budget:
    """`total_bytes` for all keys together.

    A key may hold a quarter of what it leaves free: alone a fifth of the whole, and with every key that takes all it
    may a fifth of the rest. After ten such keys a tenth is left for the next one.
    """

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._bytes: Counter[uuid.UUID] = Counter()
        self._transfers: Counter[uuid.UUID] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def reserved(self, key_id: uuid.UUID, size: int, most: int) -> Iterator[None]:
        """Hold `size` bytes for one of at most `most` transfers of a key (0: any number).

        Raises TooManyTransfers when the key has its share, and ServiceBusy when all keys together hold too much.
        """
        with self._lock:
            self._check(key_id, size, most)
            self._bytes[key_id] += size
            self._transfers[key_id] += 1
        try:
            yield
        finally:
            with self._lock:
                for counts, share in ((self._bytes, size), (self._transfers, 1)):
                    counts[key_id] -= share
                    if not counts[key_id]:
                        del counts[key_id]

    def _check(self, key_id: uuid.UUID, size: int, most: int) -> None:
        transfers, usage = self._transfers[key_id], self._bytes[key_id]
        free = self._total_bytes - self._bytes.total() - size
        if most and transfers >= most:
            raise TooManyTransfers(
                f"This API key is sending {transfers} recordings or parts at the same time and may send {most}.",
                max_transfers=most,
                retry_after_s=RETRY_AFTER_S,
            )
        if usage and SHARE * (usage + size) > free:
            raise TooManyTransfers(
                f"The {transfers} recordings or parts that this API key is sending take its share of the memory.",
                transfers=transfers,
                retry_after_s=RETRY_AFTER_S,
            )
        if free < 0:
            raise ServiceBusy("Too much is being sent at the same time.", retry_after_s=RETRY_AFTER_S)


@cache
def budget() -> Budget:
    """This process's."""
    return Budget(settings().upload_memory_bytes)
