"""deploy/caddy/ratelimit.caddy as far as stock Caddy can tell: its zones, rewritten to name themselves in the answer.

That the plugin counts and refuses is for test_ratelimit.py to show, where there is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from tests.deploy.caddy.door import Door
from tests.deploy.composed import BIN, ROOT, seconds
from tests.deploy.conftest import Deployment
from tests.spellings import SPELLINGS

HERE, S3 = 18080, 19000
TASK = "019aa5c8-0000-7000-8000-000000000000"
EVENT_BYTES = 24
"""A time.Time of Go; the plugin holds one for each event of a zone, per value of its key."""

ASK = """
import http.client, json, sys
said = []
for port, method, path, headers in json.loads(sys.argv[1]):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest(method, path)
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    said.append([answer.status, answer.headers.get_all("X-Zone", []), dict(answer.headers), answer.read().decode()])
    connection.close()
print(json.dumps(said))
"""


SPELL = """
import json, sys
from tests.spellings import SPELLINGS, send
spelled = [one.headers("pk_first", "pk_second") for one in SPELLINGS]
print(json.dumps([send("127.0.0.1", int(sys.argv[1]), "GET", "/models", headers) for headers in spelled]))
"""


@dataclass(frozen=True)
class Zone:
    """`window_s` in seconds; `matcher` are the lines within `match`, none when everything matches."""

    name: str
    matcher: tuple[str, ...]
    key: str
    events: int
    window_s: float


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    port: int = HERE


@dataclass(frozen=True)
class Answer:
    status: int
    zones: frozenset[str]
    headers: dict[str, str]
    body: str


def rewritten(text: str) -> tuple[str, list[Zone]]:
    """The file with a header X-Zone in the place of each limit, and its zones. Takes the plugin's syntax and no other,
    as `caddy fmt` lays it out: one directive a line, blocks by tabs."""
    lines, zones = [], []
    blocks = re.split(r"^(\trate_limit \{\n.*?^\t\}\n)", text, flags=re.MULTILINE | re.DOTALL)
    for block in blocks:
        if not block.startswith("\trate_limit {"):
            lines.append(block)
            continue
        inner = block.removeprefix("\trate_limit {\n").removesuffix("\t}\n")
        zone_blocks = re.findall(r"^\t\tzone (\w+) \{\n(.*?)^\t\t\}\n", inner, flags=re.MULTILINE | re.DOTALL)
        rest = re.sub(r"^\t\tzone \w+ \{\n.*?^\t\t\}\n", "", inner, flags=re.MULTILINE | re.DOTALL)
        assert re.fullmatch(r"(\t\t(jitter 0\.\d+|sweep_interval \d+[sm])\n)*", rest), rest
        for name, body in zone_blocks:
            zones.append(_zone(name, body))
            lines.append(_as_header(zones[-1]))
    return "".join(lines), zones


def _zone(name: str, body: str) -> Zone:
    shape = re.fullmatch(
        r"(?:\t\t\tmatch \{\n(?P<match>.*?)\t\t\t\}\n)?"
        r"\t\t\tkey (?P<key>\{\w+\})\n"
        r"\t\t\tevents \{\$[A-Z0-9_]+:(?P<default>\d+)\}(?P<zeros>0*)\n"
        r"\t\t\twindow (?P<window>\d+[sm])\n",
        body,
        flags=re.DOTALL,
    )
    assert shape, f"zone {name}: {body}"
    matcher = tuple(line.strip() for line in (shape["match"] or "").splitlines())
    return Zone(name, matcher, shape["key"], int(shape["default"] + shape["zeros"]), seconds(shape["window"]))


def _as_header(zone: Zone) -> str:
    if not zone.matcher:
        return f"\theader +X-Zone {zone.name}={zone.key}\n"
    matcher = "\n".join(f"\t\t{line}" for line in zone.matcher)
    return f"\t@{zone.name} {{\n{matcher}\n\t}}\n\theader @{zone.name} +X-Zone {zone.name}={zone.key}\n"


@pytest.fixture(scope="module")
def zones() -> list[Zone]:
    return rewritten((ROOT / "deploy/caddy/ratelimit.caddy").read_text())[1]


@pytest.fixture(scope="module")
def door(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Our Caddyfile with the rewritten file, where everybody is believed to be who X-Forwarded-For says. Below /refused
    is a 429 at the place where the plugin's would be."""
    folder = tmp_path_factory.mktemp("ratelimit")
    text, _ = rewritten((ROOT / "deploy/caddy/ratelimit.caddy").read_text())
    (folder / "zones.caddy").write_text(text.replace("(ratelimit) {\n", "(ratelimit) {\n\terror /refused 429\n", 1))
    changes = {
        "RATELIMIT_FILE": str(folder / "zones.caddy"),
        "TRUSTED_PROXIES": "127.0.0.1/32",
        "PARLEY_SITE": f"http://:{HERE}",
        "S3_SITE": f"http://:{S3}",
    }
    with Door(deployment, folder / "door", changes, "\torder error before basic_auth\n"):
        yield deployment


