"""What is open: one volume, one segmentation of it, and the segment that prompts go to."""

from __future__ import annotations

import logging

import numpy as np
from slicer import (
    vtkMRMLNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLScene,
    vtkMRMLSegmentationNode,
    vtkSegment,
    vtkSegmentationConverter,
)
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from memseg.volume import Volume
from MemSegSlicerLib import SceneBridge, SegmentNames

from .page_state import SegmentRow

logger = logging.getLogger(__name__)

# Easy to tell apart on grey images, in light and dark, and by colour-blind people (after Okabe and Ito).
COLOURS = ("#2ec4b6", "#e69f00", "#56b4e9", "#cc79a7", "#f0e442", "#d55e00", "#009e73", "#7f7fff")
_BINARY_LABELMAP = vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
_DISPLAY_TYPES = {"b": np.uint8, "f": np.float32}  # for what VTK's image filters do not take: bool, float16


class Workspace:
    """The nodes of the scene that the page works on."""

    def __init__(self, scene: vtkMRMLScene) -> None:
        self._scene = scene
        self._added = 0
        self.volume: Volume | None = None
        self.volume_node: vtkMRMLScalarVolumeNode | None = None
        self.segmentation_node: vtkMRMLSegmentationNode | None = None
        self.segment_id: str | None = None

    @property
    def nodes(self) -> list[vtkMRMLNode]:
        return [node for node in (self.volume_node, self.segmentation_node) if node is not None]

    def adopt(
        self,
        volume: Volume,
        volume_node: vtkMRMLScalarVolumeNode,
        segmentation_node: vtkMRMLSegmentationNode | None,
    ) -> None:
        """Work on nodes that are in the scene; without a segmentation, a new one with one empty segment is made."""
        name = f"{volume_node.GetName()} segmentation"
        self.volume, self.volume_node = volume, volume_node
        self.segmentation_node = segmentation_node or SceneBridge.newSegmentation(self._scene, volume_node, name)
        self._added = 0
        identifiers = self.segment_ids
        self.segment_id = identifiers[0] if identifiers else self.add_segment()

    def take_segments(self, source: vtkMRMLSegmentationNode, identifiers: list[str]) -> None:
        """Copy segments of another segmentation, choose the first; an only segment that is still empty makes room."""
        target = self.segmentation_node.GetSegmentation()
        known = set(self.segment_ids)
        if len(known) == 1 and not self.holds_voxels(self.segment_ids[0]):
            target.RemoveSegment(self.segment_ids[0])
        for identifier in identifiers:
            target.CopySegmentFromSegmentation(source.GetSegmentation(), identifier, False)
        new = [identifier for identifier in self.segment_ids if identifier not in known]
        self.segment_id = next(iter(new or self.segment_ids), None)

    def holds_voxels(self, identifier: str) -> bool:
        """Whether the segment's labelmap has any room, which an untouched one has not."""
        labelmap = self._segment(identifier).GetRepresentation(_BINARY_LABELMAP)
        return labelmap is not None and not labelmap.IsEmpty()

    @property
    def segment_ids(self) -> list[str]:
        if self.segmentation_node is None:
            return []
        return list(self.segmentation_node.GetSegmentation().GetSegmentIDs())

    def rows(self) -> list[SegmentRow]:
        display = self.segmentation_node.GetDisplayNode() if self.segmentation_node else None
        return [
            SegmentRow(
                identifier,
                self._segment(identifier).GetName(),
                hexadecimal(self._segment(identifier).GetColor()),
                bool(display.GetSegmentVisibility(identifier)),
            )
            for identifier in self.segment_ids
        ]

    def add_segment(self, name: str = "") -> str:
        """A new empty segment, chosen at once; returns its identifier."""
        taken = {row.name for row in self.rows()}
        while not name or name in taken:
            self._added += 1
            name = f"Segment {self._added}"
        used = {row.colour for row in self.rows()}
        colour = next((colour for colour in COLOURS if colour not in used), COLOURS[len(taken) % len(COLOURS)])
        self.segment_id = SceneBridge.addSegment(self.segmentation_node, name, fractions(colour))
        return self.segment_id

    def rename(self, identifier: str, name: str) -> None:
        """A name that the terminology knows brings its codes along; any other one takes them away.

        The colour stays: those the terminology recommends are hard to tell apart on a slice.
        """
        segment = self._segment(identifier)
        if segment.GetName() != name:
            SegmentNames.give(segment, name)

    def recolour(self, identifier: str, colour: str) -> None:
        self._segment(identifier).SetColor(*fractions(colour))

    def show(self, identifier: str, visible: bool) -> None:
        self.segmentation_node.GetDisplayNode().SetSegmentVisibility(identifier, visible)

    def remove(self, identifier: str) -> None:
        """Remove a segment; when it was the chosen one, its neighbour in the list is chosen, or none is left."""
        position = self.segment_ids.index(identifier)
        self.segmentation_node.GetSegmentation().RemoveSegment(identifier)
        left = self.segment_ids
        if identifier == self.segment_id:
            self.segment_id = left[min(position, len(left) - 1)] if left else None

    def _segment(self, identifier: str) -> vtkSegment:
        return self.segmentation_node.GetSegmentation().GetSegment(identifier)


def add_volume_node(scene: vtkMRMLScene, volume: Volume, name: str) -> vtkMRMLScalarVolumeNode:
    """The volume as a node of the scene. Voxels are shared with the volume wherever VTK can show their type."""
    array = volume.array_kji
    if array.dtype.kind == "b" or array.dtype == np.float16:
        array = array.astype(_DISPLAY_TYPES[array.dtype.kind])
    elif array.dtype.itemsize == 8 and array.dtype.kind in "iu":
        low, high = volume.intensity_range
        array = array.astype(np.int32 if -(2**31) <= low and high < 2**31 else np.float64)
    array = np.ascontiguousarray(array)
    image = vtkImageData()
    image.SetDimensions(*reversed(array.shape))
    image.GetPointData().SetScalars(numpy_to_vtk(array.reshape(-1), deep=False))
    matrix = vtkMatrix4x4()
    matrix.DeepCopy(volume.grid.ijk_to_ras.ravel().tolist())
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(matrix)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)  # it takes a histogram of the whole image, on this thread
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    node.SetAndObserveImageData(image)
    return node


def hexadecimal(colour: tuple[float, float, float]) -> str:
    """Colour fractions as "#rrggbb"."""
    return "#" + "".join(f"{round(255 * value):02x}" for value in colour)


def fractions(colour: str) -> tuple[float, float, float]:
    """ "#rrggbb" (an alpha at its end is ignored) as fractions."""
    return tuple(int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
