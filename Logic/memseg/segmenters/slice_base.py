"""What follows an object from slice to slice: the protocol every slice segmenter keeps.

An axis is "k", "j" or "i"; a plane along it is what np.take(array_kji, index, axis) gives, so its rows and columns are
the other two axes in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from ..geometry import AXES, Grid
from ..memory.slices import Recalled, SliceFeatures
from ..volume import Volume
from .base import ModelCard

__all__ = ["Plane", "SliceAnswer", "SliceFeatures", "SliceSegmenter", "plane_of", "plane_spacing_mm", "place_of"]


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice and its mask.

    image: (rows, columns) raw intensities, a view. mask: (rows, columns) uint8 0/1. place_mm: index * spacing along the
    axis; of an earlier time point: the same place.
    """

    index: int
    image: np.ndarray
    mask: np.ndarray
    place_mm: float

    def __post_init__(self) -> None:
        if self.image.ndim != 2 or self.image.shape != self.mask.shape:
            raise ValueError(f"A plane's image {self.image.shape} and mask {self.mask.shape} have one shape.")


@dataclass(frozen=True, eq=False)
class SliceAnswer:
    """What a slice segmenter makes of one slice.

    probability: (rows, columns) float32, 0 to 1, object where above 0.5; 0 far from the object. present: 0 to 1, is the
    object in this slice at all. confidence: 0 to 1, the Dice the mask expects. note: a sentence for
    the user where more than an answer happened, such as a device that had to be left. features: what slice memory keeps
    of the slice if its mask stays as it was answered; None where that is what `features` says of any mask.
    """

    probability: np.ndarray
    present: float
    confidence: float
    note: str = ""
    features: SliceFeatures | None = None

    def __post_init__(self) -> None:
        if self.probability.ndim != 2 or not 0 <= self.present <= 1 or not 0 <= self.confidence <= 1:
            raise ValueError("A slice's answer is a plane of probabilities; presence and confidence are 0 to 1.")

    @property
    def mask(self) -> np.ndarray:
        """uint8 0/1 of the plane's shape."""
        return (self.probability > 0.5).astype(np.uint8)


@runtime_checkable
class SliceSegmenter(Protocol):
    """Equal arguments give equal answers; what it makes of a volume it may cache."""

    card: ModelCard

    def features(self, volume: Volume, axis: str, plane: Plane) -> SliceFeatures:
        """What slice memory keeps of a plane whose mask is not empty."""
        ...

    def follow(
        self,
        volume: Volume,
        axis: str,
        index: int,
        previous: Plane,
        anchors: tuple[Plane, ...],
        recalled: Recalled,
    ) -> SliceAnswer:
        """The object in slice `index`.

        previous: the neighbour it is followed from, whose mask is not empty. anchors: the nearest agreed planes, at
        most one on either side of `index`; an empty mask there says that the object is agreed not to be there.
        recalled: what slice memory offers, all by this segmenter. Raises MemSegError where no answer can be given.
        """
        ...


def plane_of(array_kji: np.ndarray, axis: str, index: int) -> np.ndarray:
    """(rows, columns), a view."""
    return array_kji[(slice(None),) * AXES.index(axis) + (index,)]


def plane_spacing_mm(grid: Grid, axis: str) -> tuple[float, float]:
    """Between rows and between columns of a plane."""
    return tuple(step for other, step in zip(AXES, grid.spacing_kji_mm) if other != axis)


def place_of(grid: Grid, axis: str, index: int) -> float:
    """Where a slice lies along its axis, in mm from the first."""
    return index * grid.spacing_kji_mm[AXES.index(axis)]
