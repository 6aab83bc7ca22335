"""Bodies of any size and shape before a real gateway: the key first, a limit for each, and nothing taken in vain."""

from __future__ import annotations

import json
import re
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from scripts.local.stack import Stack
from shared.config import Settings
from shared.storage import storage_of
from tests.service.gateway import BOUNDARY, PATIENCE_S, Caller, Gateway, finish, gateway_on

MB = 1024**2
BODY_BYTES = 30 * MB
GROWTH_BYTES = 1 * MB
JSON, FORM, BYTES = "application/json", f"multipart/form-data; boundary={BOUNDARY}", "application/octet-stream"
PIECE_BYTES = 256 * 1024

PUBLIC = ("/health", "/metrics", "/shared/")


@dataclass(frozen=True)
class Call:
    """An operation of the OpenAPI document. `kinds` are the content types of its body, `needs` the scope of its key."""

    method: str
    path: str
    kinds: frozenset[str]
    is_public: bool

    @property
    def address(self) -> str:
        """The path with ids that name nothing."""
        return re.sub(r"{(\w+)}", lambda name: "0" * 64 if "hash" in name[1] else _ids(name[1]), self.path)

    @property
    def wrong_scope(self) -> str:
        """The scope that does not suffice."""
        of_all = self.path.startswith("/admin") or (self.method, self.path) in OF_ALL_KEYS
        return "transcribe" if of_all else "admin"

    @property
    def kind(self) -> str:
        """What its body has to be, or is taken for."""
        return FORM if "multipart/form-data" in self.kinds else next(iter(self.kinds), JSON)


OF_ALL_KEYS = {("POST", "/jobs/repair"), ("POST", "/jobs/clear"), ("DELETE", "/jobs/all")}

UNLISTED = (
    ("POST", "/nowhere"),
    ("PUT", "/nowhere/at/all"),
    ("OPTIONS", "/uploads"),
    ("HEAD", "/uploads"),
    ("TRACE", "/"),
    ("OPTIONS", "/nowhere"),
    ("HEAD", "/tasks/1"),
    ("PUT", "/admin/keys"),
    ("DELETE", "/transcribe"),
    ("POST", "/"),
    ("POST", "/docs"),
    ("POST", "/openapi.json"),
    ("GET", "/docs"),
    ("PURGE", "/uploads"),
)


def _ids(name: str) -> str:
    return {"number": "1", "model": "base"}.get(name, str(uuid.UUID(int=0)))


def calls(gateway: Gateway) -> list[Call]:
    paths = httpx.get(f"{gateway.url}/openapi.json", timeout=30).json()["paths"]
    return [
        Call(
            method.upper(),
            path,
            frozenset(operation.get("requestBody", {}).get("content", {})),
            path.startswith(PUBLIC),
        )
        for path, operations in paths.items()
        for method, operation in operations.items()
    ]


