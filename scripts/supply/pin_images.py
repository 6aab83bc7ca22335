"""`python -m scripts.supply.pin_images`: ask registries for the digest behind every image's tag, write it beside it.

`--check` writes nothing and fails where a registry has something else than the files. compose/by-tag.yml follows: the
same images without digests, for a machine that gets them out of an archive (docs/deploy.md).
"""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
FILES = ("docker-compose.yml", "compose/minio.yml", "Dockerfile", "Dockerfile.worker", "deploy/caddy/Dockerfile")
BY_TAG = "compose/by-tag.yml"
PLATFORMS = {"linux/amd64", "linux/arm64"}
TIMEOUT_S = 30
HUB = "registry-1.docker.io"

REFERENCE = re.compile(
    r"(?P<before>^ *image: |^ARG \w+_IMAGE=)(?P<image>(?!parley-)[\w./:-]+:[\w.-]+)(?P<digest>@sha256:[0-9a-f]{64})?$",
    re.MULTILINE,
)
INDEXES = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


class NoDigest(Exception):
    """The registry has no digest for an image; the text says why, in a line."""


@dataclass(frozen=True)
class Image:
    """A reference by tag: postgres:18.4-bookworm, quay.io/minio/minio:RELEASE.2025."""

    name: str

    @property
    def registry(self) -> str:
        host, slash, _ = self.name.partition("/")
        return host if slash and ("." in host or ":" in host) else HUB

    @property
    def repository(self) -> str:
        path = self.name.rpartition(":")[0]
        if self.registry != HUB:
            return path.partition("/")[2]
        return path if "/" in path else f"library/{path}"

    @property
    def tag(self) -> str:
        return self.name.rpartition(":")[2]

    @property
    def url(self) -> str:
        # As Docker has it: a registry on the machine itself needs no certificate.
        scheme = "http" if self.registry.startswith(("127.0.0.1:", "localhost:")) else "https"
        return f"{scheme}://{self.registry}/v2/{self.repository}/manifests/{self.tag}"


def main(arguments: list[str], root: Path = ROOT) -> None:
    pins = {image: f"@{digest(Image(image))}" for image in sorted(images(root))}
    stale = [image for image, pin in images(root).items() if pin != pins[image]]
    if "--check" in arguments:
        if stale:
            sys.exit("The registries have other images than the files: " + ", ".join(stale))
        return
    for file in FILES:
        path = root / file
        text = path.read_text()
        path.write_text(REFERENCE.sub(lambda match: match["before"] + match["image"] + pins[match["image"]], text))
    (root / BY_TAG).write_text(by_tag(root))


def images(root: Path) -> dict[str, str]:
    """Every image that is pulled, by its tag, and the digest beside it as @sha256:...; empty where it has none."""
    texts = [(root / file).read_text() for file in FILES]
    return {match["image"]: match["digest"] or "" for text in texts for match in REFERENCE.finditer(text)}


def digest(image: Image) -> str:
    """The digest of what a tag names now, as sha256:..., for all its platforms. Raises NoDigest, with a line."""
    with httpx.Client(timeout=TIMEOUT_S, follow_redirects=True) as client:
        try:
            answer = client.get(image.url, headers={"Accept": INDEXES})
            if answer.status_code == 401:
                token = bearer(client, answer.headers.get("WWW-Authenticate", ""))
                answer = client.get(image.url, headers={"Accept": INDEXES, "Authorization": f"Bearer {token}"})
            answer.raise_for_status()
            manifests = answer.json().get("manifests", [])
        except (httpx.HTTPError, ValueError) as error:
            raise NoDigest(f"{image.name}: {image.registry} gave no digest: {error}") from error
    platforms = {f"{each['platform']['os']}/{each['platform']['architecture']}" for each in manifests}
    if missing := PLATFORMS - platforms:
        raise NoDigest(f"{image.name}: {image.registry} has no image for {', '.join(sorted(missing))}")
    return f"sha256:{hashlib.sha256(answer.content).hexdigest()}"


def bearer(client: httpx.Client, challenge: str) -> str:
    """A token to read with, from whom the registry's refusal names."""
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    answer = client.get(fields.pop("realm", ""), params=fields)
    answer.raise_for_status()
    token: str = answer.json()["token"]
    return token


def by_tag(root: Path) -> str:
    """The text of compose/by-tag.yml."""
    text = (root / "docker-compose.yml").read_text().partition("\nservices:\n")[2]
    services = re.split(r"^  (?=[\w-]+:(?: |$))", text, flags=re.MULTILINE)
    references = [(service.partition(":")[0], REFERENCE.search(service)) for service in services]
    lines = [f"  {name}: {{ image: {each['image']} }}" for name, each in references if each]
    # the service asks no index for weights that may be missing; those that may not have come in an archive too
    lines.append('  models: { environment: { HF_HUB_OFFLINE: "1" } }')
    header = (
        "# For a machine whose images come out of an archive: there they have tags and no digests (docs/deploy.md).\n"
        "# Made by `python -m scripts.supply.pin_images`. Do not edit.\n"
    )
    return header + "\n".join(["services:", *lines]) + "\n"


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NoDigest as error:
        sys.exit(str(error))
