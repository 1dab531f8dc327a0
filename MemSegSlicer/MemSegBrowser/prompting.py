"""From what was drawn in a view to a prompt, and from the session's state back to the page."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from memseg import catalog
from memseg.errors import PromptError, SessionError
from memseg.memory.interaction import CAPACITY
from memseg.prompts import Prompt
from memseg.segmenters.base import Numbered
from memseg.volume import Volume
from MemSegSlicerLib import PromptTools
from MemSegSlicerLib.Controller import Controller, SessionState

from . import tools
from .markers import PromptMarkers
from .notices import Notices
from .page_state import ModelRow, Page, PromptRow
from .segments import Segments
from .tools import Stroke

logger = logging.getLogger(__name__)

_CUBIC_MM_PER_ML = 1000.0
_ALONG = re.compile(" along [kji]")  # letters that the page calls axial, coronal, sagittal
_BY_SLICES = re.compile("(propagated|made consistent) along ")  # how masks begin to say where they come from


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
        self._places: dict[int, tuple[Prompt, tuple[float, float, float] | None]] = {}  # by id of the prompt
        self._places_in: Volume | None = None
        page.data.models = model_rows()
        page.data.model = controller.state.model
        page.bind_changes({page.name.model: self._choose_model})

    # -- what the user does ------------------------------------------------------------------------------------------

    def draw(self, tool: str, stroke: Stroke) -> None:
        """A stroke that was drawn with one of the prompting tools."""
        self._segments.ensure_one()
        self._controller.add(self._prompt_of(tool, stroke))

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

    def _prompt_of(self, tool: str, stroke: Stroke) -> Prompt:
        volume, points = self._volume(), stroke.points_ras
        if tool == tools.CLICK:
            return PromptTools.clickFromRas(volume, points[0], stroke.positive)
        if tool == tools.BOX:
            return self._box(volume, stroke)
        if tool == tools.SCRIBBLE:
            return PromptTools.scribbleFromRas(volume, points, stroke.positive, self._page.data.brush_mm)
        if tool == tools.LASSO:
            return PromptTools.lassoFromRas(volume, points, stroke.positive)
        raise PromptError("This tool draws no prompt; choose click, box, scribble or lasso.")

    def _box(self, volume: Volume, stroke: Stroke) -> Prompt:
        """A box on this slice, or as deep as asked, half of it on each side of the slice."""
        corner, opposite = np.asarray(stroke.points_ras[0]), np.asarray(stroke.points_ras[-1])
        depth_mm = float(self._page.data.box_depth_mm)
        if depth_mm <= 0:
            return PromptTools.boxFromRas(volume, corner, opposite, stroke.positive, stroke.normal_ras)
        half = stroke.normal_ras * depth_mm / 2
        return PromptTools.boxFromRas(volume, corner - half, opposite + half, stroke.positive)

    # -- what the session says ---------------------------------------------------------------------------------------

    def show_state(self, state: SessionState) -> None:
        """Listener of the controller: everything on the page that depends on the session."""
        data = self._page.data
        data.prompts = prompt_rows(state)
        data.remembered = [row for row in data.prompts if row.number in state.remembered]
        data.model = state.model
        data.memory_count, data.memory_capacity = state.memoryCount, state.memoryCapacity or CAPACITY
        data.can_undo, data.can_redo, data.busy = state.canUndo, state.canRedo, state.busy
        data.timing = "" if state.milliseconds is None else f"{state.milliseconds:.0f} ms"
        volume = self._controller.volume
        known = state.voxels or state.canUndo or state.canRedo  # else no session yet, but perhaps a mask
        data.size = size_words(state.voxels, volume) if known and volume is not None else ""
        if state.error and state.error != self._last_error:
            self._notices.complain(state.error)
        elif state.report and state.report != self._last_report:
            self._notices.say(f"{state.report} {state.note}".strip())
        elif not state.error and not state.busy and state.prompts != self._last_prompts:
            self._notices.say(f"{progress_words(state)} {state.note}".strip())
        self._last_error, self._last_report, self._last_prompts = state.error, state.report, state.prompts
        self._show_markers(state, volume)

    def _show_markers(self, state: SessionState, volume: Volume | None) -> None:
        """Places that were found before are kept, as a mask's takes a look at its voxels."""
        known = self._places if volume is self._places_in else {}
        self._places, self._places_in = {}, volume
        for numbered in state.prompts if volume is not None else ():
            prompt = numbered.prompt
            _, place = known.get(id(prompt)) or (prompt, _place_of(volume, prompt))
            self._places[id(prompt)] = prompt, place
        found = self._places.values()
        self._markers.show([(place, prompt.positive) for prompt, place in found if place is not None])


def _place_of(volume: Volume, prompt: Prompt) -> tuple[float, float, float] | None:
    """World mm; None for text and an emptied mask, which have no place."""
    try:
        return PromptTools.rasOfPrompt(volume, prompt)
    except PromptError:
        return None


def model_rows() -> list[ModelRow]:
    """The model menu, from the catalog's cards."""
    able = {card.name for card in catalog.installed()}
    return [ModelRow(card.name, card.title, card.summary, card.licence, card.name in able) for card in catalog.cards()]


def prompt_rows(state: SessionState) -> list[PromptRow]:
    """The newest prompt first."""
    shares = dict(state.leaned)
    largest = max(shares.values(), default=0.0) or 1.0
    rows = []
    for index, numbered in enumerate(state.prompts):
        prompt, share = numbered.prompt, shares.get(numbered.number)
        kind = prompt.kind
        if prompt.kind == "mask" and prompt.origin:
            kind = "slices" if _BY_SLICES.match(prompt.origin) else "text"
        row = PromptRow(index, numbered.number, kind, prompt.positive, prompt_title(prompt))
        rows.append(row if share is None else replace(row, leaned=f"{100 * share:.0f} %", bar=share / largest))
    return rows[::-1]


def prompt_title(prompt: Prompt) -> str:
    sign = "positive" if prompt.positive else "negative"
    match prompt.kind:
        case "mask" if _BY_SLICES.match(prompt.origin):
            return _ALONG.sub("", prompt.origin)
        case "mask":
            return f"“{prompt.origin}”" if prompt.origin else "edited mask"
        case "text":
            return f"“{prompt.words}”"
        case "box":
            return f"{sign} box" + (" on a slice" if prompt.flat_axis else "")
        case kind:
            return f"{sign} {kind}"


def size_words(voxels: int, volume: Volume) -> str:
    millilitres = voxels * float(np.prod(volume.grid.spacing_kji_mm)) / _CUBIC_MM_PER_ML
    return f"{voxels:,} voxels · {millilitres:,.1f} ml"


def progress_words(state: SessionState) -> str:
    if not state.prompts:
        return "Click inside the structure to segment; Ctrl or Shift and click takes away."
    count = len(state.prompts)
    return f"{count} prompt{'s' if count != 1 else ''}; click what is missing, Ctrl and click what is too much."
