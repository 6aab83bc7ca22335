"""Traces where Parley is deployed."""

from __future__ import annotations

from pathlib import Path

from tests.deploy.composed import project, read


def test_compose_passes_the_collector_on(tmp_path: Path) -> None:
    """An address of a collector in .env reaches the gateway and every worker, and nobody who is not ours."""
    services = read(project(tmp_path / "project", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}))["services"]
    names = {
        name for name, each in services.items() if "OTEL_EXPORTER_OTLP_ENDPOINT" in (each.get("environment") or {})
    }
    assert names >= {"api", *(name for name in services if name.startswith("worker-"))}
    assert all(services[name]["image"].startswith("parley-") for name in names) and "caddy" not in names
