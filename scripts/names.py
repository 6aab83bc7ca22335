"""`python -m scripts.names`: the share of names that say nothing of what they hold: participles and pronouns."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("api", "tasks", "shared", "cli", "scripts")
EMPTY = frozenset({
    "given", "found", "wanted", "said", "asked", "done", "made", "told", "heard", "seen", "shown", "kept", "held",
    "sent", "taken", "known", "needed", "meant", "mine", "ours", "theirs", "own", "others", "everything", "something",
})  # fmt: skip


def bindings(tree: ast.Module) -> Iterator[str]:
    """Every name that is bound: variables, parameters, names of functions and classes."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name


def main() -> int:
    """Prints the share per package and the names that occur most."""
    worst: Counter[str] = Counter()
    for package in PACKAGES:
        names = [
            name for file in (ROOT / package).rglob("*.py") for name in bindings(ast.parse(file.read_text(), str(file)))
        ]
        empty = [name for name in names if name.strip("_") in EMPTY]
        worst.update(name.strip("_") for name in empty)
        print(f"{package:8} {len(empty):4} of {len(names):5} names, {len(empty) / len(names):.1%}")
    print(", ".join(f"{name} {count}" for name, count in worst.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