def ask(deployment: Deployment, requests: Sequence[Request]) -> list[Answer]:
    """All of them, one after the other."""
    arguments = [(each.port, each.method, each.path, each.headers) for each in requests]
    process = deployment.run(str(BIN / "python"), "-c", ASK, json.dumps(arguments))
    assert process.returncode == 0, process.stderr
    return [
        Answer(status, frozenset(",".join(named).replace(" ", "").split(",")) - {""}, headers, body)
        for status, named, headers, body in json.loads(process.stdout)
    ]


def bearer(key: str = "pk_invented") -> tuple[tuple[str, str], ...]:
    return (("Authorization", f"Bearer {key}"),)


@pytest.mark.parametrize(
    ("zone", "method", "path"),
    [
        ("submit", "POST", "/transcribe"),
        ("submit", "POST", "/transcribe/batch"),
        ("submit", "POST", "/v1/audio/transcriptions"),
        ("submit", "POST", "/asr"),
        ("submit", "POST", "/jobs"),
        ("submit", "POST", f"/tasks/{TASK}/retry"),
        ("upload", "POST", "/uploads"),
        ("upload", "PUT", f"/uploads/{TASK}/parts/1"),
        ("upload", "POST", f"/uploads/{TASK}/complete"),
        ("upload", "DELETE", f"/uploads/{TASK}"),
        ("poll", "GET", f"/uploads/{TASK}"),
        ("poll", "GET", f"/status/{TASK}"),
        ("poll", "HEAD", f"/result/{TASK}"),
        ("poll", "GET", f"/tasks/{TASK}/events"),
        ("poll", "PATCH", f"/tasks/{TASK}"),
        ("poll", "DELETE", f"/tasks/{TASK}"),
    ],
)
def test_a_request_counts_where_it_belongs(door: Deployment, zone: str, method: str, path: str) -> None:
    """A request with a key counts for its address, and for the key in exactly one zone."""
    (answer,) = ask(door, [Request(method, path, bearer())])
    assert answer.zones == {"address=127.0.0.1", f"{zone}=pk_invented"}


def test_every_call_of_the_gateway_counts_once_for_its_key(door: Deployment) -> None:
    """No call that the gateway knows escapes its key's limits, and only /health escapes those of its address."""
    (described,) = ask(door, [Request("GET", "/openapi.json")])
    calls = [
        Request(method.upper(), re.sub(r"\{\w+\}", "1", path), bearer())
        for path, methods in json.loads(described.body)["paths"].items()
        for method in methods
        if not path.startswith("/metrics")
    ]
    assert len(calls) > 60
    for call, answer in zip(calls, ask(door, calls), strict=True):
        counted = {zone.partition("=")[0] for zone in answer.zones}
        assert len(counted & {"submit", "upload", "poll"}) == 1, call
        assert ("address" in counted) is not call.path.startswith("/health"), call


@pytest.mark.parametrize(
    "headers",
    [
        bearer("pk_one"),
        (("authorization", "bearer pk_one"),),
        (("Authorization", "BEARER pk_one"),),
        (("X-API-Key", "pk_one"),),
        (("Authorization", "Basic cDpx"), ("X-API-Key", "pk_one")),
        (*bearer("pk_one"), ("X-API-Key", "pk_two")),
        (*bearer("pk_one"), *bearer("pk_two")),
        (("X-API-Key", "pk_one"), ("X-API-Key", "pk_two")),
    ],
)
def test_a_key_is_one_however_it_is_written(door: Deployment, headers: tuple[tuple[str, str], ...]) -> None:
    """What the gateway takes as the same key counts as the same."""
    (answer,) = ask(door, [Request("GET", "/models", headers)])
    assert "poll=pk_one" in answer.zones


