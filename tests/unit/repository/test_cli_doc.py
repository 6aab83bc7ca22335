"""docs/cli.md has every command of `parley`."""

from __future__ import annotations

import argparse
import re
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

from cli.main import parser

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "cli.md").read_text()


def commands(of: ArgumentParser, *names: str) -> Iterator[tuple[str, ArgumentParser]]:
    """Every command with its full name, those of groups one by one."""
    groups = [action for action in of._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield " ".join(names), of
    for group in groups:
        for name, sub in group.choices.items():
            yield from commands(sub, *names, name)


def documented() -> list[str]:
    """The beginnings of the first column of the table of commands."""
    table = TEXT[TEXT.index("| command | does |") :].partition("\n\n")[0]
    cells = [re.split(r"(?<!\\)\|", line)[1] for line in table.splitlines()[2:]]
    return [name for cell in cells for name in re.findall(r"`([a-z]+(?: [a-z]+)?)\b", cell)]


def test_every_command_is_documented() -> None:
    """The table of commands has each one once, and no other."""
    assert sorted(documented()) == sorted(name for name, _ in commands(parser()))


def test_every_option_of_the_table_exists() -> None:
    """An option beside a command's name is one of that command."""
    by_name = dict(commands(parser()))
    table = TEXT[TEXT.index("| command | does |") :].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        for command in re.findall(r"`([^`]+)`", re.split(r"(?<!\\)\|", line)[1]):
            name = next(each for each in (" ".join(command.split()[:2]), command.split()[0]) if each in by_name)
            options = {option for action in by_name[name]._actions for option in action.option_strings}
            assert set(re.findall(r"(?<=\[)--?[a-z]+", command)) <= options, command


def test_every_command_has_a_help_in_words() -> None:
    """Each says what it does, and its page of help can be printed."""
    for name, command in commands(parser()):
        assert command.description, name
        assert command.description in " ".join(command.format_help().split()), name
