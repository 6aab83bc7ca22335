"""A network between page and server that is slow or broken for corrections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, Request, Route

from tests.page.screen import PATIENCE_MS

SAVES = "**/tasks/*"


class Network:
    """Corrections that are on their way, and what was in them."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.is_slow = True
        self.held: list[Route] = []
        self.requests: list[Request] = []

    def hold(self, route: Route) -> None:
        if route.request.method != "PATCH" or not self.is_slow:
            route.fallback()
            return
        self.held.append(route)
        self.requests.append(route.request)

    def holds(self, count: int) -> None:
        """Waits until so many have come by."""
        for _ in range(PATIENCE_MS // 50):
            if len(self.requests) >= count:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{len(self.requests)} corrections were sent, not {count}")

    def let_through(self) -> None:
        """The one that has waited longest."""
        self.held.pop(0).continue_()

    def let_all_through(self) -> None:
        """All that wait, and all that come by later."""
        self.is_slow = False
        while self.held:
            self.let_through()


@contextmanager
def slow_saves(page: Page) -> Iterator[Network]:
    """Corrections wait on their way to the server until they are let through, those that are left at the end."""
    network = Network(page)
    page.route(SAVES, network.hold)
    try:
        yield network
    finally:
        network.let_all_through()
        page.unroute(SAVES, network.hold)


@contextmanager
def broken_saves(page: Page, *, is_answer_lost: bool = False) -> Iterator[None]:
    """Corrections get lost on their way to the server, or its answers on their way back."""

    def lose(route: Route) -> None:
        if route.request.method != "PATCH":
            route.fallback()
            return
        if is_answer_lost:
            route.fetch()
        route.abort("connectionfailed")

    page.route(SAVES, lose)
    try:
        yield
    finally:
        page.unroute_all(behavior="wait")  # an answer that is being lost is lost before anything else
