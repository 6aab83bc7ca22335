"""bills/ says what each image is made of, and NOTICE names what asks for more than attribution."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from importlib import metadata

import pytest
from license_expression import get_spdx_licensing

from scripts.supply import bill, licences
from tests.deploy.composed import ROOT
from tests.deploy.images.dockerfiles import copied, requirements
from tests.supply.test_locks import closure

OWN_NAMES = {"LicenseRef-NVIDIA", "LicenseRef-Debian"}
TARGETS = {
    "api": ("Dockerfile", "api"),
    **{name: ("Dockerfile.worker", name) for name in ("asr", "models", "all-in-one")},
}

same_wheels = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11) or platform.machine() != "x86_64",
    reason="the wheels of the images are those of CPython 3.11 on x86-64",
)


def loaded(name: str) -> dict[str, str]:
    """Version of each Python package in a bill."""
    contents = json.loads((bill.BILLS / f"{name}.cdx.json").read_text())
    parts = [each for each in contents["components"] if each["purl"].startswith("pkg:pypi/")]
    return {each["name"]: each["version"] for each in parts}


def test_each_image_has_a_bill_and_a_notice() -> None:
    """bills/ has both for every image that is built, and nothing else."""
    assert {file.name for file in bill.BILLS.iterdir()} == {
        f"{name}{end}" for name in bill.names() for end in (".cdx.json", ".NOTICE")
    }


@pytest.mark.parametrize("name", bill.IMAGES)
def test_a_bill_has_what_the_locks_have(name: str) -> None:
    """Every package of an image's locks is in its bill at the same version, and no other package is."""
    entries = {entry.name: entry.version for each in bill.IMAGES[name] for entry in closure(each).values()}
    if "torch" in entries and "torch-cpu" in bill.IMAGES[name]:
        entries["torch"] += "+cpu"
    assert loaded(name) == entries


@pytest.mark.parametrize("name", TARGETS)
def test_a_bill_has_what_its_image_is_installed_from(name: str) -> None:
    """The locks of a bill are those that the Dockerfile installs."""
    sets = requirements(*TARGETS[name])
    installed = {entry for each in sets for entry in closure(each)}
    assert installed == set(loaded(name))


@same_wheels
@pytest.mark.parametrize("name", bill.names())
def test_bills_are_up_to_date(name: str) -> None:
    """What is committed is what `python -m scripts.supply.bill` writes."""
    contents = bill.parts(name)
    assert (bill.BILLS / f"{name}.cdx.json").read_text() == bill.bill(name, contents)
    assert (bill.BILLS / f"{name}.NOTICE").read_text() == bill.notice(name, contents)


@pytest.mark.parametrize("name", bill.names())
def test_every_part_has_a_licence(name: str) -> None:
    """Each component, and each library inside one, has a licence that SPDX knows or that NOTICE explains."""
    contents = json.loads((bill.BILLS / f"{name}.cdx.json").read_text())
    assert contents["specVersion"] == "1.6" and contents["bomFormat"] == "CycloneDX"
    spdx = get_spdx_licensing()
    parts = [inner for each in contents["components"] for inner in (each, *each.get("components", ()))]
    for part in parts:
        (licence,) = part["licenses"]
        text = licence.get("expression") or licence["license"].get("id") or licence["license"]["name"]
        assert text in OWN_NAMES or spdx.validate(text).errors == [], (part["name"], text)


@same_wheels
def test_the_codecs_of_av_are_named() -> None:
    """x264 and x265, which FFmpeg in the wheel of av is linked with, are below the GPL in the bill of every image that
    has av, and in NOTICE."""
    names = [name for name, _ in licences.libraries("av")]
    assert {name.partition(".")[0] for name in names} > {"libx264", "libx265", "libavcodec"}
    linked = next(file for file in metadata.files("av") or [] if file.name.startswith("libavcodec")).locate()
    needs = subprocess.run(
        ("grep", "-c", "libx26[45]-[0-9a-f]*.so", str(linked)), capture_output=True, text=True, check=True
    )
    assert int(needs.stdout) > 0
    for name in bill.IMAGES:
        if "av" in loaded(name):
            text = (bill.BILLS / f"{name}.NOTICE").read_text().partition("Under other licences")[0]
            assert re.search(r"libx264\S*, in av \S+: GPL-2.0-or-later", text), name
            assert re.search(r"libx265\S*, in av \S+: GPL-2.0-or-later", text), name
    assert "x264 and x265" in (ROOT / "NOTICE").read_text()


def test_notice_names_what_is_below_the_gpl() -> None:
    """Each package or library of any image below the GPL, LGPL or MPL has its name in NOTICE."""
    text = (ROOT / "NOTICE").read_text().lower().replace("-", "")
    names = {"libavcodec": "ffmpeg", "libasound": "alsalib", "libhogweed": "nettle", "libmp3lame": "lame"}
    for name in bill.IMAGES:
        section = (bill.BILLS / f"{name}.NOTICE").read_text().partition("MPL\n\n")[2].partition("Under other")[0]
        for part, rest in re.findall(r"^  ([\w-]+)(\S*(?: |, in )\S+)", section, re.MULTILINE):
            project = names.get(part, "ffmpeg" if part.startswith(("libav", "libsw")) else part)
            short = project.removeprefix("lib").replace("-", "").lower()
            short = {"crypt": "libxcrypt"}.get(short, short)
            assert short in text, (part, rest)


def test_images_carry_their_notices() -> None:
    """Every image of ours has LICENSE, NOTICE and the bills."""
    for dockerfile, target in (
        ("Dockerfile", "api"),
        *(("Dockerfile.worker", each) for each in ("asr", "full", "models")),
    ):
        assert {"LICENSE", "NOTICE", "bills"} <= set(copied(dockerfile, target)), target
    assert copied("Dockerfile.worker", "all-in-one") == ["."]


def test_packages_of_debian_are_added_to_a_bill() -> None:
    """`--debian` puts what dpkg-query lists beside the rest."""
    program = (sys.executable, "-W", "error", "-m", "scripts.supply.bill", "--debian", "api")
    lines = "libc6 2.36-9+deb12u13 amd64\ntzdata 2025b-0+deb12u2 all\n"
    run = subprocess.run(program, input=lines, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    parts = {each["name"]: each.get("purl") for each in json.loads(run.stdout)["components"]}
    assert parts["libc6"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=amd64"
    assert set(loaded("api")) | {"libc6", "tzdata", "tini", "python"} == set(parts)


def test_an_unknown_licence_is_an_error() -> None:
    """A package or a library that nobody has a licence for stops the command."""
    with pytest.raises(licences.NoLicence, match="nobody-has-this"):
        licences.of_package("nobody-has-this")


def test_security_names_what_exists() -> None:
    """Every file that SECURITY.md points at is there."""
    text = (ROOT / "SECURITY.md").read_text()
    for cell in re.findall(r"\| (`tests/[^|]*) \|$", text, re.MULTILINE):
        folder = ""
        for path in re.findall(r"`([^`]+)`", cell):
            folder = path.rpartition("/")[0] if path.startswith("tests/") else folder
            file = ROOT / (path if path.startswith("tests/") else f"{folder}/{path}")
            assert file.exists(), path
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / link).exists(), link
