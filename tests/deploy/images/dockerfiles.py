"""Dockerfiles and .dockerignore as a build reads them, as far as ours go."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Stage:
    """A stage: its base with every ARG filled in, and its instructions, each on one line."""

    name: str
    base: str
    instructions: tuple[tuple[str, str], ...]

    def values(self, keyword: str) -> list[str]:
        return [value for name, value in self.instructions if name == keyword]


@cache
def stages(dockerfile: str) -> tuple[Stage, ...]:
    """All stages of a file, in its order."""
    text = (ROOT / dockerfile).read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    instructions = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    defaults: dict[str, str] = {}
    build_stages: list[Stage] = []
    for keyword, _, value in (line.partition(" ") for line in instructions):
        if keyword == "ARG" and not build_stages:
            name, _, default = value.partition("=")
            defaults[name] = default
        elif keyword == "FROM":
            base, _, name = value.partition(" AS ")
            build_stages.append(Stage(name, re.sub(r"\$\{(\w+)\}", lambda arg: defaults[arg[1]], base), ()))
        else:
            last = build_stages[-1]
            build_stages[-1] = Stage(last.name, last.base, (*last.instructions, (keyword, value)))
    return tuple(build_stages)


def lineage(dockerfile: str, target: str | None) -> list[Stage]:
    """The stage `target` (None: the last one) and those that it is built on, nearest first."""
    named = {stage.name: stage for stage in stages(dockerfile)}
    line = [named[target] if target else stages(dockerfile)[-1]]
    while line[-1].base in named:
        line.append(named[line[-1].base])
    return line


def in_effect(dockerfile: str, target: str | None, keyword: str) -> str:
    """The value of the last USER, ENTRYPOINT, CMD or HEALTHCHECK that an image has; empty where it has none."""
    values = [value for stage in lineage(dockerfile, target) for value in reversed(stage.values(keyword))]
    return values[0] if values else ""


def environment(dockerfile: str, target: str) -> dict[str, str]:
    """What ENV says in an image, and does not take from elsewhere."""
    pairs = [
        re.findall(r"(\w+)=(\S+)", value)
        for stage in reversed(lineage(dockerfile, target))
        for value in stage.values("ENV")
    ]
    return {name: value for matches in pairs for name, value in matches}


def requirements(dockerfile: str, target: str) -> set[str]:
    """Names of the sets of packages in an image for CPUs."""
    (stage,) = re.findall(r"--from=(\S+) /opt/venv", " ".join(lineage(dockerfile, target)[0].values("COPY")))
    runs = [run for each in lineage(dockerfile, stage) for run in each.values("RUN")]
    return set(re.findall(r"-r requirements/locks/(\w+)\.txt", " ".join(runs))) - {"cuda"}


def copied(dockerfile: str, target: str) -> list[str]:
    """Paths that an image takes out of the checkout."""
    copies = [value.split() for value in lineage(dockerfile, target)[0].values("COPY") if "--from" not in value]
    return [source.rstrip("/") for copy in copies for source in copy[:-1] if not source.startswith("--")]


def context() -> list[str]:
    """Files of the checkout, as paths in it, that .dockerignore lets through to a build."""
    tops = [top for top in ROOT.iterdir() if is_let_through(top.name)]
    files = [file for top in tops for file in ([top] if top.is_file() else top.rglob("*")) if file.is_file()]
    return [path for path in (str(file.relative_to(ROOT)) for file in files) if is_let_through(path)]


def copy(dockerfile: str, target: str, folder: Path) -> None:
    """Fill `folder` with what the image has of the checkout."""
    sources = copied(dockerfile, target)
    for path in context():
        if any(source == "." or path == source or path.startswith(f"{source}/") for source in sources):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)


def is_let_through(path: str) -> bool:
    """Whether .dockerignore leaves a path in: of the patterns that match it or a folder of its, the last one counts."""
    parts = path.split("/")
    places = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    included = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = _expression(line.removeprefix("!").rstrip("/"))
            if any(pattern.fullmatch(place) for place in places):
                included = line.startswith("!")
    return included


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    parts = {r"\*\*/": "(?:.*/)?", r"\*": "[^/]*"}
    return re.compile(re.sub(r"\\\*\\\*/|\\\*", lambda match: parts[match[0]], re.escape(pattern)))
