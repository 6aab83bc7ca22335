"""Tasks that were begun, so that the same command picks them up again instead of sending everything once more."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

CHUNK_BYTES = 1024**2

KEPT_S = 90 * 24 * 3600
"""What nobody asked for in so long is forgotten."""


def sha256(path: Path, on_bytes: Callable[[int], None]) -> str:
    """Hash of a file's content, read a chunk at a time; `on_bytes` hears how far it is. Raises OSError."""
    digest, byte_count = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            byte_count += len(chunk)
            on_bytes(byte_count)
    return digest.hexdigest()


def request_key(server: str, api_key: str | None, recording: str, fields: Mapping[str, str]) -> str:
    """Names a request: the same recording (its hash or URL) with the same options to the same server by the same key.

    It is sent as Idempotency-Key, and does not reveal what it is made of.
    """
    parts = [server, api_key, recording, sorted(fields.items())]
    return "parley-cli-" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def state_folder() -> Path:
    """What this program keeps for its user: $XDG_STATE_HOME/parley."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "parley"


class Memory:
    """The tasks of requests, one small file for each, below $XDG_STATE_HOME/parley/tasks."""

    def __init__(self) -> None:
        self._folder = state_folder() / "tasks"

    def get(self, key: str) -> str | None:
        """The task of a request, if there was one."""
        try:
            return self._file(key).read_text().strip() or None
        except OSError:
            return None

    def put(self, key: str, task_id: str) -> None:
        """Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False) as draft:
            draft.write(task_id + "\n")
        Path(draft.name).replace(self._file(key))

    def tidy(self) -> None:
        """Forget what is too old to be asked for again."""
        before = time.time() - KEPT_S
        for file in self._folder.glob("*"):
            try:
                if file.stat().st_mtime < before:
                    file.unlink()
            except OSError:
                continue  # another run was faster

    def _file(self, key: str) -> Path:
        return self._folder / key
