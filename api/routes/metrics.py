"""GET /metrics: for Prometheus, inside the network. A proxy in front must not pass it on; ours does not.

Other users of the same machine do not get it (shared/telemetry/peers.py).
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from api.dependencies import SettingsDep
from api.errors import responses
from api.gauges import Servers, ServiceGauges
from api.processes.table import current
from api.routes.health import check_broker
from shared.config import settings
from shared.errors import Unauthorized
from shared.storage import storage
from shared.telemetry import metrics
from shared.telemetry.peers import may_read_metrics

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    summary="Metrics for Prometheus",
    responses={
        200: {"content": {"text/plain": {}}, "description": "Prometheus' text format"},
        **responses(Unauthorized),
    },
)
def read(request: Request, config: SettingsDep) -> Response:
    """Counters of this gateway, and gauges of the whole service. Names and meaning: docs/operations.md.

    It takes no API key, but the token of `METRICS_TOKEN_FILE` where there is one. Other users of the same machine get
    nothing without it.
    """
    peer, here = request.state.peer, request.scope["server"]
    if not may_read_metrics(config.metrics_token_file, request.headers.get("authorization"), peer, here):
        raise Unauthorized("Metrics need the token of METRICS_TOKEN_FILE, or the user as whom this server runs.")
    return Response(generate_latest(_registry(config.prometheus_multiproc_dir)), media_type=CONTENT_TYPE_LATEST)


@cache
def _registry(folder: Path | None) -> CollectorRegistry:
    servers = Servers({"broker": partial(check_broker, settings()), "storage": storage().check})
    table = current()
    return metrics.registry(folder, ServiceGauges(), servers, pids=table.pids if table else None)
