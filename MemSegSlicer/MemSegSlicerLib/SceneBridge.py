"""The only file that touches voxels in MRML: volume node -> Volume, segment <-> mask.

A segment lives on a lattice of its own: a labelmap with its origin, spacing and directions, perhaps under another
parent transform, cropped, oversampled, or shared with other segments. Changes are written into its voxels in place, so
that a click costs what it changes (1 ms for 9000 voxels in a labelmap of 512 x 512 x 300) and not what the segment
holds: Slicer's own SetBinaryLabelmapToSegment trims the labelmap each time (84 ms there), and makes the closed surface
again before it returns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from memseg.errors import GeometryError, SessionError, VolumeError
from memseg.geometry import Box, Grid
from memseg.volume import MaskChange, Volume

from . import Terminology
from .Labelmaps import (
    BINARY_LABELMAP,
    boxOf,
    extentOf,
    labelmapIn,
    latticeToParentOf,
    moveToItsOwn,
    newLabelmap,
    numbersOf,
    paint,
    replaceByLarger,
    runsIntoOthers,
    segmentsOf,
    voxelsOf,
)
from .Lattice import Alignment, SegmentVoxels

_STEP_TAG = "MemSegSlicer.Step"
_CLOSED_SURFACE = slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName()


# -- volumes -----------------------------------------------------------------------------------------------------------


def gridOf(volumeNode: slicer.vtkMRMLVolumeNode) -> Grid:
    """Where the node's voxels lie in the world, parent transforms folded in. Raises GeometryError, VolumeError.

    Slices are counted from the other end where the node's axes are left-handed. Slicer turns such an image round when
    it reads it from a saved scene, and prompts must still lie where they were put.
    """
    slices, rows, columns = reversed(_imageOf(volumeNode).GetDimensions())
    matrix = _ownMatrix(volumeNode)
    if _isLeftHanded(matrix):
        matrix = matrix @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, slices - 1], [0, 0, 0, 1]])
    return Grid((slices, rows, columns), _parentToWorld(volumeNode, "image") @ matrix)


def arrayOf(volumeNode: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """The node's voxels on `gridOf`, (K, J, I), as a view: no copy. Raises VolumeError."""
    image = _imageOf(volumeNode)
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(tuple(reversed(image.GetDimensions())))
    return array[::-1] if _isLeftHanded(_ownMatrix(volumeNode)) else array


def volumeFromNode(volumeNode: slicer.vtkMRMLVolumeNode) -> Volume:
    """The node's image, voxels not copied. Raises VolumeError or GeometryError with what to do.

    Takes one pass over the voxels to check them; who must not wait builds Volume(arrayOf(node), gridOf(node)) in a job.
    """
    return Volume(arrayOf(volumeNode), gridOf(volumeNode), volumeNode.GetName() or "")


def voxelStamp(volumeNode: slicer.vtkMRMLVolumeNode) -> int:
    """Differs from an earlier stamp whenever the volume's voxels may have changed. Raises VolumeError."""
    return _imageOf(volumeNode).GetMTime()


