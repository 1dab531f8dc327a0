"""One tab works at a time, the newest one; the others say so and can take the session back, and nothing is lost."""

from __future__ import annotations

import logging

from .page_state import Page

logger = logging.getLogger(__name__)


class Tabs:
    """All tabs of one server share one scene, and its views have one size each: that of the tab that owns them."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def claim(self, tab: str) -> None:
        """The tab was opened, loaded again, or chosen; it starts without the dialogues that another one left open."""
        data = self._page.data
        if tab != data.owner:
            logger.info("A tab took over the session")
            data.owner = tab
        data.open_shown = data.save_shown = data.edit_shown = data.delete_shown = False
        data.discard_shown = data.help_shown = data.notice_shown = False
        data.recall.shown = data.recall.remember_shown = data.auto.collect_shown = False
        data.upload_progress = -1

    def belongs_here(self) -> str:
        """Template expression: whether the tab that evaluates it owns the session."""
        return f"{self._page.name.owner} === utils.memseg.tab"
