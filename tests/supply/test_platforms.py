"""Every set of requirements can be installed on x86-64 and on ARM64: resolved for both, installed on neither."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.bootstrap import ROOT, included
from scripts.supply import lock, platforms
from tests.programs import unavailable
from tests.supply.packages import Wheel, index, wheel
from tests.supply.test_locks import closure

CARDS = ("nvidia-cud", "nvidia-cusparse", "nvidia-nccl", "triton")
"""How packages begin that only the build of torch for NVIDIA cards needs."""


@contextmanager
def asking(url: str) -> Iterator[None]:
    """uv takes packages from this index only."""
    before = os.environ.get("UV_DEFAULT_INDEX")
    os.environ["UV_DEFAULT_INDEX"] = url
    try:
        yield
    finally:
        del os.environ["UV_DEFAULT_INDEX"]
        if before is not None:
            os.environ["UV_DEFAULT_INDEX"] = before


Question = tuple[str, str, str, bool]
"""A set, a processor, a Python, and whether torch is the build for NVIDIA cards."""

QUESTIONS: list[Question] = [
    *((name, machine, lock.PYTHONS[0], False) for name in lock.SETS for machine in lock.MACHINES),
    *(("dev", machine, python, False) for python in lock.PYTHONS[-1:] for machine in lock.MACHINES),
    *(("dev", machine, lock.PYTHONS[0], True) for machine in lock.MACHINES),
]
"""Every set by itself on the oldest Python; on the newest `dev`, which includes all that runs on one machine."""


@pytest.fixture(scope="module")
def answers() -> dict[Question, list[platforms.Wheel] | str]:
    """The wheels, or uv's refusal. The tests are skipped where no package index answers."""

    def answer(question: Question) -> list[platforms.Wheel] | str:
        name, machine, python, with_cuda = question
        try:
            return platforms.wheels(name, machine, python=python, with_cuda=with_cuda)
        except SystemExit as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        wheels = dict(zip(QUESTIONS, pool.map(answer, QUESTIONS), strict=True))
    for refusal in wheels.values():
        if isinstance(refusal, str) and "error sending request" in refusal:
            unavailable(f"the package index does not answer: {refusal.splitlines()[-1].strip()}")
    return wheels


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: "-".join(map(str, question)))
def test_a_set_resolves(question: Question, answers: dict[Question, list[platforms.Wheel] | str]) -> None:
    """There is a wheel of every package for that processor, its hash is in the lock, and torch brings NVIDIA's
    libraries where its build is the one for cards, and nowhere else."""
    name, machine, _, with_cuda = question
    locked = closure(name) | (closure("torch-cuda") if with_cuda else {})
    packages = answers[question]
    assert not isinstance(packages, str), packages
    names = {each.name for each in packages}
    assert names <= set(locked)
    assert {each for each, entry in locked.items() if not entry.marker} <= names
    for each in packages:
        assert each.version == locked[each.name].version and f"sha256:{each.sha256}" in locked[each.name].hashes, each
        assert each.file.endswith((f"{machine}.whl", "-any.whl")), each
    assert any(each.startswith(CARDS) for each in names) == with_cuda
    assert ("torch" in names) == ("worker" in included(name))


def test_a_package_without_a_wheel_for_arm_is_found(tmp_path: Path) -> None:
    """What an index has for x86-64 alone resolves for that, and for ARM64 uv's refusal names it."""
    pure = wheel("torchaudio", "2.11.0")
    native = Wheel("torch", "2.13.0", wheel("torch", "2.13.0").content, "cp311-cp311-manylinux_2_28_x86_64")
    file = tmp_path / "set.txt"
    file.write_text("torch==2.13.0\ntorchaudio==2.11.0\n")
    with index([pure, native]) as pypi, asking(pypi.url):
        packages = platforms.resolved(file, "x86_64", python="3.11", with_cuda=True)
        assert [each.file for each in packages] == [native.file, pure.file]
        with pytest.raises(SystemExit, match=r"(?s)torch==2\.13\.0 has no .*aarch64"):
            platforms.resolved(file, "aarch64", python="3.11", with_cuda=True)


def test_the_table_has_every_set() -> None:
    """docs/decisions/locks.md has a line for each set and build of torch, in the form that the command prints."""
    page = (ROOT / "docs/decisions/locks.md").read_text()
    for name in lock.SETS:
        for build in ("CPUs", "NVIDIA cards") if "worker" in included(name) else ("-",):
            assert f"| `{name}` | {build} | " in page
