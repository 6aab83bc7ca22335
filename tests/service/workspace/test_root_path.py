"""ROOT_PATH: behind a proxy that removes a path, links in answers lead through it."""

from __future__ import annotations

from pathlib import Path

from scripts.local.stack import Stack
from shared.config import Settings
from shared.storage import storage_of
from tests.service.gateway import gateway_on

ROOT = "/deep/parley"


def test_links_lead_through_the_proxy(servers: Stack, environment: Settings, tmp_path: Path) -> None:
    """Those of tasks, uploads, pages, shares, batches and other APIs have the path, and so have cookies and the
    description of the API; without it, as the proxy asks, each leads where it says."""
    with gateway_on(servers, tmp_path, storage_of(environment), ROOT_PATH=ROOT) as gateway:
        caller = gateway.caller()
        http = caller.http
        first, second = caller.submit(), caller.submit()
        task = first.json()["task_id"]
        upload = http.post("/uploads", json={"bytes": 100})
        batch = http.post("/transcribe/batch", json={"items": [{"url": "https://media.example/a.mp3"}]})
        page = http.get("/history?limit=1").headers["link"].partition(">")[0].removeprefix("<")
        service = http.post("/api/v1/transcribe-async", files={"file": ("a.wav", b"of another API")})
        links = [
            *(first.headers["location"], first.json()["status_url"], second.json()["status_url"]),
            *(upload.headers["location"], batch.headers["location"], batch.json()["tasks"][0]["status_url"]),
            *(http.get("/batches").json()["items"][0]["tasks_url"], page, service.json()["status_url"]),
            http.post(f"/tasks/{task}/shares").json()["url"],
        ]
        for link in links:
            assert link.startswith(f"{ROOT}/"), link
            assert http.get(link.removeprefix(ROOT)).status_code == 200, link
        assert upload.json()["parts"][0]["path"].startswith(f"{ROOT}/uploads/")
        assert f"Path={ROOT}/;" in http.post("/session").headers["set-cookie"]
        assert http.get("/openapi.json").json()["servers"] == [{"url": ROOT}]
