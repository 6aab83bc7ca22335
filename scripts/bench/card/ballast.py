"""`python -m scripts.bench.card.ballast`: hold so much of a card that little is left, as another program would.

Each line on stdin is how many megabytes are to be left free; "ready FREE" on stdout says when that is so, and how many
are. Plain allocations, given back when stdin closes.
"""

from __future__ import annotations

import sys

import torch

MB = 10**6
STEP = 16 * MB
"""What is tried for the last allocation: less than a card's own granularity gains nothing."""


def main() -> None:
    held: list[torch.Tensor] = []
    for line in sys.stdin:
        reserve = int(line) * MB
        held.clear()
        torch.cuda.empty_cache()
        while (free := torch.cuda.mem_get_info()[0]) > reserve + STEP:
            try:
                held.append(torch.empty(min(free - reserve, 8 * 1024 * MB), dtype=torch.uint8, device="cuda"))
            except torch.OutOfMemoryError:
                break
        print(f"ready {torch.cuda.mem_get_info()[0] // MB}", flush=True)


if __name__ == "__main__":
    main()
