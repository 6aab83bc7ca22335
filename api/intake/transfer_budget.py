"""What recordings on their way in may take of one gateway, all its processes together: memory, and a number of
requests per key.

A request reserves, before its body is read, all that it can need, so that none has to wait in the middle for memory
that others hold. Whoever finds too little is refused at once: nobody waits for another's uploads.
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache

from api.processes.table import Table, current
from shared.config import settings
from shared.errors import ServiceBusy, TooManyTransfers

RETRY_AFTER_S = 5
"""An upload of 100 MB at 20 MB/s takes as long."""

SHARE = 4


class Budget:
    """`total_bytes` for all keys together.

    A key may hold a quarter of what it leaves free: alone a fifth of the whole, and with every key that takes all it
    may a fifth of the rest. After ten such keys a tenth is left for the next one.

    `table` has what the other processes of this gateway hold.
    """

    def __init__(self, total_bytes: int, table: Table | None = None) -> None:
        self._total_bytes, self._table = total_bytes, table
        self._bytes: Counter[uuid.UUID] = Counter()
        self._transfers: Counter[uuid.UUID] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def reserved(self, key_id: uuid.UUID, size: int, most: int) -> Iterator[None]:
        """Hold `size` bytes for one of at most `most` transfers of a key (0: any number).

        Raises TooManyTransfers when the key has its share, and ServiceBusy when all keys together hold too much.
        """
        with self._alone():
            self._check(key_id, size, most)
            self._bytes[key_id] += size
            self._transfers[key_id] += 1
            self._tell()
        try:
            yield
        finally:
            with self._alone():
                for counts, share in ((self._bytes, size), (self._transfers, 1)):
                    counts[key_id] -= share
                    if not counts[key_id]:
                        del counts[key_id]
                self._tell()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock, self._table.locked() if self._table else nullcontext():
            yield

    def _tell(self) -> None:
        if self._table:
            keys = self._transfers.keys()  # all that hold bytes
            self._table.write((key.bytes, self._bytes[key], self._transfers[key]) for key in keys)

    def _check(self, key_id: uuid.UUID, size: int, most: int) -> None:
        transfers, usage = self._transfers[key_id], self._bytes[key_id]
        total = self._bytes.total()
        for key, held, count in self._table.others() if self._table else ():
            total += held
            if key == key_id.bytes:
                transfers, usage = transfers + count, usage + held
        free = self._total_bytes - total - size
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
    """This gateway's."""
    return Budget(settings().upload_memory_bytes, current())
