"""The report of an emulated ARM64 machine, or one line that says why there is none; REQUIRE_ARM64=1 makes that a
failure."""

from __future__ import annotations

import os
import time

import pytest

from tests.arm64 import machine, packages
from tests.arm64.machine import Report
from tests.arm64.probe import obstacle
from tests.engine.folder import WorkFolder


def skip_without(what: str, reason: str | None) -> None:
    """Skip a test for this reason, if there is one, or fail with REQUIRE_ARM64=1."""
    if reason:
        assert os.environ.get("REQUIRE_ARM64") != "1", reason
        pytest.skip(f"no {what} here: {reason}")


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    """One run of the machine, whose steps the tests look at. Its progress is shown as it comes."""
    folder = WorkFolder.of_environment()
    skip_without("ARM64 machine", obstacle(folder, has_disk=any(folder.path.glob("arm64-disk-*/disk.img"))))
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"  {text}", flush=True)

    began = time.monotonic()
    say(f"\n  Debian for ARM64 with {packages.torch()}")
    disk = folder.cached("arm64-disk", machine.key(), machine.make)
    with folder.lock("arm64"), machine.checkout(folder) as image:
        say(f"the disks are there after {time.monotonic() - began:.0f} s")
        return machine.boot(disk, image, say)
