"""Names are nouns: none in the product is one of these participles or pronouns alone (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

FOLDERS = ("api", "tasks", "shared", "cli", "scripts")

WORDS = re.compile(
    "_*(given|wanted|said|mine|told|asked|heard|theirs|ours|yours|its|them|found|made|done|kept|seen|shown|sent|left"
    "|begun|known|gone|written|taken|chosen|answered)",
    re.IGNORECASE,
)

PUBLIC = {
    ("cli/commands/findings.py", "said"): "a field of what `parley doctor --json` prints",
    ("api/bodies/batches.py", "done"): "a field of an answer",
    ("api/routes/usage.py", "mine"): "an operation's id in the OpenAPI document",
}


def names(scope: ast.AST) -> Iterator[tuple[int, str]]:
    """What is named in a module, a class or a function, but for the functions within."""
    for node in ast.iter_child_nodes(scope):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case ast.alias(name=name, asname=other):
                yield node.lineno, other or name.rpartition(".")[2]
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from names(node)


def faults(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Lines and names; `left` is a side where there is a `right`. A constant may be a state's or an answer's word."""
    scopes = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef)]
    for scope in scopes:
        inside = list(names(scope))
        is_side = any(name == "right" for _, name in inside)
        for line, name in inside:
            if WORDS.fullmatch(name) and not name.isupper() and not (name == "left" and is_side):
                yield line, name


def test_names_of_the_product_are_nouns() -> None:
    files = {
        path.relative_to(ROOT).as_posix(): path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))
    }
    places = {(file, line, name) for file, path in files.items() for line, name in faults(ast.parse(path.read_text()))}
    assert not [f"{file}:{line}: {name}" for file, line, name in sorted(places) if (file, name) not in PUBLIC]
    assert {(file, name) for file, _, name in places} == PUBLIC.keys()


@pytest.mark.parametrize(
    "source",
    [
        "found = 1",
        "found: int",
        "first, found = 1, 2",
        "print(found := 1)",
        "rows = [found for found in ()]",
        "for found in (): ...",
        "with open('a') as found: ...",
        "try: ...\nexcept OSError as found: ...",
        "match 1:\n    case found: ...",
        "def rows(*, found): ...",
        "rows = lambda found: 1",
        "def found(): ...",
        "async def rows(found): ...",
        "class Found: ...",
        "class Row:\n    found: int",
        "class Row:\n    def look(self):\n        self._found = 1",
        "import rows as found",
        "from rows import found",
        "left = 1",
    ],
)
def test_what_is_no_noun_is_seen(source: str) -> None:
    assert [name.strip("_").lower() for _, name in faults(ast.parse(source))] in (["found"], ["left"])


@pytest.mark.parametrize(
    "source",
    ["left, right = 1, 2", "FOUND = 1", "rows.found", "rows(found=1)", "is_found = 1", "found_at = 1", "read = 1"],
)
def test_what_others_named_and_sides_are_no_faults(source: str) -> None:
    assert not list(faults(ast.parse(source)))
