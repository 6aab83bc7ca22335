"""`python -m tests.clients.page`: write the part of docs/clients.md that follows from the tests' data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.clients.written import Client, clients

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
BEGIN = "<!-- from here on written by `python -m tests.clients.page` -->"

HEADER = """| client | version | tried by | what works | refused by name |
|---|---|---|---|---|"""


def main() -> None:
    PAGE.write_text(with_table(PAGE.read_text()))


def with_table(text: str) -> str:
    """The page with its written part brought up to date."""
    return f"{text.partition(BEGIN)[0]}{BEGIN}\n\n{table()}\n\n{setups()}\n"


def table() -> str:
    return "\n".join((HEADER, *(_row(client) for client in clients())))


def _row(client: Client) -> str:
    works = client.works or [request.does for request in client.requests if request.status < 400]
    refused = client.refused or [request.does for request in client.requests if request.status >= 400]
    cells = (
        f"[{client.name}](#{anchor(client.name)})",
        client.version,
        "its own code" if client.package else "its requests",
        "; ".join(works),
        "; ".join(refused),
    )
    return f"| {' | '.join(cells)} |"


def setups() -> str:
    return "\n\n".join("\n".join(_setup(client)) for client in clients())


def _setup(client: Client) -> Iterator[str]:
    yield f"### {client.name}\n"
    yield "\n".join(("```", *client.setup, "```"))
    if client.note:
        yield f"\n{client.note}"
    if client.repository:
        commit = f" at {client.commit}" if client.commit else ""
        yield f"\nRead in {client.repository}{commit}: {', '.join(dict.fromkeys(_files(client)))}."


def _files(client: Client) -> Iterator[str]:
    return (f"`{request.file}`" for request in client.requests)


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


if __name__ == "__main__":
    main()
