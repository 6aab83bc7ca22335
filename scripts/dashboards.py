"""Grafana's dashboards, as tables: `python -m scripts.dashboards` writes them to deploy/grafana/dashboards."""

# ruff: noqa: E501 - a query in one line can be pasted into Prometheus

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "grafana" / "dashboards"
COLUMNS, WIDTH, HEIGHT = 2, 12, 8


@dataclass(frozen=True)
class Panel:
    """A graph of one query; `legend` is Grafana's template for the name of a line, `unit` one of its units."""

    title: str
    expr: str
    legend: str = ""
    unit: str = "short"
    needs_card: bool = False
    """Has nothing to show on a machine without a graphics card."""

    needs_live: bool = False
    """Has nothing to show before there was a live session."""


@dataclass(frozen=True)
class Dashboard:
    """A page of panels, two to a row."""

    uid: str
    title: str
    panels: tuple[Panel, ...]


SERVICE = Dashboard(
    "parley-service",
    "Parley: service",
    (
        Panel("Requests", 'sum by (route) (rate(parley_http_requests_total{route!="/metrics"}[5m]))', "{{route}}", "reqps"),
        Panel("Share of server errors", "parley:http_errors:ratio_rate5m", "errors", "percentunit"),
        Panel("Time to answer, 95 %", "histogram_quantile(0.95, sum by (le, route) (rate(parley_http_request_seconds_bucket[5m])))", "{{route}}", "s"),
        Panel("Unfinished tasks", "max by (state) (parley_jobs)", "{{state}}"),
        Panel("Stages that wait", "sum by (stage) (max by (stage, priority) (parley_queue_depth))", "{{stage}}"),
        Panel("Age of the oldest task that waits", "max by (stage, priority) (parley_queue_oldest_seconds)", "{{stage}} {{priority}}", "s"),
        Panel("Wait until a worker begins, 95 %", "histogram_quantile(0.95, sum by (le, priority) (rate(parley_job_wait_seconds_bucket[15m])))", "{{priority}}", "s"),
        Panel("Ends of stages", "sum by (stage, outcome) (rate(parley_stage_runs_total[5m]))", "{{stage}} {{outcome}}", "ops"),
        Panel("Failed attempts", "parley:stage_failures:increase15m", "{{stage}} {{code}}"),
        Panel("Given up", "parley:stage_deaths:increase15m", "{{stage}} {{code}}"),
        Panel("Uploaded", "sum(rate(parley_upload_bytes_total[5m]))", "bytes", "Bps"),
        Panel("Webhook attempts", "sum by (state) (increase(parley_webhook_attempts_total[15m]))", "{{state}}"),
        Panel("Webhooks still to be delivered", "max(parley_webhooks_pending)", "pending"),
        Panel("Deletions still to be verified", "max(parley_erasures_open)", "open"),
        Panel("Free space of the volumes", 'node_filesystem_avail_bytes{job="volumes"} / node_filesystem_size_bytes{job="volumes"}', "{{mountpoint}}", "percentunit"),
        Panel("Connections refused by the egress guard", "sum by (code) (increase(parley_egress_refused_total[15m]))", "{{code}}"),
        Panel("Servers that the gateways reach", 'max by (__name__) ({__name__=~"parley_(database|broker|storage)_up"})', "{{__name__}}"),
    ),
)  # fmt: skip
WORKERS = Dashboard(
    "parley-workers",
    "Parley: workers",
    (
        Panel("Workers heard from", "max by (queue) (parley_workers)", "{{queue}}"),
        Panel("Deaf workers", "max by (queue) (parley_deaf_workers)", "{{queue}}"),
        Panel("Slots", "max by (queue) (parley_worker_slots)", "{{queue}}"),
        Panel("Busy slots", "sum by (stage) (max by (stage) (parley_running_stages))", "{{stage}}"),
        Panel("Audio seconds per second", "sum by (stage, model) (rate(parley_audio_seconds_total[5m]))", "{{stage}} {{model}}"),
        Panel("Real-time factor, mean", "sum by (stage, model, device) (rate(parley_stage_rtf_sum[15m])) / sum by (stage, model, device) (rate(parley_stage_rtf_count[15m]))", "{{stage}} {{model}} {{device}}"),
        Panel("Seconds per stage, 95 %", "histogram_quantile(0.95, sum by (le, stage) (rate(parley_stage_seconds_bucket[15m])))", "{{stage}}", "s"),
        Panel("Leases that ran out", "sum(increase(parley_leases_expired_total[15m]))", "expired"),
        Panel("Rung again", "sum(increase(parley_rung_again_total[15m]))", "stages"),
        Panel("Sweeps", "sum(rate(parley_sweeps_total[5m])) * 60", "per minute"),
        Panel("Resident memory", "parley_worker_resident_bytes", "{{instance}}", "bytes"),
        Panel("Free scratch space", "parley_scratch_free_bytes / parley_scratch_size_bytes", "{{instance}}", "percentunit"),
        Panel("GPU memory in use", "parley_gpu_memory_used_bytes / parley_gpu_memory_total_bytes", "{{instance}} {{gpu}}", "percentunit", needs_card=True),
        Panel("GPU utilisation", "parley_gpu_utilization_ratio", "{{instance}} {{gpu}}", "percentunit", needs_card=True),
    ),
)  # fmt: skip
TENANTS = Dashboard(
    "parley-tenants",
    "Parley: keys",
    (
        Panel("Unfinished tasks of the busiest keys", "max by (key) (parley_tenant_jobs)", "{{key}}"),
        Panel("Minutes of audio today", "max by (key) (parley_tenant_audio_seconds) / 60", "{{key}}", "m"),
    ),
)
LIVE = Dashboard(
    "parley-live",
    "Parley: live sessions",
    (
        Panel("Live sessions", "max by (state) (parley_live_sessions)", "{{state}}", needs_live=True),
        Panel("Sessions that the live workers carry", 'max(parley_worker_slots{queue="live"})', "places", needs_live=True),
        Panel("Beginning of an utterance to its first partial", "histogram_quantile(0.5, sum by (le) (rate(parley_live_first_seconds_bucket[5m])))", "median", "s", needs_live=True),
        Panel("End of an utterance to its final, median", "histogram_quantile(0.5, sum by (le) (rate(parley_live_final_seconds_bucket[5m])))", "median", "s", needs_live=True),
        Panel("End of an utterance to its final, 95 %", "histogram_quantile(0.95, sum by (le) (rate(parley_live_final_seconds_bucket[5m])))", "95 %", "s", needs_live=True),
        Panel("Sound that is not heard yet", "parley_live_lag_seconds", "{{instance}}", "s", needs_live=True),
        Panel("Passes for partials", "sum by (outcome) (rate(parley_live_partials_total[5m]))", "{{outcome}}", "ops", needs_live=True),
        Panel("Finals", "sum by (model) (rate(parley_live_finals_total[5m]))", "{{model}}", "ops", needs_live=True),
        Panel("Sessions whose model gave no answer", "sum(increase(parley_live_stuck_total[15m]))", "stuck", needs_live=True),
    ),
)  # fmt: skip
DASHBOARDS = (SERVICE, WORKERS, TENANTS, LIVE)


def render(dashboard: Dashboard) -> str:
    """The dashboard as Grafana provisions it."""
    return json.dumps(
        {
            "uid": dashboard.uid,
            "title": dashboard.title,
            "tags": ["parley"],
            "schemaVersion": 39,
            "editable": False,
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "panels": [_panel(number, panel) for number, panel in enumerate(dashboard.panels)],
        },
        indent=1,
    )


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, COLUMNS)
    source = {"type": "prometheus", "uid": "prometheus"}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": source,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [{"refId": "A", "datasource": source, "expr": panel.expr, "legendFormat": panel.legend}],
    }


def main() -> None:
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard.uid}.json").write_text(render(dashboard) + "\n")


if __name__ == "__main__":
    main()
