"""Two answers to the same words, side by side on one slice, for the user to choose.

Label Critic (arXiv 2411.02753) has a model compare two labels of a structure by pictures of them, pair by pair; here
the one who asked for it compares. Both are shown on the slice in which they differ most, as radiologists look at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..geometry import AXES, Box, Grid
from ..volume import Volume
from .grounding import Found

EDGE = 160  # pixels of a picture
_COLOUR = (46, 196, 182)
_THICK_PX = 2
_AROUND, _LEAST_MM = 1.4, 40.0  # how much of its surroundings is seen, in its own size, and at least
_BRIGHTEST = 225
_ALIKE_MM = 1.05  # spacings that differ by less count as one
_WAYS = {"model": "model", "recall": "recall", "physics": "rules", "clicks": "rules", "mask": "mask"}
# R, A, S to the right and down on the picture, by the axis of the world that a slice lies across: sagittal, coronal,
# axial.
_TURNS = (((0, -1, 0), (0, 0, -1)), ((-1, 0, 0), (0, 0, -1)), ((-1, 0, 0), (0, -1, 0)))


@dataclass(frozen=True, eq=False)
class Side:
    """number: of `understood.found`. who: found it. why: a sentence. confidence: 0 to 1. picture: (EDGE, EDGE, 3)
    uint8, the slice with the answer's outline in colour."""

    number: int
    who: str
    title: str
    why: str
    confidence: float
    picture: np.ndarray


@dataclass(frozen=True, eq=False)
class Comparison:
    """axis, index: of the slice. differing: voxels of it in one answer and not in the other."""

    axis: str
    index: int
    differing: int
    sides: tuple[Side, Side]


def pair_of(found: Sequence[Found]) -> tuple[int, int] | None:
    """The best answer, and the best that was found in another way; None where all were found in one way."""
    others = (number for number, each in enumerate(found) if _WAYS[each.link] != _WAYS[found[0].link])
    other = next(others, None)
    return None if other is None else (0, other)


def compare(volume: Volume, found: Sequence[Found], pair: tuple[int, int], reader: str, outliner: str) -> Comparison:
    """reader: title of the model that takes words. outliner: of the one that clicks were given to."""
    first, second = (found[number] for number in pair)
    box = first.box.union(second.box)
    crops = [_within(each, box) for each in (first, second)]
    number = _axis_across(volume.grid)
    across = tuple(axis for axis in range(3) if axis != number)
    index, differing = _most_different(np.count_nonzero(crops[0] != crops[1], axis=across))
    planes = [np.take(crop, index, axis=number) for crop in crops]
    view = _View.of(volume, number, index + box.start_kji[number], box, planes[0] | planes[1])
    called = {"model": reader, "recall": "Recall memory", "mask": "Segment of this volume"}
    called |= {"physics": "Values and shape", "clicks": f"Values and shape, outlined by {outliner}"}
    sides = tuple(
        Side(place, called[each.link], each.title, each.why, each.confidence, view.picture(plane))
        for place, each, plane in zip(pair, (first, second), planes)
    )
    return Comparison(AXES[number], index + box.start_kji[number], differing, sides)


def _within(found: Found, box: Box) -> np.ndarray:
    """bool crop at the box."""
    crop = np.zeros(box.shape_kji, bool)
    crop[found.box.relative_to(box).slices] = found.values
    return crop


def _axis_across(grid: Grid) -> int:
    """Of slices as they were acquired: along it voxels are thickest; k where none is thicker than another."""
    spacing = grid.spacing_kji_mm
    return 0 if spacing[0] * _ALIKE_MM >= max(spacing) else int(np.argmax(spacing))


def _most_different(counts: np.ndarray) -> tuple[int, int]:
    """The middle one of the places with the highest count, and that count."""
    most = np.flatnonzero(counts == counts.max())
    return int(most[len(most) // 2]), int(counts.max())


@dataclass(frozen=True, eq=False)
class _View:
    """A square of a slice, isotropic. grey: (EDGE, EDGE) float, 0 to 1. places: (2, EDGE, EDGE), rows and columns in
    voxels of the crop from which masks are read."""

    grey: np.ndarray
    places: np.ndarray

    @classmethod
    def of(cls, volume: Volume, number: int, index: int, box: Box, either: np.ndarray) -> _View:
        """number, index: the axis of the slice and its place. either: (rows, columns) of the box, voxels of one of the
        answers, at least one."""
        axes = [axis for axis in range(3) if axis != number]
        start = np.array([box.start_kji[axis] for axis in axes])
        spacing = np.array([volume.grid.spacing_kji_mm[axis] for axis in axes])
        held = np.argwhere(either)
        low, high = held.min(axis=0), held.max(axis=0)
        wide_mm = max(_LEAST_MM, _AROUND * float(((high - low + 1) * spacing).max()))
        steps = (np.arange(EDGE) - (EDGE - 1) / 2) / EDGE * wide_mm
        right, down = _turned(volume.grid, number, axes)
        middle = (low + high) / 2
        offsets = np.zeros((2, EDGE, EDGE))
        offsets[right[0]] += right[1] * steps[None, :]
        offsets[down[0]] += down[1] * steps[:, None]
        places = middle[:, None, None] + offsets / spacing[:, None, None]
        plane = np.take(volume.array_kji, index, axis=number).astype(np.float32)
        lowest = float(volume.intensity_range[0])
        image = ndimage.map_coordinates(plane, places + start[:, None, None], order=1, mode="constant", cval=lowest)
        seen = plane[tuple(slice(a, b + 1) for a, b in zip(low + start, high + start))]
        return cls(_shaded(image, seen), places)

    def picture(self, mask: np.ndarray) -> np.ndarray:
        """mask: (rows, columns) of the crop."""
        smooth = ndimage.map_coordinates(np.pad(mask, 1).astype(np.float32), self.places + 1, order=1, mode="constant")
        inside = smooth > 0.5
        outline = inside & ~ndimage.binary_erosion(inside, iterations=_THICK_PX)
        picture = np.repeat((self.grey * _BRIGHTEST).astype(np.uint8)[..., None], 3, axis=2)
        picture[outline] = _COLOUR
        picture.flags.writeable = False
        return picture


def _turned(grid: Grid, number: int, axes: Sequence[int]) -> tuple[tuple[int, float], tuple[int, float]]:
    """Which of the two axes of the slice, 0 or 1, goes to the right on the picture, and with which sign; the same of
    down."""
    columns = grid.ijk_to_ras[:3, :3][:, ::-1] / np.linalg.norm(grid.ijk_to_ras[:3, :3][:, ::-1], axis=0)
    normal = np.cross(columns[:, axes[0]], columns[:, axes[1]])
    right, down = _TURNS[int(np.abs(normal).argmax())]
    along_right = [float(columns[:, axis] @ np.array(right)) for axis in axes]
    along_down = [float(columns[:, axis] @ np.array(down)) for axis in axes]
    first = int(abs(along_right[1]) + abs(along_down[0]) >= abs(along_right[0]) + abs(along_down[1]))
    return (first, _sign(along_right[first])), (1 - first, _sign(along_down[1 - first]))


def _sign(value: float) -> float:
    return 1.0 if value >= 0 else -1.0


def _shaded(image: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """0 to 1: what lies where the answers are takes up the middle half of the greys."""
    low, high = (float(value) for value in np.quantile(seen, (0.02, 0.98)))
    reach = max(high - low, 1e-6)
    return np.clip((image - low + reach / 2) / (2 * reach), 0, 1)
