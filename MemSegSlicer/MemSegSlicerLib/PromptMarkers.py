"""Dots in the slice views where the prompts are: green for positive, red for negative ones."""

from __future__ import annotations

import numpy as np
import slicer

from memseg.errors import PromptError
from memseg.geometry import Grid
from memseg.prompts import Prompt
from memseg.segmenters.base import Numbered

from . import PromptTools
from .Outline import NEGATIVE_COLOUR, POSITIVE_COLOUR
from .PromptTools import Placed

_SIZE_PERCENT = 1.6  # of the view
Place = tuple[float, float, float]


class PromptMarkers:
    """Two locked markups nodes that lists of nodes do not show and scenes do not save. They are made when first
    needed, also again after somebody removed them."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._scene = scene
        self._ids: dict[bool, str] = {}
        self._shown: dict[bool, list[Place]] = {True: [], False: []}
        self._known: dict[int, tuple[Prompt, Place | None]] = {}  # by id of the prompt
        self._grid: Grid | None = None

    def showPrompts(self, prompts: tuple[Numbered, ...], volume: Placed | None) -> None:
        """Of those that have a place. Places found before are kept, as a mask's takes a look at its voxels."""
        grid = volume.grid if volume is not None else None
        known = self._known if grid is not None and self._grid is not None and grid.same_as(self._grid) else {}
        self._known, self._grid = {}, grid
        for numbered in prompts if volume is not None else ():
            prompt = numbered.prompt
            self._known[id(prompt)] = known.get(id(prompt)) or (prompt, placeOf(volume, prompt))
        found = self._known.values()
        self.show([(place, prompt.positive) for prompt, place in found if place is not None])

    def show(self, pointsRas: list[tuple[Place, bool]]) -> None:
        """Show exactly these points, each with whether it is positive."""
        for positive in (True, False):
            wanted = [point for point, sign in pointsRas if sign == positive]
            node = self._node(positive)
            shown = self._shown[positive] if node is not None else []
            if wanted == shown:
                continue
            node = node or self._newNode(positive)
            self._shown[positive] = wanted
            modifying = node.StartModify()
            if wanted[: len(shown)] != shown:
                node.RemoveAllControlPoints()
                shown = []
            for point in wanted[len(shown) :]:
                node.AddControlPointWorld(np.asarray(point, dtype=float))
            node.EndModify(modifying)

    def cleanup(self) -> None:
        """Remove the nodes."""
        for positive in tuple(self._ids):
            if (node := self._node(positive)) is not None:
                self._scene.RemoveNode(node)
        self._ids.clear()
        self._shown = {True: [], False: []}

    def _node(self, positive: bool) -> slicer.vtkMRMLMarkupsFiducialNode | None:
        return self._scene.GetNodeByID(self._ids[positive]) if positive in self._ids else None

    def _newNode(self, positive: bool) -> slicer.vtkMRMLMarkupsFiducialNode:
        name, colour = ("Positive prompts", POSITIVE_COLOUR) if positive else ("Negative prompts", NEGATIVE_COLOUR)
        node = self._scene.CreateNodeByClass("vtkMRMLMarkupsFiducialNode")
        node.UnRegister(None)
        node.SetName(name)
        node.SetSaveWithScene(False)
        node.SetHideFromEditors(True)
        self._scene.AddNode(node)
        node.CreateDefaultDisplayNodes()
        node.SetLocked(True)
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetSelectedColor(*colour)
        display.SetColor(*colour)
        display.SetPointLabelsVisibility(False)
        display.SetPropertiesLabelVisibility(False)
        display.SetGlyphTypeFromString("Circle2D")
        display.SetGlyphScale(_SIZE_PERCENT)
        display.SetUseGlyphScale(True)
        self._ids[positive] = node.GetID()
        return node


def placeOf(volume: Placed, prompt: Prompt) -> Place | None:
    """World mm; None for text and an emptied mask, which have no place."""
    try:
        return PromptTools.rasOfPrompt(volume, prompt)
    except PromptError:
        return None
