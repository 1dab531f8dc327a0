"""What a user does in a view, in world RAS mm, as prompts in voxels. Every function raises PromptError with a sentence.

None of them touches the scene beyond reading the markups node it is given; points are world points, so parent
transforms of markups and of the volume (folded into its grid) both count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from memseg.errors import PromptError
from memseg.geometry import Grid, nearest_voxel
from memseg.prompts import BoxPrompt, Click, Lasso, MaskPrompt, Prompt, Scribble, Text, check_fits

_VOXELS_SAMPLED = 250_000  # of a mask, to find its middle
_LEAST_ALIGNMENT = 0.9  # cosine; up to 25 degrees a slice still counts as one of the image's own
Point = Sequence[float]


class Placed(Protocol):
    """An image or, where its voxels do not matter, only its place: a memseg.Volume is one."""

    @property
    def grid(self) -> Grid: ...


def clickFromRas(volume: Placed, pointRas: Point, positive: bool = True) -> Click:
    return _fitting(volume, Click(tuple(_kji(volume, [pointRas])[0]), positive))


def boxFromRas(
    volume: Placed, cornerARas: Point, cornerBRas: Point, positive: bool = True, flatNormalRas: Point | None = None
) -> BoxPrompt:
    """The box of all voxels between two opposite corners, both included.

    flatNormalRas: normal of the slice on which the corners were drawn; the box is then one voxel thick along the
    image's axis nearest to it. A slice tilted by more than 25 degrees against every axis is refused.
    """
    corners = _kji(volume, [cornerARas, cornerBRas])
    start, stop = nearest_voxel(corners.min(axis=0)), nearest_voxel(corners.max(axis=0)) + 1
    if flatNormalRas is not None:
        axis = _axisAlong(volume, flatNormalRas)
        start[axis] = nearest_voxel(corners[:, axis].mean())
        stop[axis] = start[axis] + 1
    return _fitting(volume, BoxPrompt(tuple(start), tuple(stop), positive))


def scribbleFromRas(
    volume: Placed, pointsRas: Sequence[Point], positive: bool = True, radiusMm: float = 0.0
) -> Scribble:
    return _fitting(volume, Scribble(_points(volume, pointsRas), positive, radiusMm))


def lassoFromRas(volume: Placed, pointsRas: Sequence[Point], positive: bool = True) -> Lasso:
    return _fitting(volume, Lasso(_points(volume, pointsRas), positive))


def clicksFromFiducials(
    volume: Placed, fiducialNode: slicer.vtkMRMLMarkupsNode, positive: bool = True
) -> tuple[Click, ...]:
    """One click per defined control point, in their order; none is returned unless all of them lie in the volume."""
    points = [
        fiducialNode.GetNthControlPointPositionWorld(index)
        for index in range(fiducialNode.GetNumberOfControlPoints())
        if fiducialNode.GetNthControlPointPositionStatus(index) == slicer.vtkMRMLMarkupsNode.PositionDefined
    ]
    return tuple(clickFromRas(volume, point, positive) for point in points)


def boxFromRoi(volume: Placed, roiNode: slicer.vtkMRMLMarkupsROINode, positive: bool = True) -> BoxPrompt:
    """The smallest box of voxels that holds the ROI, which may be turned against the image; cut at its border."""
    half = np.array(roiNode.GetSize()) / 2
    if not np.all(half > 0):
        raise PromptError("The region of interest is empty; draw it round the object first.")
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    toWorld = _matrix(roiNode.GetObjectToWorldMatrix())
    corners = _kji(volume, (signs * half) @ toWorld[:3, :3].T + toWorld[:3, 3])
    start, stop = nearest_voxel(corners.min(axis=0)), nearest_voxel(corners.max(axis=0)) + 1
    box = _fitting(volume, BoxPrompt(tuple(start), tuple(stop), positive)).box.clipped(volume.grid.shape_kji)
    return BoxPrompt(box.start_kji, box.stop_kji, positive)


def scribbleFromCurve(
    volume: Placed, curveNode: slicer.vtkMRMLMarkupsCurveNode, positive: bool = True, radiusMm: float = 0.0
) -> Scribble:
    return scribbleFromRas(volume, _curvePoints(curveNode), positive, radiusMm)


def lassoFromCurve(volume: Placed, curveNode: slicer.vtkMRMLMarkupsCurveNode, positive: bool = True) -> Lasso:
    """From a closed curve; an open one is closed by a straight line."""
    return lassoFromRas(volume, _curvePoints(curveNode), positive)


def rasOfPrompt(volume: Placed, prompt: Prompt) -> tuple[float, float, float]:
    """The world point to show when the user asks where a prompt is: a voxel of it, as near its middle as there is."""
    match prompt:
        case Click():
            middle = np.asarray(prompt.point_kji, dtype=np.float64)
        case BoxPrompt():
            middle = (np.asarray(prompt.start_kji) + np.asarray(prompt.stop_kji) - 1) / 2
        case Scribble():
            middle = np.asarray(prompt.points_kji[len(prompt.points_kji) // 2])
        case Lasso():
            middle = np.asarray(prompt.points_kji).mean(axis=0)
        case MaskPrompt():
            middle = _middleOfMask(prompt)
        case Text():
            raise PromptError("A text prompt has no place of its own in the image.")
    return tuple(float(value) for value in volume.grid.ras_from_kji(middle))


def _fitting(volume: Placed, prompt: Prompt) -> Prompt:
    check_fits(prompt, volume.grid)
    return prompt


def _kji(volume: Placed, pointsRas: Sequence[Point] | np.ndarray) -> np.ndarray:
    """(N, 3) continuous voxel coordinates, order k, j, i."""
    points = np.asarray(pointsRas, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise PromptError("The position is not a point in the image; point at the image in a slice view.")
    return volume.grid.kji_from_ras(points)


def _points(volume: Placed, pointsRas: Sequence[Point]) -> tuple[tuple[float, float, float], ...]:
    if len(pointsRas) == 0:
        raise PromptError("The stroke holds no points; draw it on the image.")
    return tuple(map(tuple, _kji(volume, pointsRas).tolist()))


def _axisAlong(volume: Placed, normalRas: Point) -> int:
    """Index into (k, j, i) of the image's axis nearest to a world direction."""
    directions = volume.grid.ijk_to_ras[:3, 2::-1] / np.asarray(volume.grid.spacing_kji_mm)
    normal = np.asarray(normalRas, dtype=np.float64)
    alignment = np.abs(normal @ directions) / max(float(np.linalg.norm(normal)), 1e-12)
    axis = int(np.argmax(alignment))
    if alignment[axis] < _LEAST_ALIGNMENT:
        raise PromptError(
            "The slice is tilted against the image's axes; draw the box in a straight slice view, or a lasso here."
        )
    return axis


