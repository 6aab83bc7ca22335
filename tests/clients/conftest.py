"""The stack of tests/e2e with real models, the clients of others, and what they send."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.local.stack import Stack
from scripts.weights import fixture
from tests.clients import installed, proxies
from tests.e2e.conftest import http, stack

__all__ = ["http", "stack"]  # fixtures of this folder, too

DRIVERS = Path(__file__).parent / "drivers"
DRIVER_TIMEOUT_S = 500

Said = dict[str, Any]
"""What a driver printed: by what it tried, what the client made of the answer."""


@pytest.fixture(scope="session")
def clip() -> Path:
    """Eleven seconds of Kennedy."""
    return fixture("jfk.wav")


@pytest.fixture(scope="session")
def said_by(stack: Stack, clip: Path) -> Callable[[str], tuple[Said, list[int]]]:
    """Runs a driver, each once: what it printed, and the statuses that it got of a proxy that was just restarted."""
    runs: dict[str, tuple[subprocess.CompletedProcess[str], list[int]]] = {}

    def outcome(driver: str) -> tuple[Said, list[int]]:
        if driver not in runs:
            runs[driver] = run(stack, DRIVERS / driver, clip)
        process, statuses = runs[driver]
        assert process.returncode == 0, process.stderr[-3000:]
        return json.loads(process.stdout.strip().splitlines()[-1]), statuses

    return outcome


def run(stack: Stack, driver: Path, clip: Path) -> tuple[subprocess.CompletedProcess[str], list[int]]:
    command, paths = command_of(driver)
    with proxies.restarting(stack.url) as proxy:
        env = os.environ | paths
        env |= {"OPENAI_BASE_URL": f"{stack.url}/v1", "OPENAI_API_KEY": stack.api_key}
        env |= {"RESTARTING_URL": f"{proxy.url}/v1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        try:
            process = subprocess.run(
                (*command, clip), env=env, capture_output=True, text=True, timeout=DRIVER_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as late:  # an outcome as well: nobody waits for it again
            message = f"not done within {DRIVER_TIMEOUT_S} s: {late.stdout!r}, {late.stderr!r}"
            process = subprocess.CompletedProcess(command, 124, "", message)
    return process, proxy.statuses


def command_of(driver: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """How a driver is run, and where it finds its client."""
    if driver.suffix == ".cjs":
        return (installed.node(), str(driver)), {"NODE_PATH": str(installed.node_modules())}
    return (sys.executable, str(driver)), {"PYTHONPATH": str(installed.python_packages())}
