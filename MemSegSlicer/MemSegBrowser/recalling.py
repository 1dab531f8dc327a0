"""What the dialogues of the recall memory do. Files are read and written beside the page, which goes on meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from trame_server import Server

from memseg.errors import SessionError
from memseg.memory.recall import RecallEntry
from MemSegSlicerLib import SegmentNames
from MemSegSlicerLib.Controller import Controller
from MemSegSlicerLib.Recall import Recall
from MemSegSlicerLib.RecallRows import countWords, matching, originWords, sizeWords, toldOnce

from .notices import Notices
from .page_state import Page, RecallRow
from .server import Transfers
from .thumbnails import address_of

logger = logging.getLogger(__name__)

_ROWS = 60  # on the page at once; others are found by searching
Result = TypeVar("Result")


class Recalling:
    """Remembers segments, and shows, renames, deletes, exports and imports what is remembered."""

    def __init__(
        self,
        server: Server,
        page: Page,
        controller: Controller,
        recall: Recall,
        notices: Notices,
        transfers: Transfers,
        download: Callable[[str], None],
    ) -> None:
        """download: makes the page download an address."""
        self._server = server
        self._state, self._names = page.data.recall, page.name.recall
        self._controller = controller
        self._recall = recall
        self._notices = notices
        self._transfers = transfers
        self._download = download
        page.bind_changes({self._names.search: lambda _: self._show()})

    # -- one segment -------------------------------------------------------------------------------------------------

    def ask_remember(self) -> None:
        """Open the dialogue, with the segment's name where somebody chose it."""
        controller, state = self._controller, self._state
        node = controller.segmentationNode
        segment = node.GetSegmentation().GetSegment(controller.segmentId or "") if node is not None else None
        if segment is None or controller.volumeNode is None:
            raise SessionError("There is no segment to remember; open an image and segment something first.")
        state.name = "" if SegmentNames.isAutomatic(segment) else segment.GetName()
        state.remember_shown = True

    def remember(self, name: str | None, licence: str | None, note: str | None) -> None:
        if not (name or "").strip():
            raise SessionError("Give the segment a name first, such as left kidney; it is found by that name.")
        self._state.remember_shown = False
        self._controller.remember(name, licence or "", note or "")

    # -- what is remembered ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        state = self._state
        state.search = state.renamed = state.deleted = ""
        state.shown = True
        state.problems = []
        await self._do(self._recall.readAgain)
        state.problems = toldOnce(self._recall.problems)

    async def rename(self, identity: str, name: str | None) -> None:
        await self._do(self._recall.rename, identity, name or "")
        self._state.renamed = ""

    async def delete(self, identity: str) -> None:
        await self._do(self._recall.remove, identity)
        self._state.deleted = ""

    async def export(self) -> None:
        """The user's own entries that fit the search, as a download."""
        found = [entry.identity for entry in self._matching() if self._recall.isOwn(entry.identity)]
        if not found:
            raise SessionError("There is nothing of your own here to export.")
        path, address = self._transfers.offer("recall-memory.zip")
        await self._do(self._recall.exportTo, path, found)
        self._download(address)
        self._notices.say(f"Downloading {countWords(len(found))} of the recall memory.")

    async def import_(self, batch: str) -> None:
        """What was uploaded; those that are there already stay."""
        self._state.problems = []
        try:
            new, left = await self._do(self._recall.importFrom, self._transfers.batch(batch))
        finally:
            self._transfers.drop_batch(batch)
        self._state.problems = toldOnce(left)
        self._notices.say(f"Imported {countWords(new)}." if new else "The file brought nothing new.")

    async def _do(self, work: Callable[..., Result], *arguments: object) -> Result:
        """In a thread; the page then shows the memory as it is."""
        self._state.working = True
        self._server.state.flush()
        try:
            return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)
        finally:
            self._state.working = False
            self._show()

    def show_count(self) -> None:
        self._state.total = len(self._recall.known)

    def _show(self) -> None:
        state = self._state
        self.show_count()
        if not state.shown:
            return
        found = self._matching()
        own = {entry.identity for entry in found if self._recall.isOwn(entry.identity)}
        state.matching, state.exportable = len(found), len(own)
        state.rows = [row_of(entry, entry.identity in own) for entry in found[:_ROWS]]

    def _matching(self) -> list[RecallEntry]:
        return matching(self._recall.known, self._state.search or "")


def row_of(entry: RecallEntry, own: bool) -> RecallRow:
    return RecallRow(
        identity=entry.identity,
        name=entry.title,
        modality=entry.modality,
        size=sizeWords(entry),
        made=entry.made,
        origin=originWords(entry),
        own=own,
        thumbnail=_picture(entry),
    )


@lru_cache(maxsize=4 * _ROWS)
def _picture(entry: RecallEntry) -> str:
    return address_of(entry.thumbnail)
