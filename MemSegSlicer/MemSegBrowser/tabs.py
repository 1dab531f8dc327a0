"""One tab works at a time: the newest one. The others say so and can take the session back; nothing is lost either way."""

from __future__ import annotations

import logging

from .page_state import Page

logger = logging.getLogger(__name__)


class Tabs:
    """All tabs of one server share one scene, and its views have one size each: that of the tab that owns them."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def claim(self, tab: str) -> None:
        if tab != self._page.data.owner:
            logger.info("A tab took over the session")
            self._page.data.owner = tab

    def belongs_here(self) -> str:
        """Template expression: whether the tab that evaluates it owns the session."""
        return f"{self._page.name.owner} === utils.memseg.tab"
