"""Parley's own processes on one machine. The same commands run in containers; only the addresses differ."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripts import recognisers
from scripts.local.home import LOOPBACK
from scripts.local.supervisor import Command
from tasks.engines import memory

ROOT = Path(__file__).resolve().parents[2]
PROBE_TIMEOUT_S = 5
MOST_PROCESSES = 256


@dataclass(frozen=True)
class App:
    """A Python module to run. Names in braces in arguments and environment, as `{port}`, are filled in at start."""

    name: str
    arguments: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    is_public: bool = False
    """Listens on the stack's public port, and the stack is up when it answers there."""

    is_helper: bool = False
    """Nobody waits for it at start, so it leaves the processor to the others until they are up."""


def worker(name: str, queues: str, concurrency: int | str, threads: int | str) -> App:
    """A Celery worker process. `threads` bounds the OpenMP threads of each of its `concurrency` children."""
    line = f"celery -A tasks.app worker -Q {queues} -c {concurrency} -n {name}@%h -l INFO"
    return App(
        f"worker-{name}",
        (*line.split(), "--without-gossip", "--without-mingle"),  # they cost a second at start and nobody uses them
        # Idle OpenMP threads spin by default; with two models on the same cores that costs more than it wins.
        env={
            "OMP_NUM_THREADS": str(threads),
            "CPU_THREADS": str(threads),
            "OMP_WAIT_POLICY": "PASSIVE",
            "KMP_BLOCKTIME": "0",
            "METRICS_PORT": f"{{worker-{name}}}",
            "PROMETHEUS_MULTIPROC_DIR": f"{{metrics}}/worker-{name}",
        },
    )


CARD = Path("/dev/nvidiactl")


def shares(environ: Mapping[str, str]) -> dict[str, str]:
    """Processes and threads of the workers of models, by their names in braces: the cores are shared out evenly.

    Two recognisers of one thread do nearly twice as much as one of two: docs/performance.md. A card has one.

    Raises ValueError for a number of processes that is none.
    """
    cores = recognisers.cores()
    usual = 1 if CARD.exists() else recognisers.processes(cores, memory.free_bytes("cpu"))
    places: dict[str, str] = {}
    for stage, processes in (("asr", usual), ("diarize", 1)):
        name = f"{stage.upper()}_CONCURRENCY"
        text = environ.get(name) or str(processes)
        if not text.isdecimal() or not 1 <= int(text) <= MOST_PROCESSES:
            raise ValueError(f"{name} is a number from 1 to {MOST_PROCESSES}, not {text}")
        places |= {f"{stage}_concurrency": text, f"{stage}_threads": str(max(1, cores // int(text)))}
    return places


API = App(
    "api",
    # no proxy is between it and its clients, unless TRUSTED_PROXIES names some
    (
        "api.server",
        "--host",
        "{host}",
        "--port",
        "{port}",
        "--linger",
        "0",
        "--grace",
        "5",
        "--forwarded-allow-ips={proxies}",
    ),
    is_public=True,
)
WORKERS = (
    worker("io", "io,cpu", concurrency=2, threads=1),
    worker("asr", "asr", concurrency="{asr_concurrency}", threads="{asr_threads}"),
    worker("diarize", "diarize", concurrency="{diarize_concurrency}", threads="{diarize_threads}"),
)
LIVE = App(
    "worker-live",
    ("tasks.live",),
    env={
        "OMP_WAIT_POLICY": "PASSIVE",
        "KMP_BLOCKTIME": "0",
        "METRICS_PORT": "{worker-live}",
        "PROMETHEUS_MULTIPROC_DIR": "{metrics}/worker-live",
    },
)
BEAT = App(
    "beat", ("celery", "-q", "-A", "tasks.app", "beat", "-s", "{schedule}", "--pidfile=", "-l", "INFO"), is_helper=True
)
FLOWER = App(
    "flower",
    (
        "celery",
        "-A",
        "tasks.app",
        "flower",
        f"--address={LOOPBACK}",
        "--port={flower_port}",
        "--read-only",
        "--max-tasks=10000",
        "--conf=tasks/flowerconfig.py",
    ),
    is_helper=True,
)

APPS = (API, *WORKERS, FLOWER)
"""No beat: every worker sweeps by itself (tasks/worker/process.py), and without a worker its rings would wait, too."""


def command(app: App, env: Mapping[str, str], places: Mapping[str, str]) -> Command:
    """The command of an app. The stack's environment wins over the app's own, so that a user can set any of it."""
    probe = f"http://{LOOPBACK}:{places['port']}/health/live"
    return Command(
        name=app.name,
        argv=(sys.executable, "-m", *(argument.format_map(places) for argument in app.arguments)),
        env={**{name: value.format_map(places) for name, value in app.env.items()}, **env},
        cwd=ROOT,
        ready=(lambda: _answers(probe)) if app.is_public else None,
    )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S) as response:  # noqa: S310 - a URL of our own
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False
