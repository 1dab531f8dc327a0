"""One segment in one volume of a scene, by IDs: everything a session's controller reads and writes there."""

from __future__ import annotations

import numpy as np
import slicer

from memseg.errors import SessionError
from memseg.volume import MaskChange

from . import SceneBridge
from .Lattice import SegmentVoxels
from .SceneState import SegmentKey

_GONE = "The segment no longer exists; choose or add another one."


class Target:
    """Its nodes may vanish at any time: every method but `isThere` raises SessionError then."""

    def __init__(self, scene: slicer.vtkMRMLScene, key: SegmentKey) -> None:
        self._scene = scene
        self.key = key

    @property
    def isThere(self) -> bool:
        segmentationNode = self._scene.GetNodeByID(self.key.segmentationId)
        return (
            self._scene.GetNodeByID(self.key.volumeId) is not None
            and segmentationNode is not None
            and segmentationNode.GetSegmentation().GetSegment(self.key.segmentId) is not None
        )

    @property
    def volumeNode(self) -> slicer.vtkMRMLVolumeNode:
        return self._node(self.key.volumeId)

    @property
    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode:
        return self._node(self.key.segmentationId)

    @property
    def segment(self) -> slicer.vtkSegment:
        segment = self.segmentationNode.GetSegmentation().GetSegment(self.key.segmentId)
        if segment is None:
            raise SessionError(_GONE)
        return segment

    def stamp(self) -> tuple:
        """Differs from an earlier one where the segment may cover other voxels of the volume than then."""
        grid = SceneBridge.gridOf(self.volumeNode)
        segment = SceneBridge.segmentStamp(self.segmentationNode, self.key.segmentId)
        return (*segment, grid.shape_kji, grid.ijk_to_ras.tobytes())

    def read(self) -> SegmentVoxels:
        """Raises GeometryError where segmentation and volume do not fit."""
        return SceneBridge.readSegment(self.segmentationNode, self.key.segmentId, self.volumeNode)

    @property
    def step(self) -> int | None:
        """How many steps of its session had been done when the segment was written, where that is noted on it."""
        return SceneBridge.notedStep(self.segment)

    def was(self, change: MaskChange) -> bool:
        """Whether the segment is still, in the change's box, what it was before the change. Raises as `read`."""
        return bool(np.array_equal(self.read().at(change.box), change.before))

    def became(self, change: MaskChange) -> bool:
        """Whether the segment is, in the change's box, what it is to be after the change. Raises as `read`."""
        return bool(np.array_equal(self.read().at(change.box), change.after))

    def write(self, change: MaskChange) -> None:
        """Raises GeometryError where segmentation and volume do not fit."""
        SceneBridge.writeChange(self.segmentationNode, self.key.segmentId, self.volumeNode, change)

    def hasSurface(self) -> bool:
        return self.isThere and SceneBridge.hasSurface(self.segmentationNode, self.key.segmentId)

    def refreshSurface(self) -> None:
        SceneBridge.refreshSurface(self.segmentationNode, self.key.segmentId)

    def _node(self, nodeId: str) -> slicer.vtkMRMLNode:
        node = self._scene.GetNodeByID(nodeId)
        if node is None:
            raise SessionError(_GONE)
        return node
