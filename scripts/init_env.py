"""`python3 scripts/init_env.py`: write the secrets that docker compose asks for into .env.

Also the processes and threads that suit this machine, and the tag that names the images of this checkout. Values that
are there stay, but for that tag; run it again after every `git pull`. It looks at what compose needs here, and
lets everybody read the files that compose mounts. Needs nothing but Python. docs/deploy.md has the rest.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # as `python3 scripts/init_env.py` it is no part of a package

from scripts import recognisers  # noqa: E402
from scripts.host_check import findings, open_to_readers  # noqa: E402

SECRETS = (
    "POSTGRES_PASSWORD",
    "VALKEY_PASSWORD",
    "S3_ACCESS_KEY",
    "S3_SECRET_KEY",
    "FLOWER_PASSWORD",
    "GRAFANA_PASSWORD",
    "API_KEY",
)

PROFILES = ("gpu", "monitoring", "logging")

GPU = {
    "ASR_REPLICAS": "0",
    "DIARIZE_REPLICAS": "0",
    "ASR_CONCURRENCY": "1",
    "WHISPER_MODEL": "large-v3-turbo",
}

CPU_MODEL = "base"

MOST_THREADS = 8
"""Of one model process. More make base and small models no faster."""

OWN_TAG = re.compile(r"\d+\.\d+\.\d+(-g[0-9a-f]+)?")
"""PARLEY_VERSION as it is written here; another one is somebody's own."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0; names what was written, and shows no secret."""
    options = _parser().parse_args(arguments)
    file: Path = options.file
    text = file.read_text() if file.exists() else (ROOT / ".env.example").read_text()
    variables = parse_env(text)
    changes = {name: new_secret(name) for name in SECRETS if not variables.get(name)}
    if options.new_api_key:
        changes["API_KEY"] = new_secret("API_KEY")
    if options.domain:
        changes |= of_domain(options.domain, options.email)
    if options.address:
        changes |= of_address(options.address, variables)
    if variables.get("WHISPER_MODEL") == "auto":
        on_gpu = "gpu" in variables.get("COMPOSE_PROFILES", "").split(",")
        changes["WHISPER_MODEL"] = GPU["WHISPER_MODEL"] if on_gpu else CPU_MODEL  # who fetches it needs its name
    if options.gpu:
        changes |= GPU
    if profiles := [name for name in PROFILES if getattr(options, name)]:
        changes["COMPOSE_PROFILES"] = with_profiles(variables.get("COMPOSE_PROFILES", ""), profiles)
    changes |= {name: value for name, value in shares(variables | changes).items() if not variables.get(name)}
    if OWN_TAG.fullmatch(variables.get("PARLEY_VERSION") or "0.0.0") and variables.get("PARLEY_VERSION") != version():
        changes["PARLEY_VERSION"] = version()
    write_private(file, with_values(text, changes))
    print(f"{file}: {', '.join(changes) or 'nothing was missing'}")
    if "API_KEY" in changes:
        print(f"Your API key is in it: grep ^API_KEY= {file}")
    return check_machine()


def check_machine() -> int:
    """Print what compose will stumble over here. Exit status 1 when containers cannot read what is mounted."""
    changed, refused = open_to_readers(ROOT)
    if changed:
        print(f"Containers read {', '.join(changed)} as users of their own: made readable for everybody")
    for line in findings():
        print(f"warning: {line}")
    if refused:
        print(f"Containers cannot read {', '.join(refused)}. As the owner: chmod -R go+rX Caddyfile deploy")
    return 1 if refused else 0


