"""Sentences for the user: in the status line always, and over the page where something went wrong."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any

from trame_server import Server

from memseg.errors import MemSegError

from .page_state import Page

logger = logging.getLogger(__name__)


class Notices:
    """The one place of the browser shell where errors become visible."""

    def __init__(self, server: Server, page: Page) -> None:
        self._server = server
        self._page = page

    def say(self, sentence: str) -> None:
        self._set(sentence, is_error=False)

    def complain(self, sentence: str) -> None:
        self._set(sentence, is_error=True)

    def complain_beside(self, sentence: str) -> None:
        """What stands beside its cause too, so that it need not pop up over the page."""
        self.complain(sentence)
        with self._server.state:
            self._page.data.notice_shown = False

    def report(self, error: BaseException) -> None:
        """An error as one sentence; the log gets the rest of one that no user can cause."""
        if isinstance(error, MemSegError):
            self.complain(str(error))
            return
        logger.error("Unexpected error", exc_info=error)
        self.complain(
            f"Something went wrong inside the program ({type(error).__name__}), and nothing was changed; "
            "its log holds the details."
        )

    def guarded(self, action: Callable[..., Any]) -> Callable[..., Any]:
        """The action, plain or async, with its errors shown instead of raised."""
        if inspect.iscoroutinefunction(action):

            @functools.wraps(action)
            async def run_async(*args: Any, **kwargs: Any) -> Any:
                try:
                    return await action(*args, **kwargs)
                except Exception as error:
                    self.report(error)

            return run_async

        @functools.wraps(action)
        def run(*args: Any, **kwargs: Any) -> Any:
            try:
                return action(*args, **kwargs)
            except Exception as error:
                self.report(error)

        return run

    def _set(self, sentence: str, is_error: bool) -> None:
        with self._server.state:
            self._page.data.sentence = sentence
            self._page.data.sentence_is_error = is_error
            self._page.data.notice_shown = is_error and bool(sentence)