@pytest.mark.parametrize(
    ("path", "headers", "key"),
    [
        ("/v1/listen?model=nova-3", (("Authorization", "Token pk_one"),), "pk_one"),
        ("/v1/listen", (("authorization", "token pk_one"), ("X-API-Key", "pk_two")), "pk_one"),
        ("/v1/listen", (("Authorization", "Token pk_one x"), ("X-API-Key", "pk_two")), "pk_two"),
        ("/v1/listen", bearer("pk_one"), "pk_one"),
        ("/transcribe/stream", (("Authorization", "Token pk_one"), ("X-API-Key", "pk_two")), "pk_two"),
        ("/v1/listen/", (("Authorization", "Token pk_one"),), None),
        ("/models", (("Authorization", "Token pk_one"),), None),
    ],
)
def test_deepgrams_scheme_is_one_at_its_address_alone(
    door: Deployment, path: str, headers: tuple[tuple[str, str], ...], key: str | None
) -> None:
    """As the gateway has it: elsewhere `Token` is no key, and another beside it counts."""
    (answer,) = ask(door, [Request("GET", path, headers)])
    assert answer.zones == {"address=127.0.0.1"} | ({f"poll={key}"} if key else set())


def test_what_the_gateway_takes_as_a_key_counts_as_that_key(door: Deployment) -> None:
    """Each spelling of the gateway's own table; what it refuses may count as whatever it likes."""
    process = door.run(str(BIN / "python"), "-c", SPELL, str(HERE))
    assert process.returncode == 0, process.stderr
    for spelling, (status, zones) in zip(SPELLINGS, json.loads(process.stdout), strict=True):
        if spelling.is_key:
            assert status == 401  # the gateway knows no such key
            assert "poll=pk_first" in ",".join(zones).replace(" ", "").split(","), spelling.name


@pytest.mark.parametrize("named", ["Authorization", "close, x-api-key", "keep-alive,AUTHORIZATION", "X-Api-Key"])
def test_no_key_is_withheld_behind_the_count(door: Deployment, named: str) -> None:
    """A header that `Connection` names would count and not arrive, and the other key that came with it would."""
    headers = (("Connection", named), *bearer("pk_invented"), ("X-API-Key", "pk_used_up"))
    (answer,) = ask(door, [Request("POST", "/transcribe", headers)])
    assert answer.status == 400


def test_without_a_key_only_the_address_counts(door: Deployment) -> None:
    """Nobody shares a limit with all who have no key, and Flower's password is no key; no key costs more than 128 bytes
    of memory by its length."""
    requests = [
        Request("POST", "/transcribe"),
        Request("GET", "/", (("Authorization", "Basic cDpx"),)),
        Request("GET", "/", bearer("k" * 5000)),
    ]
    plain, basic, long = ask(door, requests)
    assert plain.zones == basic.zones == {"address=127.0.0.1"}
    assert long.zones == {"address=127.0.0.1", "poll=" + "k" * 128}


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:a:b:1:2:3:4", "2001:db8:a:b:"),
        ("2001:db8:a:b::1", "2001:db8:a:b:"),
        ("2001:db8:a::1", "2001:db8:a:"),
        ("2001:db8::1:2:3:4", "2001:db8:"),
    ],
)
@pytest.mark.parametrize(("port", "zone"), [(HERE, "address"), (S3, "s3_address")])
def test_a_network_counts_as_one_address(door: Deployment, address: str, network: str, port: int, zone: str) -> None:
    """All addresses of an IPv6 client's /64 are one, on the host for presigned URLs as well."""
    (answer,) = ask(door, [Request("GET", "/models", (("X-Forwarded-For", address),), port)])
    assert answer.zones == {f"{zone}={network}"}


def test_a_refusal_has_the_shape_of_all_errors(door: Deployment) -> None:
    """The 429 of a limit is JSON with the request's id, also where the client's own is no id."""
    named, broken = ask(door, [Request("GET", "/refused", (("X-Request-Id", each),)) for each in ("a-1", 'b"2')])
    assert named.status == broken.status == 429
    assert json.loads(named.body)["code"] == "rate_limited"
    assert json.loads(named.body)["request_id"] == named.headers["X-Request-Id"] == "a-1"
    assert json.loads(broken.body)["request_id"] == broken.headers["X-Request-Id"] != 'b"2'
    assert "X-Limit-Zone" in named.headers


def test_an_invented_key_costs_little_memory(zones: Sequence[Zone]) -> None:
    """One address that sends a new key with each request makes Caddy hold less than 10 MB of its 512."""
    named = {zone.name: zone for zone in zones}
    assert set(named) == {"address", "submit", "upload", "poll", "s3_address"}
    let_through = named["address"].events / named["address"].window_s
    for name in ("submit", "upload", "poll"):
        # as long as the window and a sweep that just missed it
        lifetime_s = named[name].window_s + 10
        assert let_through * lifetime_s * named[name].events * EVENT_BYTES < 10_000_000, name
