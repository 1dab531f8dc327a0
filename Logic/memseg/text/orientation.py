"""Whether a scan lies as its header says: left and right, front and back, head and feet.

Sides and directions always come from the grid's matrix. On CT the body itself tells whether that can be right: the
spine lies behind, the skull above, the heart to the left, the liver to the right. What contradicts the header, and a
header that says nothing, is put in a sentence; nothing is turned behind the user's back.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from weakref import WeakKeyDictionary

import numpy as np
from scipy import ndimage

from ..geometry import Grid
from ..volume import Volume
from .query import Direction
from .sight import Sight, long_axis, whole_of

RAS = {
    Direction.RIGHT: (1, 0, 0), Direction.LEFT: (-1, 0, 0), Direction.ANTERIOR: (0, 1, 0),
    Direction.POSTERIOR: (0, -1, 0), Direction.SUPERIOR: (0, 0, 1), Direction.INFERIOR: (0, 0, -1),
}  # fmt: skip
_BONE_HU, _AIR_HU, _GAS_HU, _FIRM_HU = 220.0, -500.0, -920.0, (0.0, 150.0)
_FEWEST_ML = 20.0  # of bone, before it tells anything
_BEHIND_MM = 8.0
_CRANIUM_MM2 = 6000.0
_LUNG_ML = 400.0
_LUNG_MM2 = 2000.0
_CHEST_MM, _BELOW_MM = 150.0, 40.0
_MORE = 1.12  # how many times as much there must be on one side to tell it from the other


class Verdict(StrEnum):
    FITS = "fits"
    CONTRADICTS = "contradicts"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Trust:
    """What the scan says of its header, axis by axis. default: the header is one that is written where nothing is known
    (axes along the world's, the first voxel at its origin)."""

    sides: Verdict = Verdict.UNKNOWN
    front: Verdict = Verdict.UNKNOWN
    head: Verdict = Verdict.UNKNOWN
    default: bool = False

    def sentence(self, directions: frozenset[Direction]) -> str:
        """What a user who asked by these directions is to know; "" where there is nothing to say."""
        asked = {
            "left and right": (self.sides, {Direction.LEFT, Direction.RIGHT}),
            "front and back": (self.front, {Direction.ANTERIOR, Direction.POSTERIOR}),
            "head and feet": (self.head, {Direction.SUPERIOR, Direction.INFERIOR}),
        }
        wrong = [words for words, (verdict, pair) in asked.items() if verdict is Verdict.CONTRADICTS]
        concerned = [words for words, (_, pair) in asked.items() if pair & directions]
        if wrong and concerned:
            return (
                f"The body in this scan does not lie as its header says ({' and '.join(wrong)} seem exchanged), so "
                "check the side and correct the image's orientation."
            )
        unknown = [words for words in concerned if asked[words][0] is Verdict.UNKNOWN]
        if self.default and unknown:
            return (
                f"The file's header does not say how the patient lies, so {' and '.join(unknown)} are those of the "
                "image's axes; check them."
            )
        return ""


def direction_of(grid: Grid, direction: Direction) -> np.ndarray:
    """(3,) per voxel along k, j, i: by how many mm it leads that way."""
    return np.asarray(RAS[direction], float) @ grid.ijk_to_ras[:3, :3][:, ::-1]


_cache: WeakKeyDictionary[Volume, Trust] = WeakKeyDictionary()


def trust(volume: Volume) -> Trust:
    """Worked out once for a volume."""
    found = _cache.get(volume)
    if found is None:
        found = _cache[volume] = examined(whole_of(volume))
    return found


def examined(sight: Sight) -> Trust:
    default = is_default(sight.volume.grid)
    if not sight.is_ct or sight.body.is_empty:
        return Trust(default=default)
    standing = _Standing(sight)
    return Trust(standing.sides(), standing.front(), standing.head(), default)


def is_default(grid: Grid) -> bool:
    """Whether axes lie along the world's and the first voxel at its origin, as where no header was."""
    directions = grid.ijk_to_ras[:3, :3] / np.linalg.norm(grid.ijk_to_ras[:3, :3], axis=0)
    return bool(np.allclose(np.abs(directions), np.eye(3), atol=1e-6) and np.allclose(grid.ijk_to_ras[:3, 3], 0))


class _Standing:
    """The body on CT, slice by slice along the axis nearest to its long one."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        axis = long_axis(sight.grid)
        self._slices = [np.moveaxis(each, axis, 0) for each in (sight.smooth, sight.body.at(sight.grid.box))]
        places = np.indices(sight.grid.shape_kji, sparse=True)
        matrix = sight.grid.ijk_to_ras[:3, :3][:, ::-1]
        self._ras = [  # mm of each voxel, in the order of the slices
            np.moveaxis(
                np.broadcast_to(sum(step * place for step, place in zip(row, places)), sight.image.shape), axis, 0
            )
            for row in matrix
        ]
        spacing = np.asarray(sight.grid.spacing_kji_mm)
        self._pixel_mm2 = float(np.prod(np.delete(spacing, axis)))
        self._ml = sight.grid.voxel_volume_mm3 / 1000
        image, body = self._slices
        self._bone = (image > _BONE_HU) & body
        self._air = (image < _AIR_HU) & body
        self._heights = self._ras[2].mean(axis=(1, 2))  # S of each slice
        self._lungs = self._found_lungs()

    def front(self) -> Verdict:
        """Bone lies behind the middle of the chest: the spine does. Of limbs and of the face that is not so."""
        behind = []
        lungs = self._lungs
        for bone, whole, front, lung in zip(self._bone, self._slices[1], self._ras[1], lungs):
            if lung.sum() * self._pixel_mm2 < _LUNG_MM2 or bone.sum() * self._pixel_mm2 < 300:
                continue
            rows = front[whole]
            behind.append((rows.min() + rows.max()) / 2 - front[bone].mean())
        if len(behind) < 3 or self._bone.sum() * self._ml < _FEWEST_ML:
            return Verdict.UNKNOWN
        return _told(float(np.mean(behind)), _BEHIND_MM)

    def head(self) -> Verdict:
        """The skull lies above the rest; lungs are narrower above than below."""
        cranial = np.array([self._is_cranial(bone) for bone in self._bone])
        area = self._slices[1].sum(axis=(1, 2)) * self._pixel_mm2
        rest = (area > 3000) & ~cranial
        if cranial.sum() >= 3 and rest.sum() >= 3:
            return _told(float(self._heights[cranial].mean() - self._heights[rest].mean()), 20.0)
        lungs = self._lungs
        if lungs.sum() * self._ml > 2 * _LUNG_ML:
            across = lungs.sum(axis=(1, 2))
            held = np.flatnonzero(across)
            thirds = np.array_split(held[np.argsort(self._heights[held])], 3)
            if len(held) >= 6 and not {held[0], held[-1]} & {0, len(across) - 1}:
                low, high = across[thirds[0]].mean(), across[thirds[2]].mean()
                return _told(float(np.log(low / high)), float(np.log(1.25)))
        return Verdict.UNKNOWN

    def sides(self) -> Verdict:
        """Between the lungs the heart lies to the left; below them more is firm on the right, where the liver is."""
        lungs = self._lungs
        if lungs.sum() * self._ml < _LUNG_ML:
            return Verdict.UNKNOWN
        held = lungs.any(axis=(1, 2))
        low, high = self._heights[held].min(), self._heights[held].max()
        votes = []
        if low - self._heights.min() > _BELOW_MM:
            votes.append(self._more_on_the_right(self._firm(), (low - 2 * _BELOW_MM, low)))
        if high - low > _CHEST_MM:
            votes.append(self._more_on_the_right(lungs, (low + 0.1 * (high - low), low + 0.5 * (high - low))))
        if not votes or any(vote * votes[0] < 0 for vote in votes):
            return Verdict.UNKNOWN
        return _told(float(np.mean(votes)), 1.0)

    def _firm(self) -> np.ndarray:
        image, body = self._slices
        return (image > _FIRM_HU[0]) & (image < _FIRM_HU[1]) & body

    def _more_on_the_right(self, what: np.ndarray, heights: tuple[float, float]) -> float:
        """How much more of it lies right of the body's middle than left, above 1 where it is enough to tell."""
        right, left = 1, 1
        for k in np.flatnonzero((self._heights >= heights[0]) & (self._heights <= heights[1])):
            rows = self._ras[0][k]
            body = rows[self._slices[1][k]]
            if body.size:
                on_the_right = rows > (body.min() + body.max()) / 2
                right += int(np.count_nonzero(what[k] & on_the_right))
                left += int(np.count_nonzero(what[k] & ~on_the_right))
        return float(np.log(right / left) / np.log(_MORE))

    def _is_cranial(self, bone: np.ndarray) -> bool:
        """Whether bone closes a ring in the slice as wide as a brain."""
        closed = ndimage.binary_closing(np.pad(bone, 3), iterations=2)
        inside = ndimage.binary_fill_holes(closed) & ~closed
        return float(inside.sum()) * self._pixel_mm2 > _CRANIUM_MM2

    def _found_lungs(self) -> np.ndarray:
        """Bool: air in the body in pieces of a lung's size and density; gas in the bowel is thinner."""
        labels, count = ndimage.label(self._air)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        means = np.bincount(labels.ravel(), self._slices[0].ravel(), minlength=count + 1) / np.maximum(sizes, 1)
        lungs = (sizes * self._ml > _LUNG_ML / 4) & (means > _GAS_HU)
        lungs[0] = False
        return lungs[labels]


def _told(value: float, least: float) -> Verdict:
    """What a value says that is to be above `least`, and is below its negative where it contradicts."""
    if abs(value) < least:
        return Verdict.UNKNOWN
    return Verdict.FITS if value > 0 else Verdict.CONTRADICTS
