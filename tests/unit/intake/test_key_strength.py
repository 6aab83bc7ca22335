"""What may be an API key that was chosen by hand."""

from __future__ import annotations

import base64
import os
import random
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.init_env import new_secret
from scripts.local.home import Secrets
from shared.callers.key_strength import MIN_CHARS, weakness

ROOT = Path(__file__).resolve().parents[3]

WEAK = (
    "a" * 24, "0" * 48, "ab" * 12, "abc" * 8, "pk_" + "x" * 40, "a" * 23 + "b", "aaaaaaaaaaaabbbbbbbbbbbb",
    "abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789" * 3,
    "9876543210" * 3, "00112233445566778899aabb", "qwertzuiopasdfghjklyxcvbnm", "asdfghjklasdfghjklasdfgh",
    "deadbeefdeadbeefdeadbeef", "1234567890abcdef12345678", "hunter2hunter2hunter2hunter2", "adminadminadminadmin1234",
    "changeme-7f3a91c2e5d804", "CHANGE_ME_7f3a91c2e5d804b6", "pk_change.me.7f3a91c2e5d804", "password-7f3a91c2e5d804b6",
    "my-secret-7f3a91c2e5d804b", "your_api_key_7f3a91c2e5d8", "pk_example_7f3a91c2e5d804b", "default-7f3a91c2e5d804b6",
    "pk_choose_a_long_one_of_your_own", "pk_of_somebody_who_tries_the_image", "correct-horse-battery-staple",
    "THE_QUICK_BROWN_FOX_JUMPED", "pk_7f3a91c2", "", "pk_", "7f3a91c2e5d804b6 7f3a91c2", "7f3a91c2e5d804b6/9k2m+x==",
    "schlüssel-7f3a91c2e5d804b", "7f3a91c2e5d804b6\u00a09k2mxq", "7f3a91c2e5d804b69k2mxqé", "7f3a91c2e5d804b6,9k2mxqtz",
    "7f3a91c2e5d804b69k2mxqtz\n", secrets.token_hex(100),
)  # fmt: skip


@pytest.mark.parametrize("key", WEAK)
def test_a_key_that_is_guessed_is_refused(key: str) -> None:
    """Repetition, runs, placeholders, words, short ones and characters that headers spell in two ways; unseen."""
    reason = weakness(key)
    assert reason
    assert not key or len(key) < 6 or key not in reason


def test_made_keys_are_strong() -> None:
    """Those of init_env.py and of the local stack, which are hex, and random ones of base64, also of the least length;
    those are the same in each run, as one in a million has a word in it."""
    dice = random.Random(1)
    for _ in range(500):
        texts = (base64.urlsafe_b64encode(dice.randbytes(size)).decode().rstrip("=") for size in (32, 18))
        for key in (new_secret("API_KEY"), Secrets().api_key, *texts):
            assert weakness(key) is None, key
    assert len(secrets.token_urlsafe(18)) == MIN_CHARS


def test_no_value_that_is_written_down_is_a_key() -> None:
    """What stands for a key in the documents, the examples, compose's files and the tests of the images is refused."""
    files = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), *ROOT.glob("compose/*"), *ROOT.glob("deploy/**/*.y*ml"),
             ROOT / ".env.example", ROOT / "docker-compose.yml", *ROOT.glob("tests/deploy/*.py")]  # fmt: skip
    pattern = r"API_?KEY[\"']?\s*[=:]\s*[\"']?([\w.-]+)|Bearer ([\w.-]+)|X-API-Key[\"']?[:,] ?[\"']?([\w.-]+)"
    keys = {
        next(filter(None, match)) for file in files for match in re.findall(pattern, file.read_text(), re.IGNORECASE)
    }
    examples = {word for file in files for word in re.findall(r"\bpk_[\w-]+", file.read_text())}
    assert len(keys) > 3
    assert [value for value in keys | examples if weakness(value) is None] == []


@pytest.mark.parametrize("key", ["pk_choose_a_long_one_of_your_own", "a" * 24, "pk_4711"])
def test_a_gateway_does_not_start_with_a_weak_key(key: str) -> None:
    """It ends at once with a line that names API_KEY and says why, and does not show it."""
    started = subprocess.run(
        (sys.executable, "-m", "api.server"), cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        env={"PATH": os.environ["PATH"], "API_KEY": key, "DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none",
             "REDIS_URL": "redis://127.0.0.1:1/0"},
    )  # fmt: skip
    message = started.stderr
    assert started.returncode == 1
    assert re.match(r"  API_KEY: \w.*; make one with: python3 -c ", message.splitlines()[-1]), message
    assert "Traceback" not in message and key not in message + started.stdout