@pytest.fixture(scope="module")
def gateway(servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway_on(servers, tmp_path_factory.mktemp("gateway"), storage_of(environment)) as running:
        for call in calls(running):  # what the first request to a route takes for good is not the body's
            ask(running, call.method, call.address, {}, b"{}", 2)
        yield running


@pytest.fixture
def caller(gateway: Gateway) -> Iterator[Caller]:
    new_caller = gateway.caller("transcribe", "admin")
    with new_caller.http:
        yield new_caller


def ask(
    gateway: Gateway, method: str, path: str, headers: dict[str, str], unit: bytes, size: int, *, chunked: bool = False
) -> int:
    """Send so many bytes of `unit` over and over, as long as anybody takes them; the status of the answer."""
    target = urlsplit(gateway.url)
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}")
    piece = (unit * (PIECE_BYTES // len(unit) + 1))[:PIECE_BYTES]
    with socket.create_connection((target.hostname, target.port), timeout=PATIENCE_S) as connection:
        connection.sendall(("\r\n".join((*lines, "", ""))).encode())
        try:
            for remaining in range(size, 0, -PIECE_BYTES):
                data = piece[:remaining]
                connection.sendall(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
            if chunked:
                connection.sendall(b"0\r\n\r\n")
        except ConnectionError:
            pass  # nobody reads on; what was answered is still there
        with HTTPResponse(connection, method=method) as answer:
            answer.begin()
            return answer.status


class Memory:
    """What the gateway's process has taken since, at its highest, in bytes."""

    def __init__(self, gateway: Gateway) -> None:
        self._process = Path(f"/proc/{gateway.stack.pid('api')}")
        (self._process / "clear_refs").write_text("5")  # forgets the highest so far
        self._before = self._of("VmRSS")

    def growth(self) -> int:
        return self._of("VmHWM") - self._before

    def _of(self, name: str) -> int:
        line = next(line for line in (self._process / "status").read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) * 1024


def growth_of(gateway: Gateway, *request: object, **options: bool) -> tuple[int, int]:
    """Status, and the growth of the gateway's memory; what is taken once, for good, is none: then the second time's."""
    memory = Memory(gateway)
    status = ask(gateway, *request, **options)  # type: ignore[arg-type]
    if memory.growth() >= GROWTH_BYTES:
        memory = Memory(gateway)
        status = ask(gateway, *request, **options)  # type: ignore[arg-type]
    return status, memory.growth()


def test_no_route_has_a_body_that_fastapi_reads(gateway: Gateway) -> None:
    """FastAPI would read it before it asks for the key: in the document no body refers to a model of its own making."""
    paths = httpx.get(f"{gateway.url}/openapi.json", timeout=30).json()["paths"]
    bodies = [op["requestBody"] for operations in paths.values() for op in operations.values() if "requestBody" in op]
    assert len(bodies) > 15
    assert "$ref" not in json.dumps(bodies)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_nobody_without_a_key_costs_memory(gateway: Gateway, chunked: bool) -> None:
    """30 MB to any route, listed or not, are 401 or 404 (405 for a method that is none), and take less than 1 MB."""
    listed = [
        (call.method, call.address, call.kind, (200, 404, 503) if call.is_public else (401, 404))
        for call in calls(gateway)
    ]
    unlisted = [(method, path, JSON, (200, 401, 404, 405)) for method, path in UNLISTED]
    assert len(listed) > 60
    for method, path, kind, expected in (*listed, *unlisted):
        status, growth = growth_of(gateway, method, path, {"Content-Type": kind}, b"[],", BODY_BYTES, chunked=chunked)
        assert status in expected, (method, path)
        assert growth < GROWTH_BYTES, (method, path, growth)


def test_a_key_of_another_scope_is_none(gateway: Gateway) -> None:
    """30 MB with a key that lacks the scope are 403 and take less than 1 MB; so are those with a revoked key, 401."""
    keys = {scope: gateway.caller(scope) for scope in ("transcribe", "admin")}
    revoked = gateway.caller("transcribe")
    keys["admin"].http.delete(f"/admin/keys/{revoked.id}").raise_for_status()
    for call in calls(gateway):
        if call.is_public or not call.kinds:
            continue
        for key, expected in ((keys[call.wrong_scope].key, 403), (revoked.key, 401)):
            headers = {"Content-Type": call.kind, "X-API-Key": key}
            status, growth = growth_of(gateway, call.method, call.address, headers, b"[],", BODY_BYTES)
            assert status == expected, call
            assert growth < GROWTH_BYTES, (call, growth)


def test_json_has_a_limit_with_a_key_as_well(gateway: Gateway, caller: Caller) -> None:
    """30 MB are 413 for every call that takes JSON, announced or not, and take no more than the call's limit twice; a
    correction is 422, as it always was."""
    task_id = caller.task()
    finish(task_id, gateway.storage)
    taking = [call for call in calls(gateway) if JSON in call.kinds]
    assert len(taking) >= 7
    for call, chunked in product(taking, (False, True)):
        headers = {"Content-Type": JSON, "Authorization": f"Bearer {caller.key}"}
        is_correction = call.path == "/tasks/{task_id}"  # whose code is older than the one limit
        address = f"/tasks/{task_id}" if is_correction else call.address
        status, growth = growth_of(gateway, call.method, address, headers, b" ", BODY_BYTES, chunked=chunked)
        assert status == (422 if is_correction else 413), (call, chunked)
        assert growth < 20 * MB, (call, growth)
        answer = caller.http.request(call.method, address, content=b" " * (9 * MB), headers=headers)
        refused = (422, "invalid_request") if is_correction else (413, "file_too_large")
        assert (answer.status_code, answer.json()["code"]) == refused, call
        assert answer.json()["detail"]["max_body_bytes"] < 9 * MB


def test_600_mb_of_spaces_are_not_kept(gateway: Gateway, caller: Caller) -> None:
    """As JSON, with and without a key, they are refused and the gateway takes less than 2 MB."""
    for headers, expected in (({}, 401), ({"X-API-Key": caller.key}, 413)):
        memory = Memory(gateway)
        for method, path in (("POST", "/uploads"), ("POST", "/admin/keys"), ("POST", "/webhooks/endpoints")):
            kind = {"Content-Type": JSON}
            assert ask(gateway, method, path, kind | headers, b" ", 600 * MB, chunked=True) == expected
        assert memory.growth() < 2 * MB


DEEP = b"[" * 100_000
SHAPES = {
    "deep": b'{"bytes": ' + DEEP,
    "deep and closed": b'{"bytes": ' + DEEP + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 40_000,
    "a number of 200,000 digits": b'{"bytes": ' + b"9" * 200_000 + b"}",
    "a large exponent": b'{"bytes": 1e999999999}',
    "a number of 200,000 places": b'{"bytes": 0.' + b"1" * 200_000 + b"}",
    "wide": b'{"bytes": [' + b"[]," * 80_000 + b"[]]}",
    "half a surrogate pair": b'{"bytes": "\\ud800"}',
    "no UTF-8": b'{"bytes": "\xff"}',
    "UTF-16": '{"bytes": 1}'.encode("utf-16"),
    "not a number": b'{"bytes": NaN}',
    "null": b"null",
    "a text": b'"text"',
    "nothing": b"",
    "a null character": b"\x00",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_odd_json_is_an_error_of_the_request(gateway: Gateway, caller: Caller, shape: str) -> None:
    """Whatever it is, within the limit, it is 422 with a code, or what its absence is; never 500."""
    for call in calls(gateway):
        if JSON in call.kinds:
            answer = caller.http.request(
                call.method, call.address, content=SHAPES[shape], headers={"Content-Type": JSON}
            )
            assert answer.status_code in (404, 422), (call, answer.text[:200])
            assert answer.json()["code"] in ("invalid_request", "not_found")


def test_a_correction_of_millions_of_values_is_not_parsed(gateway: Gateway, caller: Caller) -> None:
    """8 MB of empty lists are refused before they become objects: the gateway takes less than 40 MB, not 300."""
    task_id = caller.task()
    finish(task_id, gateway.storage)
    body = b'{"segments": [' + b"[]," * (7 * MB // 3) + b"[]]}"
    memory = Memory(gateway)
    answer = caller.http.patch(f"/tasks/{task_id}", content=body, headers={"Content-Type": JSON})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert memory.growth() < 40 * MB


def test_a_short_body_may_be_left_out_or_come_as_any_json(caller: Caller) -> None:
    """PATCH of an endpoint takes no body, `null` and application/merge-patch+json; POST wants one of JSON's types."""
    endpoint = caller.http.post("/webhooks/endpoints", json={"url": "https://example.com/hook"})
    assert endpoint.status_code == 201, endpoint.text
    address = f"/webhooks/endpoints/{endpoint.json()['id']}"
    patch = {"Content-Type": "application/merge-patch+json"}
    assert caller.http.patch(address).status_code == 200
    assert caller.http.patch(address, content=b"null", headers={"Content-Type": JSON}).status_code == 200
    changed = caller.http.patch(address, content=b'{"description": "new"}', headers=patch)
    assert changed.json()["description"] == "new"
    marked = caller.http.post("/uploads", content=b'\xef\xbb\xbf{"bytes": 1}', headers={"Content-Type": JSON})
    assert marked.status_code == 201  # editors of Windows put a mark before the text
    plain = caller.http.post("/uploads", content=b'{"bytes": 1}', headers={"Content-Type": "text/plain"})
    assert (plain.status_code, plain.json()["detail"]["parameter"]) == (422, "Content-Type")
