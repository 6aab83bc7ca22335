"""An answer of the server that is late: it was written before what happens meanwhile, and comes after that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import APIResponse, Route

from tests.page.screen import Screen


class Late:
    """The first answer from one address. Later ones come at once."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.held: list[tuple[Route, APIResponse]] = []
        self._is_taken = False

    def hold(self, route: Route) -> None:
        if self._is_taken or route.request.method != "GET":
            route.fallback()
            return
        self._is_taken = True
        self.held.append((route, route.fetch()))

    def is_written(self) -> None:
        """Waits until the server has written it."""
        self.screen.eventually(lambda: bool(self.held), "the server is asked")

    def comes(self) -> None:
        """It comes, and the page has read it."""
        [(route, answer)] = self.held
        arrived = f"performance.getEntriesByName({json.dumps(route.request.url)}).length"
        before = self.screen.page.evaluate(arrived)
        route.fulfill(response=answer)
        self.screen.until(f"{arrived} > {before}")
        self.screen.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


@contextmanager
def late_answer(screen: Screen, address: str) -> Iterator[Late]:
    """The first answer from an address waits until it is let come."""
    late = Late(screen)
    screen.page.route(address, late.hold)
    yield late
    screen.page.unroute(address, late.hold)
