"""`python -m scripts.supply.torch_cpu`: write requirements/torch-cpu.sha256 from PyTorch's own index.

For a new version: change requirements/torch-cpu.txt and worker.txt, run this, then `python -m scripts.supply.lock`.
PyTorch's index gives a file's SHA-256 in the link to it; PyPI does not have these files.
"""

from __future__ import annotations

import os
import re
import sys
import urllib.request
from pathlib import Path

from scripts.bootstrap import TORCH_CPU_INDEX, cpu_version
from scripts.supply.lock import CPU_HASHES, MACHINES, PYTHONS

TIMEOUT_S = 60


def main(file: Path = CPU_HASHES) -> None:
    index = os.environ.get("TORCH_CPU_INDEX", TORCH_CPU_INDEX)
    with urllib.request.urlopen(f"{index}/torch/", timeout=TIMEOUT_S) as answer:  # noqa: S310 - the owner's own setting
        page = answer.read().decode()
    hashes = link_hashes(page)
    tags = [f"cp{python.replace('.', '')}" for python in PYTHONS]
    names = [f"torch-{cpu_version()}-{tag}-{tag}-manylinux_2_28_{machine}.whl" for tag in tags for machine in MACHINES]
    absent = [name for name in names if name not in hashes]
    if absent:
        sys.exit(f"{index} has no hash for {', '.join(absent)}: {file.name} stays as it is")
    file.write_text("".join(f"{hashes[name]}  {name}\n" for name in sorted(names)))


def link_hashes(page: str) -> dict[str, str]:
    """SHA-256 of each file that a page of a package index links to, by the file's name."""
    links = re.findall(r'href="[^"#]*?([^"/#]+)#sha256=([0-9a-f]{64})"', page)
    return {name.replace("%2B", "+"): digest for name, digest in links}


if __name__ == "__main__":
    main()
