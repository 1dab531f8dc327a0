"""The images of volume nodes, each checked once and kept until its node changes."""

from __future__ import annotations

import threading

import numpy as np
import slicer

from memseg.geometry import Grid
from memseg.volume import Volume

from . import SceneBridge


class Image:
    """A volume node's image as it was at one moment.

    array_kji: a view into the node's voxels. stamp: changes with them. `volume` needs no scene, and may be called from
    any thread.
    """

    def __init__(self, array_kji: np.ndarray, grid: Grid, name: str, stamp: int) -> None:
        self.grid = grid
        self.stamp = stamp
        self._array_kji = array_kji
        self._name = name
        self._volume: Volume | None = None
        self._lock = threading.Lock()

    @property
    def isKnown(self) -> bool:
        return self._volume is not None

    def volume(self) -> Volume:
        """Always the same one. Passes over all voxels the first time, to check them. Raises VolumeError."""
        with self._lock:
            if self._volume is None:
                self._volume = Volume(self._array_kji, self.grid, self._name)
            return self._volume


class Images:
    """By volume node. For the main thread."""

    def __init__(self) -> None:
        self._images: dict[str, Image] = {}

    def of(self, volumeNode: slicer.vtkMRMLVolumeNode) -> Image:
        """The node's image now; the same object as long as the node is unchanged. Raises VolumeError, GeometryError."""
        grid, stamp = SceneBridge.gridOf(volumeNode), SceneBridge.voxelStamp(volumeNode)
        image = self._images.get(volumeNode.GetID())
        if image is None or image.stamp != stamp or not image.grid.same_as(grid):
            image = Image(SceneBridge.arrayOf(volumeNode), grid, volumeNode.GetName() or "", stamp)
            self._images[volumeNode.GetID()] = image
        return image

    def forget(self, volumeId: str) -> None:
        self._images.pop(volumeId, None)

    def clear(self) -> None:
        self._images.clear()
