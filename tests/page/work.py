"""What a page costs the processor, whatever else the machine does meanwhile."""

from __future__ import annotations

from playwright.sync_api import Page


class Work:
    """The time that the page's own thread was at work, in seconds of the processor: waiting for others is not in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._tools = page.context.new_cdp_session(page)
        self._tools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def so_far(self) -> float:
        metrics = self._tools.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    def of(self, script: str) -> float:
        """Of a function in the page, with what it sets off until it is done."""
        before = self.so_far()
        self.page.evaluate(script)
        return self.so_far() - before
