"""A Whisper model that can leave its graphics card, and how much memory one takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ctranslate2
from faster_whisper import WhisperModel

from tasks.engines import memory

MEMORY_PER_BYTE = {
    "cpu": {"int8": 2.0, "int8_float32": 2.0, "int16": 3.0, "bfloat16": 3.0, "float32": 4.0},
    "cuda": {
        "int8": 1.0,
        "int8_float16": 1.0,
        "int8_bfloat16": 1.0,
        "int8_float32": 1.0,
        "float16": 1.5,
        "bfloat16": 1.5,
        "float32": 3.0,
    },
}
"""Bytes of memory per byte of weights on the disk, which are of 16 bits, to load them and decode one piece at a time.

On a CPU the peak is the load, which holds the weights twice, as they are and as they will be: base 1.8 with int8 and
4.0 with float32, tiny.en 2.2 with int8 (measured). On a card faster-whisper's own table has large-v2 (3.1 GB) at
4.5 GB with float16 and 2.9 GB with int8 (13 minutes, beam 5). The others follow from the width of their numbers."""


@dataclass(frozen=True, slots=True)
class Engine:
    """How one Whisper model is to be loaded.

    cpu_threads : of each worker
    num_workers : calls that it answers at the same time; the others wait
    """

    folder: Path
    device: str
    compute_type: str
    cpu_threads: int
    num_workers: int = 1

    @property
    def memory_bytes(self) -> int:
        """What it needs to be of use, with one worker that decodes one piece at a time. Types that only CTranslate2 can
        resolve count as the widest."""
        factors = MEMORY_PER_BYTE[self.device]
        size = (self.folder / "model.bin").stat().st_size
        return round(size * factors.get(self.compute_type, max(factors.values())))


class Whisper(WhisperModel):  # type: ignore[misc]
    """faster-whisper's model, loaded as `engine` says. `cpu_fallback` is how it goes on when its card is full."""

    def __init__(self, engine: Engine, cpu_fallback: Engine | None = None) -> None:
        super().__init__(
            str(engine.folder),
            device=engine.device,
            compute_type=engine.compute_type,
            cpu_threads=engine.cpu_threads,
            num_workers=engine.num_workers,
            local_files_only=True,
        )
        self.name = engine.folder.name
        self._cpu_fallback = cpu_fallback

    @property
    def device(self) -> str:
        """Where it is now: "cpu" or "cuda"."""
        return str(self.model.device)

    @property
    def num_workers(self) -> int:
        """Calls that it answers at the same time."""
        return int(self.model.num_workers)

    def to_cpu(self) -> bool:
        """Leave the card for good: its memory is free at once, and the next call runs on the CPU.

        False when it is on the CPU already, or there is no memory for it there.
        """
        cpu_fallback, self._cpu_fallback = self._cpu_fallback, None
        free = memory.free_bytes("cpu")
        if cpu_fallback is None or (free is not None and free < cpu_fallback.memory_bytes):
            return False
        self.unload()
        self.model = ctranslate2.models.Whisper(
            str(cpu_fallback.folder),
            device="cpu",
            compute_type=cpu_fallback.compute_type,
            intra_threads=cpu_fallback.cpu_threads,
        )
        return True

    def unload(self) -> None:
        """Free the weights, and what the engine keeps for later calls. The model is of no use afterwards."""
        self.model.unload_model()
