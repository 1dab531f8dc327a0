"""From what was drawn in a view to a prompt, and from the session's state back to the page."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from memseg import catalog
from memseg.errors import SessionError
from memseg.memory.interaction import CAPACITY
from memseg.segmenters.base import Numbered
from memseg.volume import Volume
from MemSegSlicerLib import PromptTools
from MemSegSlicerLib.Controller import Controller, SessionState
from MemSegSlicerLib.PromptMarkers import PromptMarkers
from MemSegSlicerLib.PromptRows import adviceWords, promptRows, sizeWords
from MemSegSlicerLib.Strokes import Stroke, promptOf

from .notices import Notices
from .page_state import ModelRow, Page
from .segments import Segments

logger = logging.getLogger(__name__)


class Prompting:
    """Hands prompts to the controller and shows what comes back."""

    def __init__(
        self,
        page: Page,
        controller: Controller,
        segments: Segments,
        markers: PromptMarkers,
        notices: Notices,
        jump_to: Callable[[np.ndarray], None],
    ) -> None:
        self._page = page
        self._controller = controller
        self._segments = segments
        self._markers = markers
        self._notices = notices
        self._jump_to = jump_to
        self._last_error = ""
        self._last_report = ""
        self._last_prompts: tuple[Numbered, ...] = ()
        page.data.models = model_rows()
        page.data.model = controller.state.model
        page.bind_changes({page.name.model: self._choose_model})

    # -- what the user does ------------------------------------------------------------------------------------------

    def draw(self, tool: str, stroke: Stroke) -> None:
        """A stroke that was drawn with one of the prompting tools."""
        self._segments.ensure_one()
        data = self._page.data
        self._controller.add(promptOf(self._volume(), tool, stroke, data.brush_mm, float(data.box_depth_mm)))

    def undo(self) -> None:
        self._volume()
        self._controller.undo()

    def redo(self) -> None:
        self._volume()
        self._controller.redo()

    def reset(self) -> None:
        self._volume()
        self._controller.reset()

    def remove(self, index: int) -> None:
        self._controller.remove(int(index))

    def forget(self, number: int) -> None:
        """Drop one prompt from the interaction memory; prompt and mask stay."""
        self._controller.forget(int(number))

    def clear_memory(self) -> None:
        self._controller.clearMemory()

    def remove_last(self) -> None:
        if self._controller.state.prompts:
            self._controller.remove(len(self._controller.state.prompts) - 1)

    def show(self, index: int) -> None:
        """Move the slices through a prompt of the list."""
        prompts = self._controller.state.prompts
        if not 0 <= index < len(prompts):
            raise SessionError("This prompt is no longer there; choose another one from the list.")
        self._jump_to(np.asarray(PromptTools.rasOfPrompt(self._volume(), prompts[index].prompt)))

    def _choose_model(self, name: str) -> None:
        if name and name != self._controller.state.model:
            self._notices.guarded(self._controller.setModel)(name)

    def _volume(self) -> Volume:
        volume = self._controller.volume
        if volume is None:
            raise SessionError("There is no image to segment; open one first.")
        return volume

    # -- what the session says ---------------------------------------------------------------------------------------

    def show_state(self, state: SessionState) -> None:
        """Listener of the controller: everything on the page that depends on the session."""
        data = self._page.data
        data.prompts = promptRows(state)
        data.remembered = [row for row in data.prompts if row.number in state.remembered]
        data.model = state.model
        data.memory_count, data.memory_capacity = state.memoryCount, state.memoryCapacity or CAPACITY
        data.can_undo, data.can_redo, data.busy = state.canUndo, state.canRedo, state.busy
        data.timing = "" if state.milliseconds is None else f"{state.milliseconds:.0f} ms"
        volume = self._controller.volume
        known = state.voxels or state.canUndo or state.canRedo  # else no session yet, but perhaps a mask
        data.size = sizeWords(state.voxels, volume.grid) if known and volume is not None else ""
        if state.error and state.error != self._last_error:
            self._notices.complain(state.error)
        elif state.report and state.report != self._last_report:
            self._notices.say(f"{state.report} {state.note}".strip())
        elif not state.error and not state.busy and state.prompts != self._last_prompts:
            self._notices.say(f"{adviceWords(state)} {state.note}".strip())
        self._last_error, self._last_report, self._last_prompts = state.error, state.report, state.prompts
        self._markers.showPrompts(state.prompts, volume)


def model_rows() -> list[ModelRow]:
    """The model menu, from the catalog's cards."""
    able = {card.name for card in catalog.installed()}
    return [ModelRow(card.name, card.title, card.summary, card.licence, card.name in able) for card in catalog.cards()]
