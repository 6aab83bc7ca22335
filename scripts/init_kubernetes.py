"""`python3 scripts/init_kubernetes.py [cpu|gpu]`: write the secrets of an overlay of deploy/kubernetes.

One file for each Secret, so that a process gets only those that it needs; kustomize reads them, git ignores them.
Values that are there stay; it can be run again after an upgrade. Needs nothing but Python. docs/kubernetes.md has more.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

if not __package__:  # run as a file: the package of this folder is one level up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.init_env import new_secret, parse_env, with_values, write_private

ROOT = Path(__file__).resolve().parent.parent

OUTSIDE = ("DATABASE_URL", "REDIS_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""Where the overlay brings no servers of its own, only their owner knows these."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0; names what was written and what is left to fill in, and shows no secret."""
    options = _parser().parse_args(arguments)
    folder = options.folder or ROOT / "deploy" / "kubernetes" / "overlays" / options.overlay / "secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    variables = {
        name: value for file in folder.glob("*.env") for name, value in parse_env(file.read_text()).items() if value
    }
    empty = []
    for filename, values in (_own_servers if options.overlay == "cpu" else _outside_servers)(variables).items():
        file = folder / filename
        text = file.read_text() if file.exists() else ""
        present = parse_env(text)
        missing = {name: value for name, value in values.items() if not present.get(name)}
        if missing:
            write_private(file, with_values(text, missing))
            print(f"{file}: {', '.join(missing)}")
        empty += [f"{name} in {file}" for name, value in missing.items() if not value]
    for line in empty:
        print(f"to be filled in: {line}")
    print(f"Your API key: grep ^API_KEY= {folder / 'api.env'}")
    return 0


def _doors(variables: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {
        "api.env": {"API_KEY": variables.get("API_KEY") or new_secret("API_KEY")},
        "flower.env": {
            "FLOWER_BASIC_AUTH": variables.get("FLOWER_BASIC_AUTH") or f"parley:{new_secret('FLOWER_PASSWORD')}"
        },
    }


def _own_servers(variables: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Values by name by file, for components/servers: addresses of its services, with passwords known on both sides."""
    postgres = _password(variables, "POSTGRES_PASSWORD", "DATABASE_URL")
    valkey = _password(variables, "VALKEY_PASSWORD", "REDIS_URL")
    return {
        "servers.env": {
            "DATABASE_URL": f"postgresql+psycopg://parley:{postgres}@postgres:5432/parley",
            "REDIS_URL": f"redis://:{valkey}@valkey:6379/0",
            "AWS_ACCESS_KEY_ID": new_secret("S3_ACCESS_KEY"),
            "AWS_SECRET_ACCESS_KEY": new_secret("S3_SECRET_KEY"),
        },
        "postgres.env": {"POSTGRES_PASSWORD": postgres},
        "valkey.env": {"VALKEY_PASSWORD": valkey},
        **_doors(variables),
    }


def _password(variables: Mapping[str, str], name: str, url: str) -> str:
    """As it was written, in a file of its own or in a URL; else a new one."""
    return variables.get(name) or urlsplit(variables.get(url, "")).password or new_secret(name)


def _outside_servers(variables: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {"servers.env": dict.fromkeys(OUTSIDE, ""), **_doors(variables)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overlay", nargs="?", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--folder", type=Path, help="(default: secrets/ of the overlay)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
