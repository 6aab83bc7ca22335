"""Another MODEL_DIR, such as one carried to an air-gapped machine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.weights import manifest
from scripts.weights.catalogue import Item
from scripts.weights.download import SourceFailed

if TYPE_CHECKING:
    from rich.progress import Progress


class Folder:
    """Copies models that are right in `model_dir`."""

    name = "folder"

    def __init__(self, model_dir: Path) -> None:
        self._model_dir = model_dir

    def fetch(self, item: Item, folder: Path, progress: Progress) -> None:
        """Put the item's files into `folder`. Raises `SourceFailed`."""
        source = self._model_dir / item.name
        fault = manifest.fault(source, item, manifest.read(self._model_dir).get(item.name))
        if fault is not None:
            raise SourceFailed(f"{item.name}: {fault}")
        shutil.copytree(source, folder, dirs_exist_ok=True)