def _curvePoints(curveNode: slicer.vtkMRMLMarkupsCurveNode) -> np.ndarray:
    points = curveNode.GetCurvePointsWorld()
    if points is None or points.GetNumberOfPoints() == 0:
        raise PromptError("The curve holds no points; draw it on the image.")
    return vtk_to_numpy(points.GetData())


def _middleOfMask(prompt: MaskPrompt) -> np.ndarray:
    """The voxel of the mask nearest to its middle, which of a large mask is that of a sample of it: 2 ms for a body of
    42 million voxels, where a pass over all their coordinates takes 9 s."""
    values = prompt.values
    step = max(1, int(np.ceil(np.cbrt(values.size / _VOXELS_SAMPLED))))
    sampled = np.argwhere(values[::step, ::step, ::step]) * step
    if len(sampled) == 0:
        sampled = np.argwhere(values)
    if len(sampled) == 0:
        raise PromptError("This prompt emptied the mask, so it has no place in the image.")
    middle = sampled.mean(axis=0)
    return _nearestVoxel(values, middle) + np.asarray(prompt.box.start_kji, dtype=np.float64)


def _nearestVoxel(values: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Index of the voxel that is set nearest to a place, of which there is one: looked for in ever larger blocks."""
    reach = 2
    while True:
        start = np.maximum(np.floor(middle).astype(int) - reach, 0)
        stop = np.minimum(np.ceil(middle).astype(int) + reach + 1, values.shape)
        voxels = np.argwhere(values[tuple(map(slice, start, stop))]) + start
        isWhole = bool((start == 0).all() and (stop == values.shape).all())
        if len(voxels):
            distances = np.linalg.norm(voxels - middle, axis=1)
            nearest = int(np.argmin(distances))
            if isWhole or distances[nearest] <= reach:
                return voxels[nearest]
        reach *= 2


def _matrix(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
