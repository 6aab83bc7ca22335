"""What would make a test fail once in a while on a busy machine, by its mere form."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[2]
PAGE = TESTS / "page"

NEVER = {
    "wait_for_function": "the page's policy forbids what it evaluates: `screen.until`",
    "wait_for_load_state": "the stream of events never ends, and a screen comes after its page: `expect`",
    "sleep": "nothing that a test has caught goes on meanwhile: `screen.eventually`, `screen.until`",
    "is_visible": "it is as it is at that moment: `expect(...).to_be_visible()`",
    "is_hidden": "it is as it is at that moment: `expect(...).to_be_hidden()`",
    "is_enabled": "it is as it is at that moment: `expect(...).to_be_enabled()`",
    "is_disabled": "it is as it is at that moment: `expect(...).to_be_disabled()`",
    "is_checked": "it is as it is at that moment: `expect(...).to_be_checked()`",
    "all_inner_texts": "it does not wait for anything: `expect(...).to_have_text([...])`",
    "all_text_contents": "it does not wait for anything: `expect(...).to_have_text([...])`",
}
"""Calls that are always wrong in a test of the page, and what to write."""

ONCE = {"text_content", "inner_text", "input_value", "get_attribute", "title", "count"}
"""What may come later than it is read: `expect` waits for it."""

ARGUMENTS = {"get_attribute": 1}
"""Of other methods by these names there are other numbers of them."""

IMPATIENT = {"get", "post", "put", "patch", "delete", "head", "request", "stream", "Client", "AsyncClient"}
"""Of httpx."""


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """The name that each call has at its end."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield getattr(node.func, "attr", getattr(node.func, "id", "")), node


def faults(source: str) -> list[str]:
    """Lines of a test, each with what is wrong there."""
    tree = ast.parse(source)
    violations: list[tuple[ast.expr | ast.stmt, str]] = [
        (call, f"{name}: {NEVER[name]}") for name, call in calls(tree) if name in NEVER
    ]
    violations += [
        (loop, "a loop that waits ends by an assertion: `screen.eventually`, `screen.until`")
        for loop in ast.walk(tree)
        if isinstance(loop, ast.While)
        and any(name == "wait_for_timeout" for name, _ in calls(loop))
        and not any(isinstance(node, ast.Assert) for node in ast.walk(loop))
    ]
    violations += [
        (check, f"{name} is read once: `expect`")
        for check in ast.walk(tree)
        if isinstance(check, ast.Assert)
        for name, call in calls(check.test)
        if name in ONCE and len(call.args) == ARGUMENTS.get(name, 0)
    ]
    return [f"{node.lineno}: {what}" for node, what in sorted(violations, key=lambda one: one[0].lineno)]


def impatient(source: str) -> list[str]:
    """Lines that give a server five seconds, as httpx does by itself."""
    return [
        f"{call.lineno}: httpx.{name} without a timeout"
        for name, call in calls(ast.parse(source))
        if name in IMPATIENT and ast.unparse(call.func) == f"httpx.{name}"
        if not {"timeout", None} & {keyword.arg for keyword in call.keywords}
    ]


def test_no_test_gives_a_server_five_seconds() -> None:
    lines_by_file = {str(file.relative_to(TESTS)): impatient(file.read_text()) for file in sorted(TESTS.rglob("*.py"))}
    assert {name: lines for name, lines in lines_by_file.items() if lines} == {}
    assert impatient("httpx.get(url)\nhttpx.get(url, timeout=30)\nhttp.get(url)") == ["1: httpx.get without a timeout"]


def test_no_test_of_the_page_has_a_race_in_its_form() -> None:
    files = sorted(PAGE.rglob("*.py"))
    assert len(files) > 20
    lines_by_file = {str(file.relative_to(PAGE)): faults(file.read_text()) for file in files}
    assert {name: lines for name, lines in lines_by_file.items() if lines} == {}


def test_each_of_them_is_seen() -> None:
    for source in (
        'page.wait_for_function("x")',
        "time.sleep(1)",
        "assert row.is_visible()",
        "while not found:\n    page.wait_for_timeout(50)",
        'assert field.input_value() == "x"',
        "assert rows.count() == 1",
        "assert not rows.count()",
        'assert "a" in row.inner_text()',
        'assert (row.get_attribute("lang"), 1) == ("en", 1)',
    ):
        assert len(faults(source)) == 1, source
    for source in (
        'http.get("/history")',
        "while not found:\n    assert now < deadline\n    page.wait_for_timeout(50)",
        'assert sent.count(b"") == 1',
        "key = shown.input_value()",
    ):
        assert faults(source) == [], source
