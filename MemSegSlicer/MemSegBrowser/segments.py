"""The segment list: what its buttons do."""

from __future__ import annotations

import logging
from collections.abc import Callable

from memseg.errors import SessionError
from MemSegSlicerLib.Controller import Controller

from .page_state import Page, SegmentRow
from .workspace import Workspace

logger = logging.getLogger(__name__)


class Segments:
    """Adds, names, colours, shows, hides and deletes segments; tells the controller which one prompts go to."""

    def __init__(self, page: Page, workspace: Workspace, controller: Controller, changed: Callable[[], None]) -> None:
        self._page = page
        self._workspace = workspace
        self._controller = controller
        self._changed = changed

    def show(self) -> None:
        """Where others than the user name, colour or add segments."""
        rows = self._workspace.rows()
        if rows != self._page.data.segments:
            self._page.data.segments = rows
            self._changed()

    def refresh(self) -> None:
        """Show the workspace's segments, and hand the chosen one to the controller."""
        self._page.data.segments = self._workspace.rows()
        self._page.data.segment_id = self._workspace.segment_id or ""
        node = self._workspace.segmentation_node if self._workspace.segment_id else None
        self._controller.setSegment(node, self._workspace.segment_id)
        self._changed()

    def add(self) -> None:
        if self._workspace.volume_node is None:
            raise SessionError("There is no image to segment; open one first.")
        self.leave()
        self._workspace.add_segment()
        self.refresh()

    def leave(self) -> None:
        """The user goes on to another segment or image, or saves this one."""
        if self._page.data.recall.always:
            self._controller.rememberIfNew()

    def ensure_one(self) -> None:
        """A segment to put a prompt into, after the user deleted all of them."""
        if self._workspace.segment_id is None:
            self.add()

    def choose(self, identifier: str) -> None:
        if identifier in self._workspace.segment_ids and identifier != self._workspace.segment_id:
            self.leave()
            self._workspace.segment_id = identifier
            self.refresh()

    def toggle(self, identifier: str) -> None:
        row = self._row(identifier)
        self._workspace.show(identifier, not row.visible)
        self.refresh()

    def begin_edit(self, identifier: str) -> None:
        self._page.data.edited = self._row(identifier)
        self._page.data.edit_shown = True

    def finish_edit(self, name: str, colour: str) -> None:
        """Take over name and colour from the dialogue; an empty name leaves the old one."""
        identifier = self._page.data.edited.identifier
        self._page.data.edit_shown = False
        if identifier not in self._workspace.segment_ids:
            return
        if words := " ".join(name.split()):
            self._workspace.rename(identifier, words)
        self._workspace.recolour(identifier, colour)
        self.refresh()

    def ask_delete(self, identifier: str) -> None:
        self._page.data.deleted = self._row(identifier)
        self._page.data.delete_shown = True

    def delete(self) -> None:
        identifier = self._page.data.deleted.identifier
        self._page.data.delete_shown = False
        if identifier in self._workspace.segment_ids:
            self._workspace.remove(identifier)
            self.refresh()

    def _row(self, identifier: str) -> SegmentRow:
        for row in self._workspace.rows():
            if row.identifier == identifier:
                return row
        raise SessionError("The segment no longer exists; choose or add another one.")
