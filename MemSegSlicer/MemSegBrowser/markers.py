"""Dots in the slice views where the prompts are: green for positive, red for negative ones."""

from __future__ import annotations

import numpy as np
from slicer import vtkMRMLMarkupsFiducialNode, vtkMRMLScene

from .outline import NEGATIVE_COLOUR, POSITIVE_COLOUR

_SIZE_PERCENT = 1.6  # of the view


class PromptMarkers:
    """Two locked markups nodes that are not saved with the scene."""

    def __init__(self, scene: vtkMRMLScene) -> None:
        self._nodes = {
            True: _add_node(scene, "Positive prompts", POSITIVE_COLOUR),
            False: _add_node(scene, "Negative prompts", NEGATIVE_COLOUR),
        }
        self._shown: dict[bool, list[tuple[float, float, float]]] = {True: [], False: []}

    def show(self, points_ras: list[tuple[tuple[float, float, float], bool]]) -> None:
        """Show exactly these points, each with whether it is positive."""
        for positive, node in self._nodes.items():
            wanted = [point for point, sign in points_ras if sign == positive]
            if wanted == self._shown[positive]:
                continue
            self._shown[positive] = wanted
            modifying = node.StartModify()
            node.RemoveAllControlPoints()
            for point in wanted:
                node.AddControlPointWorld(np.asarray(point, dtype=float))
            node.EndModify(modifying)


def _add_node(scene: vtkMRMLScene, name: str, colour: tuple[float, float, float]) -> vtkMRMLMarkupsFiducialNode:
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    node.SetSaveWithScene(False)
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
    return node
