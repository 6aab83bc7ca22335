"""GET /metrics: for Prometheus, inside the network. A proxy in front must not pass it on; ours does not."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from api.dependencies import SettingsDep
from api.routes.health import check_broker
from shared import metrics
from shared.config import settings
from shared.gauges import Servers, ServiceGauges
from shared.storage import storage

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=Response, summary="Metrics for Prometheus",
            responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' text format"}})  # fmt: skip
def read(config: SettingsDep) -> Response:
    """Counters of this gateway, and gauges of the whole service. Names and meaning: docs/operations.md."""
    return Response(generate_latest(_registry(config.prometheus_multiproc_dir)), media_type=CONTENT_TYPE_LATEST)


@cache
def _registry(folder: Path | None) -> CollectorRegistry:
    servers = Servers({"broker": partial(check_broker, settings()), "storage": storage().check})
    return metrics.registry(folder, ServiceGauges(), servers)
