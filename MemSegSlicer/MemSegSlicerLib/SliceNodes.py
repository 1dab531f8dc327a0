"""The slice views of a scene, by their nodes: which shows the slices along an axis, and which slice that is."""

from __future__ import annotations

import numpy as np
import slicer

from memseg.geometry import Grid

from . import SlicePlaces
from .Strokes import sliceNormalRas


def viewAlong(scene: slicer.vtkMRMLScene, grid: Grid, axis: str) -> slicer.vtkMRMLSliceNode | None:
    """The view nearest to parallel to the axis' slices, of those in the layout where there are any."""
    nodes = [
        scene.GetNthNodeByClass(index, "vtkMRMLSliceNode")
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode"))
    ]
    shown = [node for node in nodes if node.IsMappedInLayout()] or nodes
    step = SlicePlaces.stepRas(grid, axis)
    return max(shown, key=lambda node: abs(np.dot(sliceNormalRas(node), step)), default=None)


def axisAcross(grid: Grid, node: slicer.vtkMRMLSliceNode) -> str:
    """The axis whose slices the view shows, or comes nearest to."""
    return SlicePlaces.axisAcross(grid, sliceNormalRas(node))


def indexIn(grid: Grid, axis: str, node: slicer.vtkMRMLSliceNode) -> int:
    """The slice along the axis that the view shows."""
    matrix = node.GetSliceToRAS()
    origin = np.array([matrix.GetElement(row, 3) for row in range(3)])
    return SlicePlaces.indexAt(grid, axis, origin, sliceNormalRas(node))


def showSlice(scene: slicer.vtkMRMLScene, grid: Grid, axis: str, index: int) -> None:
    """In the view along the axis; the others stay. Nothing without views."""
    node = viewAlong(scene, grid, axis)
    if node is not None:
        node.JumpSliceByOffsetting(*SlicePlaces.placeRas(grid, axis, index))


def jumpTo(scene: slicer.vtkMRMLScene, pointRas: tuple[float, float, float]) -> None:
    """All slice views through a point."""
    slicer.vtkMRMLSliceNode.JumpAllSlices(scene, *pointRas, slicer.vtkMRMLSliceNode.OffsetJumpSlice)