def _ownMatrix(volumeNode: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """(4, 4), voxel (i, j, k, 1) to the node's own frame, without parent transforms."""
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return numbersOf(matrix)


def _isLeftHanded(matrix: np.ndarray) -> bool:
    return bool(np.linalg.det(matrix[:3, :3]) < 0)


def _imageOf(volumeNode: slicer.vtkMRMLVolumeNode) -> vtk.vtkImageData:
    image = volumeNode.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None or min(image.GetDimensions()) < 1:
        raise VolumeError("The volume holds no image; load one, or choose another volume.")
    components = image.GetNumberOfScalarComponents()
    if components in (3, 4):
        raise VolumeError(
            "This is a colour image; convert it to a scalar volume first, with Slicer's Vector to Scalar Volume."
        )
    if components > 1:
        raise VolumeError(f"The image has {components} time points or channels; extract one of them and choose that.")
    return image


# -- segments ----------------------------------------------------------------------------------------------------------


def readSegment(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, volumeNode: slicer.vtkMRMLVolumeNode
) -> SegmentVoxels:
    """Raises SessionError for a segment that is gone or a surface, GeometryError where it does not fit the volume."""
    grid = gridOf(volumeNode)
    segment, labelmap = _labelmapOf(segmentationNode, segmentId)
    extent = extentOf(labelmap)
    if extent.is_empty:
        return SegmentVoxels(np.zeros((0, 0, 0), np.uint8), Box.empty(), 1, Alignment(np.eye(4)), grid.shape_kji)
    alignment = _checkedAlignment(segmentationNode, latticeToParentOf(labelmap), grid)
    return SegmentVoxels(voxelsOf(labelmap).copy(), extent, segment.GetLabelValue(), alignment, grid.shape_kji)


def readSegments(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentIds: Sequence[str], volumeNode: slicer.vtkMRMLVolumeNode
) -> dict[str, SegmentVoxels]:
    """As `readSegment`, without those that are gone, empty or do not fit. What is shared is copied once."""
    grid, found = gridOf(volumeNode), {}
    copies: dict[slicer.vtkOrientedImageData, np.ndarray] = {}
    for segmentId in segmentIds:
        try:
            segment, labelmap = _labelmapOf(segmentationNode, segmentId)
            extent = extentOf(labelmap)
            alignment = _checkedAlignment(segmentationNode, latticeToParentOf(labelmap), grid)
        except (SessionError, GeometryError):
            continue
        if not extent.is_empty:
            if labelmap not in copies:
                copies[labelmap] = voxelsOf(labelmap).copy()
            label = segment.GetLabelValue()
            found[segmentId] = SegmentVoxels(copies[labelmap], extent, label, alignment, grid.shape_kji)
    return found


def maskFromSegment(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, volumeNode: slicer.vtkMRMLVolumeNode
) -> np.ndarray:
    """The segment as uint8 0/1 (K, J, I) in the volume's grid; a copy. Raises as `readSegment`."""
    return readSegment(segmentationNode, segmentId, volumeNode).mask()


def segmentStamp(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> tuple[int, int, bytes]:
    """Differs from an earlier stamp whenever the segment may cover other voxels than then. Raises as `readSegment`."""
    segment, labelmap = _labelmapOf(segmentationNode, segmentId)
    return labelmap.GetMTime(), segment.GetLabelValue(), _parentToWorld(segmentationNode, "segmentation").tobytes()


def writeChange(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    segmentId: str,
    volumeNode: slicer.vtkMRMLVolumeNode,
    change: MaskChange,
) -> None:
    """Write what changed into the segment, in place, and tell the views.

    Voxels of other segments stay theirs: where the change runs into them on a shared labelmap, the segment moves to a
    labelmap of its own, so that both may overlap. A closed surface is left as it is, see `refreshSurface`. Raises as
    `readSegment`, before anything has been written.
    """
    if change.is_empty:
        return
    grid = gridOf(volumeNode)
    segment, labelmap = _labelmapOf(segmentationNode, segmentId)
    segmentation = segmentationNode.GetSegmentation()
    fresh = extentOf(labelmap).is_empty
    latticeToParent = _freshLattice(segmentationNode, grid) if fresh else latticeToParentOf(labelmap)
    box, added, removed = _checkedAlignment(segmentationNode, latticeToParent, grid).onLattice(change)
    if runsIntoOthers(labelmap, segment.GetLabelValue(), box, added):
        labelmap = moveToItsOwn(segment, labelmap, latticeToParent)
    wanted = Box.of_mask(added).shifted(box.start_kji)
    if not extentOf(labelmap).covers(wanted):
        labelmap = replaceByLarger(segmentation, labelmap, latticeToParent, wanted)
    paint(labelmap, segment.GetLabelValue(), box, added, removed)
    segmentation.InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified, segmentId)
    segmentation.InvokeEvent(slicer.vtkSegmentation.RepresentationModified, segmentId)


def modifiers(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    volumeNode: slicer.vtkMRMLVolumeNode,
    change: MaskChange,
    geometry: slicer.vtkOrientedImageData,
) -> tuple[slicer.vtkOrientedImageData | None, slicer.vtkOrientedImageData | None]:
    """What a change adds and what it removes, 1 and 0, as labelmaps for the Segment Editor; None for nothing.

    geometry: the editor's reference geometry; its voxels are the labelmaps', which are only as large as the change:
    for the editor, 3 ms where a labelmap of the whole image takes 0.1 s (512 x 512 x 200). Raises GeometryError.
    """
    latticeToParent = latticeToParentOf(geometry)
    alignment = _checkedAlignment(segmentationNode, latticeToParent, gridOf(volumeNode))
    box, *parts = alignment.onLattice(change)
    inside = box.intersection(boxOf(geometry))
    labelmaps = []
    for part in parts:
        values = part[inside.relative_to(box).slices] if not inside.is_empty else np.zeros((0, 0, 0), bool)
        tight = Box.of_mask(values)
        labelmap = newLabelmap(tight.shifted(inside.start_kji), values[tight.slices].view(np.uint8), latticeToParent)
        labelmaps.append(labelmap if not tight.is_empty else None)
    return tuple(labelmaps)


def noteStep(segment: slicer.vtkSegment, step: int) -> None:
    """Note on a segment how many steps of its session led to it. Whoever brings back an older segment, as the Segment
    Editor's undo does, brings back its note."""
    segment.SetTag(_STEP_TAG, str(step))


def notedStep(segment: slicer.vtkSegment) -> int | None:
    text = vtk.reference("")
    return int(str(text)) if segment.GetTag(_STEP_TAG, text) and str(text).isdecimal() else None


def holdsVoxels(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> bool:
    """Whether the segment covers any, wherever they lie; takes a pass over its labelmap. Raises SessionError for a
    segment that is gone or a surface."""
    segment, labelmap = _labelmapOf(segmentationNode, segmentId)
    if extentOf(labelmap).is_empty:
        return False
    return bool((voxelsOf(labelmap) == segment.GetLabelValue()).any())


def hasSurface(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> bool:
    """Whether the segment holds a closed surface, which `writeChange` leaves behind the mask."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    return segment is not None and segment.GetRepresentation(_CLOSED_SURFACE) is not None


def refreshSurface(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> None:
    """Make the segment's closed surface, if it has one, again from its labelmap; takes 0.4 s for a liver."""
    if not hasSurface(segmentationNode, segmentId):
        return
    slicer.vtkSlicerSegmentationsModuleLogic.ReconvertAllRepresentations(segmentationNode, (segmentId,))
    segmentationNode.GetSegmentation().InvokeEvent(slicer.vtkSegmentation.RepresentationModified, segmentId)


# -- new nodes and segments --------------------------------------------------------------------------------------------


def newSegmentation(
    scene: slicer.vtkMRMLScene, volumeNode: slicer.vtkMRMLVolumeNode, name: str = "Segmentation"
) -> slicer.vtkMRMLSegmentationNode:
    """An empty segmentation on the volume's grid, shown in all views, under the volume's parent transform."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", scene.GenerateUniqueName(name))
    node.CreateDefaultDisplayNodes()
    node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    return node


def addSegment(
    segmentationNode: slicer.vtkMRMLSegmentationNode, name: str, color: tuple[float, float, float] | None = None
) -> str:
    """Add an empty segment and return its id.

    A name that `Terminology` knows ("liver", "right kidney") brings its SNOMED codes and recommended colour along.
    color: RGB, 0 to 1, wins over the recommended one.
    """
    segmentation = segmentationNode.GetSegmentation()
    entry = Terminology.entryForName(name)
    chosen = color or (entry.color if entry else Terminology.spareColor(segmentation.GetNumberOfSegments()))
    segmentId = segmentation.AddEmptySegment("", name, list(chosen))
    segment = segmentation.GetSegment(segmentId)
    if entry is not None:
        segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), entry.tag)
    segment.SetNameAutoGenerated(False)
    segment.SetColorAutoGenerated(color is None and entry is not None)
    return segmentId


# -- where a labelmap lies ---------------------------------------------------------------------------------------------


def _labelmapOf(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str
) -> tuple[slicer.vtkSegment, slicer.vtkOrientedImageData]:
    segmentation = segmentationNode.GetSegmentation()
    segment = segmentation.GetSegment(segmentId) if segmentation is not None and segmentId else None
    if segment is None:
        raise SessionError("The segment no longer exists; choose or add another one.")
    if segmentation.GetSourceRepresentationName() != BINARY_LABELMAP:
        raise SessionError(
            "The segmentation is made of surfaces; make its binary labelmap the source representation in the "
            "Segmentations module first."
        )
    labelmap = segment.GetRepresentation(BINARY_LABELMAP)
    if labelmap is None:
        raise SessionError("The segment holds no binary labelmap; add a new segment and use that.")
    return segment, labelmap


def _parentToWorld(node: slicer.vtkMRMLTransformableNode, what: str) -> np.ndarray:
    transform = node.GetParentTransformNode()
    if transform is None:
        return np.eye(4)
    if not transform.IsTransformToWorldLinear():
        raise GeometryError(f"The {what} lies under a transform that bends it; harden that transform first.")
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return numbersOf(matrix)


def _alignment(segmentationNode: slicer.vtkMRMLSegmentationNode, latticeToParent: np.ndarray, grid: Grid) -> Alignment:
    latticeToWorld = _parentToWorld(segmentationNode, "segmentation") @ latticeToParent
    return Alignment(np.linalg.inv(latticeToWorld) @ grid.ijk_to_ras)


def _checkedAlignment(
    segmentationNode: slicer.vtkMRMLSegmentationNode, latticeToParent: np.ndarray, grid: Grid
) -> Alignment:
    alignment = _alignment(segmentationNode, latticeToParent, grid)
    if not alignment.keepsMasks:
        raise GeometryError(
            "The segmentation's voxels are coarser than the image's or do not line up with them; choose the image "
            "under Specify Geometry in the Segment Editor, or start a new segmentation."
        )
    return alignment


def _freshLattice(segmentationNode: slicer.vtkMRMLSegmentationNode, grid: Grid) -> np.ndarray:
    """(4, 4), voxel to the segmentation's own frame, for a labelmap that holds nothing yet.

    The one the segmentation asks for ("Specify Geometry") where the volume fits it or other segments lie on it already;
    else the volume's own.
    """
    segmentation = segmentationNode.GetSegmentation()
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    matrix, extent = vtk.vtkMatrix4x4(), [0, -1, 0, -1, 0, -1]
    geometry = segmentation.GetConversionParameter(name)
    if geometry and slicer.vtkSegmentationConverter.DeserializeImageGeometry(geometry, matrix, extent):
        wanted = numbersOf(matrix)
        if _alignment(segmentationNode, wanted, grid).keepsMasks or not _isEmpty(segmentation):
            return wanted
    return np.linalg.inv(_parentToWorld(segmentationNode, "segmentation")) @ grid.ijk_to_ras


def _isEmpty(segmentation: slicer.vtkSegmentation) -> bool:
    labelmaps = map(labelmapIn, segmentsOf(segmentation))
    return all(extentOf(labelmap).is_empty for labelmap in labelmaps if labelmap is not None)
