"""Health, catalogue and administration on a real gateway."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import delete, func, update

from scripts.local.stack import Stack
from shared.config import Settings
from shared.db import session
from shared.models import Stage, Worker
from tests.service.api.test_api_access import OURS
from tests.service.gateway import Caller, Gateway, eventually, gateway_with, work_on

ROOT = Path(__file__).parents[3]
API_DOC = ROOT / "docs" / "api.md"
QUEUES = ["asr", "cpu", "diarize", "io"]


gateway = gateway_with()


@pytest.fixture
def admin(gateway: Gateway) -> Iterator[Caller]:
    caller = gateway.caller("admin")
    with caller.http:
        yield caller


@pytest.fixture
def a_worker(environment: Settings) -> Iterator[None]:
    """A worker of all queues, and no other. It stays heard from however long a server takes to stop and start."""
    with session() as work:
        work.execute(delete(Worker))
        work.add(Worker(name="w@test", queues=QUEUES, seen_at=func.now() + timedelta(days=1)))
    yield
    with session() as work:
        work.execute(delete(Worker))


def fall_silent() -> None:
    with session() as work:
        work.execute(update(Worker).values(seen_at=func.now() - timedelta(seconds=60)))


# ---- health


def test_a_whole_stack_is_ready(gateway: Gateway, a_worker: None) -> None:
    """With every server and a worker all health calls are 200."""
    for path in ("live", "ready", "async"):
        assert httpx.get(f"{gateway.url}/health/{path}", timeout=30).status_code == 200
    body = httpx.get(f"{gateway.url}/health", timeout=30).json()
    assert body["checks"] == {"database": "ok", "broker": "ok", "storage": "ok", "workers": "ok"}
    assert body["status"] == "ok"


def test_without_a_worker_it_is_alive_but_not_ready(gateway: Gateway, a_worker: None) -> None:
    """A worker that has been silent for a minute does not count; the summary stays 200."""
    fall_silent()
    answer = httpx.get(f"{gateway.url}/health/ready", timeout=30)
    assert (answer.status_code, answer.json()["checks"]["workers"]) == (503, "none heard from")
    assert httpx.get(f"{gateway.url}/health", timeout=30).json()["status"] == "degraded"
    assert httpx.get(f"{gateway.url}/health/live", timeout=30).status_code == 200
    answer = httpx.get(f"{gateway.url}/health/async", timeout=30)
    assert (answer.status_code, answer.json()["queues"]["asr"]["workers"]) == (503, 0)


@pytest.mark.parametrize(
    ("server", "check"), [("valkey", "broker"), ("seaweedfs", "storage"), ("postgres", "database")]
)
def test_a_missing_server_is_named(servers: Stack, gateway: Gateway, a_worker: None, server: str, check: str) -> None:
    """Readiness is false while any of the three is away, quickly, and true again afterwards."""
    servers.stop_process(server)
    try:
        answer = httpx.get(f"{gateway.url}/health/ready", timeout=30)
    finally:
        servers.start_process(server)
    assert answer.status_code == 503
    assert answer.json()["checks"][check] != "ok"
    eventually(lambda: httpx.get(f"{gateway.url}/health/ready", timeout=30).status_code == 200, "it is ready again")


def test_queues_show_their_workers_and_work(gateway: Gateway, a_worker: None) -> None:
    """/health/async counts live workers, waiting stages and running ones per queue."""
    before = httpx.get(f"{gateway.url}/health/async", timeout=30).json()["queues"]
    caller = gateway.caller()
    caller.task()
    work_on(caller.task(), "convert")
    after = httpx.get(f"{gateway.url}/health/async", timeout=30).json()["queues"]
    assert sorted(after) == QUEUES
    assert after["cpu"]["workers"] == 1
    assert after["cpu"]["queued"] - before["cpu"]["queued"] == 1
    assert after["cpu"]["running"] - before["cpu"]["running"] == 1


# ---- catalogue


def test_the_catalogue_lists_what_can_be_asked_for(gateway: Gateway, a_worker: None) -> None:
    """Every listed model and language is accepted by a submission."""
    caller = gateway.caller()
    models = caller.http.get("/models").json()
    assert models["default"] == "auto"
    by_name = {model.pop("id"): model for model in models["models"]}
    assert by_name["tiny.en"] == {
        "engine": "faster_whisper",
        "languages": ["en"],
        "english_only": True,
        "translates": False,
        "detects_language": True,
        "installed": None,  # this worker does not say
        "loaded": None,
    }
    assert (by_name["base"]["english_only"], by_name["base"]["translates"]) == (False, True)
    assert "de" in by_name["base"]["languages"]
    languages = caller.http.get("/languages").json()["languages"]
    assert {"code": "de", "name": "German"} in languages
    assert len(languages) == 100
    caller.task(model=list(by_name)[-1])
    caller.task(language=languages[-1]["name"])


# ---- keys


def test_a_key_is_made_listed_and_revoked(gateway: Gateway, admin: Caller) -> None:
    """A new key works until it is revoked; it is shown once, later only its first characters are."""
    answer = admin.http.post("/admin/keys", json={"name": " laptop ", "scopes": ["transcribe"]})
    body = answer.json()
    assert (answer.status_code, body["name"], body["scopes"]) == (201, "laptop", ["transcribe"])
    with httpx.Client(base_url=gateway.url, headers={"X-API-Key": body["key"]}, timeout=30) as client:
        assert client.get("/history").status_code == 200
        listed = admin.http.get("/admin/keys").json()["items"][0]
        assert (listed["id"], listed["prefix"]) == (body["id"], body["key"][:12])
        assert body["key"] not in admin.http.get("/admin/keys").text
        assert admin.http.delete(f"/admin/keys/{body['id']}").status_code == 204
        assert client.get("/history").status_code == 401
    assert admin.http.get("/admin/keys").json()["items"][0]["revoked_at"] is not None
    assert admin.http.delete(f"/admin/keys/{body['id']}").status_code == 404


def test_keys_are_paged(gateway: Gateway, admin: Caller) -> None:
    """The listing goes on where the page before ended."""
    for name in "abc":
        admin.http.post("/admin/keys", json={"name": name}).raise_for_status()
    first = admin.http.get("/admin/keys", params={"limit": 2}).json()
    second = admin.http.get("/admin/keys", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert [item["name"] for item in first["items"] + second["items"]] == ["c", "b", "a"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "a", "scopes": []},
        {"name": "a", "scopes": ["root"]},
        {"name": "a\u0000"},
        {"name": "a", "x": 1},
    ],
)
def test_a_wrong_key_request_is_refused(admin: Caller, body: dict[str, object]) -> None:
    """A key needs a printable name and scopes that exist."""
    answer = admin.http.post("/admin/keys", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_the_operators_own_key_works(servers: Stack, gateway: Gateway) -> None:
    """API_KEY of the environment is valid from the start, with all scopes."""
    headers = {"Authorization": f"Bearer {servers.api_key}"}
    for path in ("/history", "/admin/keys"):
        assert httpx.get(gateway.url + path, headers=headers, timeout=30).status_code == 200


# ---- the queue


def test_the_queue_summary_counts_unfinished_work(gateway: Gateway, admin: Caller) -> None:
    """Tasks by status, stages by state and the age of the oldest waiting one."""
    before = admin.http.get("/admin/queue").json()
    caller = gateway.caller()
    caller.task()
    work_on(caller.task(), "convert")
    after = admin.http.get("/admin/queue").json()
    for status in ("queued", "processing"):
        assert after["jobs"][status] - before["jobs"][status] == 1
    assert {"queued", "running"} <= {row["state"] for row in after["stages"] if row["stage"] == "convert"}
    assert after["oldest_queued_seconds"] > 0
    assert isinstance(after["recent_failures"], list)


def test_repair_takes_a_stage_from_a_silent_worker(gateway: Gateway, admin: Caller) -> None:
    """An expired lease is found on demand, counted, and the stage is queued again."""
    caller = gateway.caller()
    task_id = caller.task()
    work_on(task_id, "convert")
    with session() as work:
        work.execute(update(Stage).where(Stage.job_id == task_id).values(lease_until=func.now() - timedelta(seconds=1)))
    body = admin.http.post("/jobs/repair").json()
    assert body["expired"] >= 1
    assert set(body) == {"expired", "rung_again", "erased", "retired", "indexed", "recounted"}
    with session() as work:
        assert work.get_one(Stage, (task_id, "convert", 0)).state == "queued"


# ---- the page and documents


def test_the_page_needs_nothing_from_elsewhere(gateway: Gateway) -> None:
    """GET / loads its script, style and icon from beside itself, its policy lets no others run or apply, and none of
    its files names another server to load from."""
    answer = httpx.get(f"{gateway.url}/", timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert not re.search(r"(https?:)?//\w", answer.text)
    assert not re.search(r"<script>|<style|style=|\son\w+=", answer.text)
    rules = dict(one.strip().split(" ", 1) for one in answer.headers["Content-Security-Policy"].split(";"))
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert (rules["default-src"], rules["script-src"], rules["style-src"]) == ("'none'", "'self'", "'self'")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert {Path(address).suffix for address in loaded} == {".js", ".css", ".svg"}
    for address in loaded:
        assert address.startswith("./")
        file = httpx.get(f"{gateway.url}/{address}", timeout=30)
        assert file.status_code == 200 and file.headers["X-Content-Type-Options"] == "nosniff"
        assert not re.search(r"(import|url)\(.?https?:|fetch\(.https?:", file.text)


def test_the_api_document_lists_every_call(gateway: Gateway) -> None:
    """docs/api.md has a line for each of our own calls that the gateway knows, and for no other."""
    paths = httpx.get(f"{gateway.url}/openapi.json", timeout=30).json()["paths"]
    calls = {
        f"{method.upper()} {path}"
        for path, operations in paths.items()
        for method, operation in operations.items()
        if OURS & set(operation["tags"])  # the others are in docs/contracts.md
    }
    assert set(re.findall(r"^\| `([A-Z]+ /[^`?]*)", API_DOC.read_text(), re.MULTILINE)) == calls


def test_openapi_lists_the_codes_of_each_call(gateway: Gateway) -> None:
    """Errors of a call are listed with their codes, and the upload with every option."""
    paths = httpx.get(f"{gateway.url}/openapi.json", timeout=30).json()["paths"]
    submit = paths["/transcribe"]["post"]
    form, by_url, by_upload = submit["requestBody"]["content"]["multipart/form-data"]["schema"]["oneOf"]
    assert {"file", "language", "lang", "diarization", "num_speakers", "priority"} <= set(form["properties"])
    assert [one["required"] for one in (form, by_url, by_upload)] == [["file"], ["url"], ["upload_id"]]
    assert "`file_too_large`" in submit["responses"]["413"]["description"]
    assert "`not_ready`" in paths["/result/{task_id}"]["get"]["responses"]["409"]["description"]


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_docs_need_no_other_host(gateway: Gateway, path: str) -> None:
    """Each loads its scripts and style from beside itself, and its policy lets it ask nobody else."""
    answer = httpx.get(gateway.url + path, timeout=30)
    loaded = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert any(address.endswith(".js") for address in loaded)
    for address in loaded:
        assert not address.startswith("/") and "//" not in address
        assert httpx.get(f"{gateway.url}/{address}", timeout=30).status_code == 200
    assert "http" not in answer.headers["Content-Security-Policy"]


# ---- the script


def test_the_script_makes_a_key_that_works(servers: Stack, gateway: Gateway) -> None:
    """create_api_key prints the key alone, and it has the scopes that were asked for."""
    process = create_api_key(servers.env, "ops", "--scope", "admin")
    assert process.returncode == 0, process.stderr
    headers = {"Authorization": f"Bearer {process.stdout.strip()}"}
    assert httpx.get(f"{gateway.url}/admin/queue", headers=headers, timeout=30).status_code == 200
    assert httpx.get(f"{gateway.url}/history", headers=headers, timeout=30).status_code == 403


def test_the_script_says_what_is_missing(servers: Stack) -> None:
    """Without an address it names the variable; with a server that is away it says so."""
    process = create_api_key({}, "ops")
    assert (process.returncode, process.stdout) == (1, "")
    assert "DATABASE_URL" in process.stderr
    nowhere = {"DATABASE_URL": "postgresql+psycopg://a:b@127.0.0.1:1/c", "REDIS_URL": "redis://127.0.0.1:1"}
    process = create_api_key(nowhere, "ops")
    assert (process.returncode, "does not answer" in process.stderr) == (1, True)


def create_api_key(env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.create_api_key", *arguments]
    return subprocess.run(command, env=dict(env), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