def shares(variables: Mapping[str, str]) -> dict[str, str]:
    """The cores of this machine, shared by as many recognisers as there will be, and the memory of those; half of the
    cores for diarizers, which mostly work beside one."""
    cores = recognisers.cores()
    replicas = max(1, int(variables.get("ASR_REPLICAS") or 1))
    memory = (recognisers.memory_bytes() or 0) // replicas
    on_gpu = "gpu" in variables.get("COMPOSE_PROFILES", "").split(",")  # a card has one
    # threads that are there were chosen for one process
    is_one = on_gpu or bool(variables.get("ASR_THREADS")) or variables.get("MODEL_POOL") == "solo"
    processes = 1 if is_one else recognisers.processes(cores // replicas, memory)
    processes = int(variables.get("ASR_CONCURRENCY") or processes)

    def each(of: int, among: int) -> str:
        return str(min(MOST_THREADS, max(1, of // max(1, among))))

    room = {"ASR_MEMORY": f"{4 * processes}g"} if processes > 2 else {}  # 8g, the default, is for two
    return room | {
        "ASR_CONCURRENCY": str(processes),
        "ASR_THREADS": each(cores, replicas * processes),
        "DIARIZE_THREADS": each(cores // 2, int(variables.get("DIARIZE_REPLICAS") or 1)),
    }


def version() -> str:
    """The release and the commit of this checkout, such as 0.1.0-g1a2b3c4; without git the release alone. Images of two
    checkouts thus have two tags, and the old ones stay for the way back."""
    match = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    release = match[1] if match else "0.0.0"
    command = ("git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD")
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return release
    return f"{release}-g{result.stdout.strip()}" if result.returncode == 0 else release


def new_secret(name: str) -> str:
    """192 random bits. Letters and digits only, so that neither a URL nor a shell nor compose needs quotes."""
    return ("pk_" if name == "API_KEY" else "") + secrets.token_hex(24)


def of_domain(domain: str, email: str | None) -> dict[str, str]:
    """The two sites of a domain with certificates, and the address that presigned URLs are signed for."""
    return {
        "PARLEY_SITE": domain,
        "S3_SITE": f"s3.{domain}",
        "S3_PUBLIC_ENDPOINT_URL": f"https://s3.{domain}",
        "ACME_EMAIL": email or f"admin@{domain}",
        "GRAFANA_URL": f"https://{domain}/grafana/",
        "GRAFANA_COOKIE_SECURE": "true",
    }


def of_address(address: str, variables: Mapping[str, str]) -> dict[str, str]:
    """For a network without a domain: where other machines find S3 and Grafana, by the ports of the file."""
    port, s3_port = variables.get("HTTP_PORT") or "80", variables.get("S3_PORT") or "9000"
    return {
        "S3_PUBLIC_ENDPOINT_URL": f"http://{address}:{s3_port}",
        "GRAFANA_URL": f"http://{address}{'' if port == '80' else f':{port}'}/grafana/",
    }


def with_profiles(present: str, profiles: Sequence[str]) -> str:
    """Compose's list of profiles, as it was and with these."""
    return ",".join(dict.fromkeys([*filter(None, present.split(",")), *profiles]))


def parse_env(text: str) -> dict[str, str]:
    """The variables that an environment file sets; a name without a value counts as not set by whoever asks."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def with_values(text: str, values: Mapping[str, str]) -> str:
    """The file's text with these values: in the line of the variable, also one that is commented out, or at the end."""
    rest = dict(values)
    lines = []
    for line in text.splitlines():
        name = line.removeprefix("#").partition("=")[0]
        lines.append(f"{name}={rest.pop(name)}" if name in rest else line)
    lines += [f"{name}={value}" for name, value in rest.items()]
    return "\n".join(lines) + "\n"


def write_private(file: Path, text: str) -> None:
    """Replace `file` in one step by one that only its owner can read."""
    handle, draft = tempfile.mkstemp(dir=file.absolute().parent, prefix=".env-")  # of mode 600
    with os.fdopen(handle, "w") as out:
        out.write(text)
    Path(draft).replace(file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, default=Path(".env"), help="(default: .env in this folder)")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--address", help="name or IP address of this machine in a network without a domain; plain HTTP")
    place.add_argument("--domain", help="serve https://DOMAIN and https://s3.DOMAIN with certificates of its own")
    parser.add_argument("--email", help="who is told when a certificate cannot be renewed (default: admin@DOMAIN)")
    parser.add_argument(
        "--new-api-key", action="store_true", help="another API_KEY in the place of the one that is there"
    )
    parser.add_argument("--gpu", action="store_true", help="recognition and diarization on an NVIDIA card")
    parser.add_argument("--monitoring", action="store_true", help="Prometheus, and Grafana below /grafana")
    parser.add_argument("--logging", action="store_true", help="Loki and Alloy: logs of 30 days in Grafana")
    return parser


if __name__ == "__main__":
    sys.exit(main())
