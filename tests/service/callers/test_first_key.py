"""The key of the environment: one is valid at a time, and nothing of a key is kept in clear."""

from __future__ import annotations

import secrets
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, text

from scripts.local.stack import Stack
from shared.callers import keys
from shared.config import Settings
from shared.db import session
from shared.errors import InvalidRequest, Unauthorized
from shared.models import ApiKey
from shared.storage import storage_of
from tests.deploy.documented import blocks, section
from tests.service.gateway import eventually, gateway_on

ROOT = Path(__file__).resolve().parents[3]


def a_key() -> str:
    return f"pk_{secrets.token_hex(24)}"


def is_valid(key: str) -> bool:
    with session() as work:
        try:
            keys.authenticate(work, key)
        except Unauthorized:
            return False
    return True


def begin(key: str) -> bool:
    """What a gateway does at its start."""
    with session() as work:
        return keys.bootstrap(work, key)


@pytest.fixture(autouse=True)
def restored(servers: Stack, environment: Settings) -> Iterator[None]:
    """The key of the other tests' gateways is the valid one again afterwards."""
    yield
    begin(servers.api_key)


def status(url: str, key: str) -> int:
    return httpx.get(f"{url}/admin/keys", headers={"X-API-Key": key}, timeout=60).status_code


def test_the_documented_rotation_ends_the_old_key(
    servers: Stack, environment: Settings, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As operations.md says: init_env.py writes another value, gateways are started with it, and the old one is 401
    for every gateway at once; applications' keys stay valid."""
    make, restart, show = blocks(section(ROOT / "docs/operations.md", "Rotate the first key"))[0]
    assert restart.startswith("docker compose up ") and restart.endswith(" api")
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    (tmp_path / ".env.example").symlink_to(ROOT / ".env.example")

    def run(command: str) -> str:
        typed = command.replace("python3", sys.executable)
        return subprocess.run(("sh", "-c", typed), cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    run("python3 scripts/init_env.py")
    old = run(show).strip().removeprefix("API_KEY=")
    homes, storage = [tmp_path_factory.mktemp("gateway") for _ in range(2)], storage_of(environment)
    with gateway_on(servers, homes[0], storage, API_KEY=old) as before:
        application = before.caller("admin")
        assert (status(before.url, old), status(before.url, application.key)) == (200, 200)
        run(make)
        new = run(show).strip().removeprefix("API_KEY=")
        assert new != old
        with gateway_on(servers, homes[1], storage, API_KEY=new) as after:
            for gateway in (before, after):
                assert (status(gateway.url, old), status(gateway.url, new)) == (401, 200)
                assert status(gateway.url, application.key) == 200
            listed = httpx.get(f"{after.url}/admin/keys", headers={"X-API-Key": new}, timeout=60).json()["items"]
        environment_keys = [item for item in listed if item["from_environment"]][:2]
        assert [item["revoked_at"] is None for item in environment_keys] == [True, False]
        assert len({item["prefix"] for item in listed}) == len(listed)


def test_the_last_value_holds(environment: Settings) -> None:
    """Also when it was valid before, as after a way back to an older configuration."""
    first, second = a_key(), a_key()
    for key, other in ((first, second), (second, first), (first, second), (first, second)):
        assert begin(key)
        assert (is_valid(key), is_valid(other)) == (True, False)


def test_one_is_valid_of_gateways_that_start_at_once(environment: Settings) -> None:
    """Whether they have the same value or different ones, and however often."""
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            values = [a_key() for _ in range(4)]
            assert all(pool.map(begin, values * 2))
            assert sum(is_valid(key) for key in values) == 1
    with session() as work:
        valid = select(ApiKey).where(ApiKey.from_environment.is_(True), ApiKey.revoked_at.is_(None))
        assert len(work.scalars(valid).all()) == 1


def test_a_value_that_an_administrator_revoked_stays_invalid(
    servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A gateway that starts with it says so in its log, and its earlier values do not come back either."""
    earlier, key = a_key(), a_key()
    begin(earlier)
    begin(key)
    with session() as work:
        keys.revoke(work, keys.authenticate(work, key).id)
    with gateway_on(servers, tmp_path_factory.mktemp("gateway"), storage_of(environment), API_KEY=key) as gateway:
        eventually(lambda: "api_key_is_revoked" in gateway.log(), "the line")
        assert (status(gateway.url, key), status(gateway.url, earlier)) == (401, 401)
        assert key not in gateway.log()


def test_keys_of_the_release_before_are_taken_over(environment: Settings) -> None:
    """What it makes on the new tables while both run: valid until a gateway has another value, and then without the
    first characters that it had stored; keys that it made for applications stay valid."""
    old, application, current = a_key(), "pk_" + secrets.token_urlsafe(32), a_key()
    with session() as work:
        for key, name, scopes in ((old, "first key", ["transcribe", "admin"]), (application, "first key", ["admin"])):
            work.execute(
                text(
                    "INSERT INTO api_keys (id, name, prefix, digest, scopes)"
                    " VALUES (:id, :name, :prefix, :digest, :scopes)"
                ),
                {"id": uuid.uuid4(), "name": name, "prefix": key[:12], "digest": keys.digest(key), "scopes": scopes},
            )
    assert is_valid(old)
    begin(current)
    assert [is_valid(key) for key in (old, application, current)] == [False, True, True]
    with session() as work:
        rows = work.scalars(select(ApiKey).where(ApiKey.digest.in_([keys.digest(old), keys.digest(application)])))
        assert {row.prefix for row in rows} == {keys.fingerprint(keys.digest(key)) for key in (old, application)}


def test_no_piece_of_a_key_is_stored(environment: Settings) -> None:
    """Of a made key the id with which it begins, of a chosen one nothing; both are told apart in the list."""
    custom_keys = [a_key() for _ in range(2)]
    for key in custom_keys:
        begin(key)
    with session() as work:
        random_keys = [keys.create(work, "application")[1] for _ in range(2)]
    hidden = [*(key.removeprefix("pk_") for key in custom_keys), *(key[12:] for key in random_keys)]
    with session() as work:
        rows = work.execute(text("SELECT api_keys::text, prefix, digest FROM api_keys")).all()
    stored = "\n".join(
        row.replace(digest, "").replace(prefix, prefix.removeprefix("sha256:")) for row, prefix, digest in rows
    )
    for secret in hidden:
        assert len(secret) >= 43
        assert not [part for at in range(len(secret) - 7) if (part := secret[at : at + 8]) in stored]
    prefixes = {digest: prefix for _, prefix, digest in rows}
    assert len({prefixes[keys.digest(key)] for key in (*custom_keys, *random_keys)}) == 4
    for key in random_keys:
        assert prefixes[keys.digest(key)] == key[:12]


def test_a_weak_value_makes_no_key(environment: Settings) -> None:
    """Wherever it comes from, what is easily guessed is refused, and the valid key stays."""
    key = a_key()
    begin(key)
    with pytest.raises(InvalidRequest, match=r"^API_KEY is a placeholder"):
        begin("pk_choose_a_long_one_of_your_own")
    assert is_valid(key)
