"""What is drawn in a slice view with one of the prompt tools, and the prompt that it means."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import slicer

from memseg.errors import PromptError
from memseg.prompts import Prompt

from . import PromptTools
from .Outline import DisplayPoint
from .PromptTools import Placed

CLICK, BOX, SCRIBBLE, LASSO = "click", "box", "scribble", "lasso"
TOOLS = (CLICK, BOX, SCRIBBLE, LASSO)
STILL_PX = 4.0  # a press and release closer than this is a click, not a drag


@dataclass
class Stroke:
    """What was drawn in one slice view: the points where the mouse went, first to last.

    points_ras: world mm. normal_ras: unit normal of the slice. positive: after Ctrl and Shift were taken into account.
    """

    positive: bool
    normal_ras: np.ndarray
    points_ras: list[tuple[float, float, float]] = field(default_factory=list)
    points_px: list[DisplayPoint] = field(default_factory=list)

    @property
    def extent_px(self) -> float:
        first = np.asarray(self.points_px[0])
        return float(np.abs(np.asarray(self.points_px) - first).max())


def promptOf(volume: Placed, tool: str, stroke: Stroke, brushMm: float = 0.0, boxDepthMm: float = 0.0) -> Prompt:
    """What was meant by a stroke with a tool. brushMm: radius of a scribble. boxDepthMm: of a box, across its slice;
    0: that slice only. Raises PromptError with what to do instead."""
    points, positive = stroke.points_ras, stroke.positive
    if tool == CLICK:
        return PromptTools.clickFromRas(volume, points[0], positive)
    if tool == BOX:
        return _box(volume, stroke, boxDepthMm)
    if tool == SCRIBBLE:
        return PromptTools.scribbleFromRas(volume, points, positive, brushMm)
    if tool == LASSO:
        return PromptTools.lassoFromRas(volume, points, positive)
    raise PromptError("This tool draws no prompt; choose click, box, scribble or lasso.")


def _box(volume: Placed, stroke: Stroke, depthMm: float) -> Prompt:
    """A box on this slice, or as deep as asked, half of it on each side of the slice."""
    corner, opposite = np.asarray(stroke.points_ras[0]), np.asarray(stroke.points_ras[-1])
    if depthMm <= 0:
        return PromptTools.boxFromRas(volume, corner, opposite, stroke.positive, stroke.normal_ras)
    half = stroke.normal_ras * depthMm / 2
    return PromptTools.boxFromRas(volume, corner - half, opposite + half, stroke.positive)


def sliceNormalRas(node: slicer.vtkMRMLSliceNode) -> np.ndarray:
    """Unit normal of the slice."""
    matrix = node.GetSliceToRAS()
    normal = np.array([matrix.GetElement(row, 2) for row in range(3)])
    return normal / np.linalg.norm(normal)


def millimetresPerPixel(node: slicer.vtkMRMLSliceNode) -> float:
    matrix = node.GetXYToRAS()
    return float(np.linalg.norm([matrix.GetElement(row, 0) for row in range(3)]))
