"""Which NVIDIA cards this process uses, and how much of their memory is free.

CUDA is never touched here: a process that has touched it can neither choose its cards any more nor be forked. NVML,
which is asked instead, sees all cards of the machine or container, by number in the order of the bus, or by UUID.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

_cards: tuple[str, ...] = ()
"""What CUDA calls 0, 1, ... in this process; empty is all there are."""


def share(cards: Sequence[str], index: int, processes: int) -> tuple[str, ...]:
    """The cards of process `index` of so many: each card has one process before any has two.

    A process gets several cards only where there are more cards than processes.
    """
    return tuple(cards[index::processes]) or (cards[index % len(cards)],)


def fewest(listed: str, processes: int) -> int:
    """How many of the cards in CUDA_VISIBLE_DEVICES the process with the fewest gets; 0 where it lists none."""
    cards = _split(listed)
    return min(len(share(cards, index, processes)) for index in range(processes)) if cards else 0


def take(listed: str, index: int, processes: int) -> tuple[str, ...]:
    """Let CUDA see only this process's share of the cards in CUDA_VISIBLE_DEVICES. Call before anything loads CUDA."""
    global _cards
    if cards := _split(listed):
        _cards = share(cards, index, processes)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(_cards)
        # By default CUDA numbers the fastest card 0, while nvidia-smi, whose numbers are meant, goes by the bus.
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    return _cards


def _split(listed: str) -> list[str]:
    return [card.strip() for card in listed.split(",") if card.strip()]


def free_bytes(number: int) -> int | None:
    """Free memory of the card that CUDA calls `number` here; None where NVML does not know."""
    import pynvml  # type: ignore[import-untyped]

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        name = _cards[number] if _cards else str(number)
        handle = (
            pynvml.nvmlDeviceGetHandleByIndex(int(name)) if name.isdecimal() else pynvml.nvmlDeviceGetHandleByUUID(name)
        )
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).free)
    except (pynvml.NVMLError, IndexError):
        return None
    finally:
        pynvml.nvmlShutdown()
