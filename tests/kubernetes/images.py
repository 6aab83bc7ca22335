"""Images in the node's own store: those that compose built, by way of the engine, and programs of PARLEY_TEST_BIN."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.engine.engine import Engine
from tests.engine.namespaces import Namespaces
from tests.kubernetes.programs import packed

IMPORT = ("ctr", "-n", "k8s.io", "images", "import", "--digests=false", "-")
LIST = ("ctr", "-n", "k8s.io", "images", "ls", "-q")
TIMEOUT_S = 600

PROGRAMS = {
    "registry.k8s.io/pause:3.10": ("pause", "/pause"),
    "docker.io/library/coredns:test": ("coredns", "/coredns"),
    "docker.io/library/keda:2.21.0": ("keda-operator", "/keda"),
    "docker.io/library/prometheus:test": ("prometheus", "/prometheus"),
}
"""Images that hold one program each: the program's name, and the path that is its entrypoint."""

USERS = {"/keda": "10002:10002", "/prometheus": "10002:10002"}


def full(image: str) -> str:
    """An image's name as containerd keeps it."""
    host, slash, _ = image.partition("/")
    if not slash:
        return f"docker.io/library/{image}"
    return image if "." in host else f"docker.io/{image}"


def bring_programs(node: Namespaces, record: Path) -> None:
    """Those of PROGRAMS, one layer each, unless `record` says that the node has them."""
    for image, (name, path) in PROGRAMS.items():
        source = packed(name)
        assert source is not None, f"PARLEY_TEST_BIN has no {name}"
        key = f"{source.name} {path} {USERS.get(path)}"
        if _known(node, record).get(image) != key:
            _load(node, _archive(image, source, path))
            _note(record, {image: key})


def bring_built(engine: Engine, node: Namespaces, record: Path, images: Iterable[str]) -> None:
    """The engine's images of these names, all that changed since the last time in one stream."""
    ids = {image: engine.inspect(image)[0]["Id"] for image in sorted(images)}
    numbers = _known(node, record)
    changed = {image: number for image, number in ids.items() if numbers.get(image) != number}
    if not changed:
        return
    saving = subprocess.Popen(
        engine.entering(("docker", "save", *changed)), env=engine.environment, stdout=subprocess.PIPE
    )
    assert saving.stdout is not None
    try:
        process = subprocess.run(
            node.entering(IMPORT),
            env=node.environment,
            stdin=saving.stdout,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert process.returncode == 0, process.stderr[-2000:]
        assert saving.wait(30) == 0
    finally:
        saving.kill()
    _note(record, changed)


def _load(node: Namespaces, archive: bytes) -> None:
    process = subprocess.run(
        node.entering(IMPORT), env=node.environment, input=archive, capture_output=True, timeout=TIMEOUT_S, check=False
    )
    assert process.returncode == 0, process.stderr.decode()[-2000:]


def _archive(image: str, source: Path, path: str) -> bytes:
    """As `docker save` would write an image that is FROM scratch, with one program."""
    layer = _tar({path.lstrip("/"): (lzma.decompress(source.read_bytes()), 0o755)})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [path], "User": USERS.get(path, "")},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [image], "Layers": ["layer.tar"]}]
    files = {
        "layer.tar": layer,
        "config.json": json.dumps(config).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    return _tar({name: (content, 0o644) for name, content in files.items()})


def _tar(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, (content, mode) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _known(node: Namespaces, record: Path) -> dict[str, str]:
    """What `record` says of images that the node still has: a power cut, or somebody who tidies up, takes some away."""
    listing = subprocess.run(
        node.entering(LIST), env=node.environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    there = set(listing.stdout.split())
    return {image: key for image, key in _recorded(record).items() if full(image) in there}


def _recorded(record: Path) -> dict[str, str]:
    recorded: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
    return recorded


def _note(record: Path, images: Mapping[str, str]) -> None:
    record.write_text(json.dumps(_recorded(record) | dict(images), indent=1))
