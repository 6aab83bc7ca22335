"""What a fresh machine gets of this one: its network, how pip and TLS find their way through it, and for the tests that
run there the programs that no package index has."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

PROXIES = re.compile(r"(?i)(http|https|no|all)_proxy$")
AUTHORITIES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO")
PROGRAMS = ("PARLEY_TEST_BIN", "CADDY_RATELIMIT")
NETWORK = ("/etc/resolv.conf", "/etc/hosts")


def environment() -> dict[str, str]:
    """Settings of pip, of proxies, of certificates and of the tests, as variables."""
    programs = {name: str(Path(os.environ[name]).resolve()) for name in PROGRAMS if name in os.environ}
    settings = {name: value for name, value in os.environ.items() if PROXIES.fullmatch(name) or name in AUTHORITIES}
    return settings | programs | _pip_settings()


def binds() -> list[str]:
    """SOURCE=TARGET for each file and folder that the settings name, and for those of the network."""
    words = {word.removeprefix("file://") for value in environment().values() for word in value.split()}
    named = {word for word in words if word.startswith("/") and Path(word).exists()}
    # an index that lies in folders has its files beside it
    named |= {str(Path(word).parent) for word in named if Path(word).name == "simple"}
    outermost = [
        word
        for word in named
        if not any(Path(word) != Path(other) and Path(word).is_relative_to(other) for other in named)
    ]
    pairs = [f"{path}={path}" for path in sorted(outermost)]
    return pairs + [f"{Path(file).resolve()}={file}" for file in NETWORK if Path(file).exists()]


def _pip_settings() -> dict[str, str]:
    """All that pip reads from its files and variables here: those of its variables win, as in pip."""
    output = subprocess.run(
        (sys.executable, "-m", "pip", "config", "list"), capture_output=True, text=True, check=True
    ).stdout
    lines = [line.partition("=") for line in output.splitlines()]
    settings: dict[str, str] = {}
    for section in ("global.", "install.", ":env:."):
        settings |= {
            f"PIP_{name.removeprefix(section).replace('-', '_').upper()}": str(ast.literal_eval(value))
            for name, _, value in lines
            if name.startswith(section)
        }
    return settings
