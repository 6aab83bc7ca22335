"""The Hugging Face Hub: which files a repository has, what they must hash to, and the files."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.weights.catalogue import WHISPER_FILES, Item
from scripts.weights.download import Remote, SourceFailed, fetch, opener

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo
    from rich.progress import Progress

DEFAULT_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class HubSettings:
    """`endpoint` None means the public Hub, or what HF_ENDPOINT says."""

    token: str | None = None
    endpoint: str | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S

    @staticmethod
    def from_environment() -> HubSettings:
        """HF_TOKEN, HF_ENDPOINT and HUB_TIMEOUT_S."""
        return HubSettings(
            token=os.environ.get("HF_TOKEN") or None,
            endpoint=os.environ.get("HF_ENDPOINT") or None,
            timeout_s=float(os.environ.get("HUB_TIMEOUT_S") or DEFAULT_TIMEOUT_S),
        )


class Hub:
    """One run's view of the Hub: once it has failed to answer, it is not asked again."""

    name = "Hub"

    def __init__(self, settings: HubSettings) -> None:
        self._settings = settings
        self._silent = ""

    def fetch(self, item: Item, folder: Path, progress: Progress) -> None:
        """Put the item's files into `folder`. Raises `SourceFailed`."""
        if not item.repo:
            raise SourceFailed("only the mirror has this model")
        if self._silent:
            raise SourceFailed(self._silent)
        if item.gated and not self._settings.token:
            raise SourceFailed(f"{item.repo} is gated: accept its terms on the Hub and set HF_TOKEN")
        info = self._info(item)
        client = opener()
        for remote, blob_id in self._remotes(item, info):
            path = folder / remote.name
            fetch(remote, path, client, progress)
            if remote.sha256 is None and blob_id is not None:
                _check_git_blob(path, blob_id)

    def _info(self, item: Item) -> ModelInfo:
        """The repository's description, within the time limit whatever the resolver or a proxy does."""
        from huggingface_hub import HfApi

        answer: list[ModelInfo | Exception] = []

        def ask() -> None:
            try:
                api = HfApi(endpoint=self._settings.endpoint, token=self._settings.token or False)
                answer.append(
                    api.model_info(
                        item.repo,
                        revision=item.revision,
                        files_metadata=True,
                        timeout=self._settings.timeout_s,
                    )
                )
            except Exception as error:  # noqa: BLE001 - whatever the library raises, the next source is asked
                answer.append(error)

        # A timeout of the socket does not cover name resolution, so the clock is kept outside.
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(self._settings.timeout_s)
        if not answer:
            self._silent = f"no answer within {self._settings.timeout_s:g} s"
            raise SourceFailed(self._silent)
        if isinstance(answer[0], Exception):
            status = getattr(getattr(answer[0], "response", None), "status_code", None)
            if status is None:
                self._silent = f"does not answer ({type(answer[0]).__name__})"
                raise SourceFailed(self._silent) from answer[0]
            raise SourceFailed(f"{item.repo}: HTTP {status}") from answer[0]
        return answer[0]

    def _remotes(self, item: Item, info: ModelInfo) -> list[tuple[Remote, str | None]]:
        """What to fetch, each with the git hash that stands in where the Hub declares no sha256."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils._headers import build_hf_headers

        headers = build_hf_headers(token=self._settings.token or False)
        pinned = {file.path: file for file in item.files}
        remotes: list[tuple[Remote, str | None]] = []
        for sibling in info.siblings or ():
            name = sibling.rfilename
            is_part = name in pinned if pinned else any(fnmatch.fnmatch(name, glob) for glob in WHISPER_FILES)
            if not is_part:
                continue
            sha256 = pinned[name].sha256 if pinned else sibling.lfs.sha256 if sibling.lfs else None
            size = pinned[name].size_bytes if pinned else sibling.size
            url = hf_hub_url(item.repo, name, revision=info.sha, endpoint=self._settings.endpoint)
            remotes.append((Remote(url, name, sha256, size, headers), sibling.blob_id))
        missing = pinned.keys() - {remote.name for remote, _ in remotes}
        if missing or not remotes:
            raise SourceFailed(f"{item.repo} lacks {', '.join(sorted(missing)) or 'the model'}")
        return remotes


def _check_git_blob(path: Path, blob_id: str) -> None:
    """Compare with git's own hash of the content: sha1 over a header and the bytes."""
    data = path.read_bytes()
    if hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() != blob_id:
        path.unlink()
        raise SourceFailed(f"{path.name} is not the file that the Hub describes")
