"""The speech models of a worker: on its disk, and in the memory of its pool's processes.

The main process reports them with each sign of life. What the others have in memory it reads from a page that all of
them share, as in shutdown.py.
"""

from __future__ import annotations

import mmap
from collections.abc import Collection

from shared.config import Settings
from shared.kernel.fleet import Stock
from tasks.engine import engine
from tasks.engines import folders, loading

_loaded = mmap.mmap(-1, 1 << 20)
"""A byte for each process of the pool and each offered model, 1 while the process has the model in memory."""


def keep(number: int, config: Settings) -> None:
    """From now on enter what this process, the `number`th of its pool, has in memory. What a killed process had, whose
    number it takes, is forgotten."""
    _enter(number, config)
    loading.on_change(lambda: _enter(number, config))


def stock(queues: Collection[str], processes: int, config: Settings) -> Stock | None:
    """The speech models of this worker; None when it recognises no speech, or does so without models."""
    if "asr" not in queues or not engine(config).has_models:
        return None
    names = config.allowed_models
    rows = [_loaded[number * len(names) : (number + 1) * len(names)] for number in range(processes)]
    loaded = [name for name, *cells in zip(names, *rows, strict=True) if any(cells)]
    return Stock(folders.installed(config), loaded)


def _enter(number: int, config: Settings) -> None:
    loaded = loading.loaded(config)
    row = bytes(name in loaded for name in config.allowed_models)
    _loaded[number * len(row) : (number + 1) * len(row)] = row
