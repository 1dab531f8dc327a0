"""The only file that touches voxels in MRML: volume node -> Volume, segment <-> mask.

A segment lives on a lattice of its own: a labelmap with its origin, spacing and directions, perhaps under another parent
transform, perhaps cropped to the segment, oversampled, or shared with other segments. Changes are written in place into
the labelmap's voxels, so that a click costs what it changes (1 ms for 9000 voxels in a labelmap of 512 x 512 x 300) and not
what the segment holds: Slicer's own SetBinaryLabelmapToSegment trims the labelmap each time (84 ms there), and makes the
closed surface again before it returns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from memseg.errors import GeometryError, SessionError, VolumeError
from memseg.geometry import Box, Grid, nearest_voxel
from memseg.volume import MaskChange, Volume

from . import Terminology

_GROWTH_MARGIN = 0.25  # of the changed box, so that a mask growing click by click is not copied at every click
_BINARY_LABELMAP = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
_CLOSED_SURFACE = slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName()


# -- volumes -------------------------------------------------------------------------------------------------------------


def gridOf(volumeNode: slicer.vtkMRMLVolumeNode) -> Grid:
    """Where the node's voxels lie in the world, linear parent transforms folded in. Raises GeometryError, VolumeError."""
    image = _imageOf(volumeNode)
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return Grid(tuple(reversed(image.GetDimensions())), _parentToWorld(volumeNode, "image") @ _numbers(matrix))


def arrayOf(volumeNode: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """The node's voxels, (K, J, I), as a view: no copy. Raises VolumeError."""
    image = _imageOf(volumeNode)
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(tuple(reversed(image.GetDimensions())))


def volumeFromNode(volumeNode: slicer.vtkMRMLVolumeNode) -> Volume:
    """The node's image, voxels not copied. Raises VolumeError or GeometryError with what to do.

    Takes one pass over the voxels to check them; a shell that must not wait builds Volume(arrayOf(...), gridOf(...)) in a job.
    """
    return Volume(arrayOf(volumeNode), gridOf(volumeNode), volumeNode.GetName() or "")


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


# -- segments ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SegmentVoxels:
    """A snapshot of one segment that needs the scene no longer.

    values: labels of the whole labelmap, (K, J, I) of its extent, a copy. start_kji: the extent's first index.
    volumeToLattice: (4, 4), voxel (i, j, k, 1) of the volume to voxel of the labelmap.
    """

    values: np.ndarray
    start_kji: tuple[int, int, int]
    label: int
    volumeToLattice: np.ndarray
    shape_kji: tuple[int, int, int]

    def crop(self) -> tuple[Box, np.ndarray]:
        """The segment in the volume's grid: a box, and uint8 0/1 of its shape. Outside the box the segment is empty."""
        extent = Box.of_shape(self.values.shape).shifted(self.start_kji)
        if extent.is_empty:
            return Box((0, 0, 0), (0, 0, 0)), np.zeros((0, 0, 0), np.uint8)
        ours = (self.values == self.label).view(np.uint8)
        shift_kji = _wholeShift(self.volumeToLattice)
        if shift_kji is not None:
            box = extent.shifted(tuple(-np.asarray(shift_kji))).clipped(self.shape_kji)
            return box, ours[box.shifted(shift_kji).relative_to(extent).slices]
        box = _boxThrough(np.linalg.inv(self.volumeToLattice), extent).clipped(self.shape_kji)
        planes = [
            _sampled(ours, extent, self.volumeToLattice, Box((k, *box.start_kji[1:]), (k + 1, *box.stop_kji[1:])))
            for k in range(box.start_kji[0], box.stop_kji[0])
        ]
        return box, np.concatenate(planes) if planes else np.zeros(box.shape_kji, np.uint8)

    def mask(self) -> np.ndarray:
        """(K, J, I) uint8 0/1 in the volume's grid."""
        mask = np.zeros(self.shape_kji, np.uint8)
        box, values = self.crop()
        mask[box.slices] = values
        return mask


def readSegment(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, volumeNode: slicer.vtkMRMLVolumeNode
) -> SegmentVoxels:
    """Raises SessionError for a segment that is gone or a surface, GeometryError for one that does not fit the volume."""
    grid = gridOf(volumeNode)
    segment, labelmap = _labelmapOf(segmentationNode, segmentId)
    extent = _extentOf(labelmap)
    if extent.is_empty:
        return SegmentVoxels(np.zeros((0, 0, 0), np.uint8), (0, 0, 0), 1, np.eye(4), grid.shape_kji)
    toLattice = _volumeToLattice(segmentationNode, _latticeToParent(labelmap), grid)
    _checkLinesUp(toLattice)
    return SegmentVoxels(_voxels(labelmap).copy(), extent.start_kji, segment.GetLabelValue(), toLattice, grid.shape_kji)


def maskFromSegment(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, volumeNode: slicer.vtkMRMLVolumeNode
) -> np.ndarray:
    """The segment as uint8 0/1 (K, J, I) in the volume's grid; a copy. Raises as `readSegment`."""
    return readSegment(segmentationNode, segmentId, volumeNode).mask()


def segmentStamp(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> tuple[int, int, bytes]:
    """Differs from an earlier stamp whenever the segment may cover other voxels than before. Raises as `readSegment`."""
    segment, labelmap = _labelmapOf(segmentationNode, segmentId)
    return labelmap.GetMTime(), segment.GetLabelValue(), _parentToWorld(segmentationNode, "segmentation").tobytes()


def voxelStamp(volumeNode: slicer.vtkMRMLVolumeNode) -> int:
    """Differs from an earlier stamp whenever the volume's voxels may have changed. Raises VolumeError."""
    return _imageOf(volumeNode).GetMTime()


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
    fresh = _extentOf(labelmap).is_empty
    latticeToParent = _freshLattice(segmentationNode, grid) if fresh else _latticeToParent(labelmap)
    toLattice = _volumeToLattice(segmentationNode, latticeToParent, grid)
    _checkLinesUp(toLattice)
    box, added, removed = _onLattice(change, toLattice)
    if _runsIntoOthers(labelmap, segment.GetLabelValue(), box, added):
        segmentationNode.GetSegmentation().SeparateSegmentLabelmap(segmentId)
        segment, labelmap = _labelmapOf(segmentationNode, segmentId)
    wanted = Box.of_mask(added).shifted(box.start_kji)
    if not _extentOf(labelmap).covers(wanted):
        labelmap = _replaceByLarger(segmentationNode.GetSegmentation(), labelmap, latticeToParent, wanted)
    _paint(labelmap, segment.GetLabelValue(), box, added, removed)
    segmentation = segmentationNode.GetSegmentation()
    segmentation.InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified, segmentId)
    segmentation.InvokeEvent(slicer.vtkSegmentation.RepresentationModified, segmentId)


def hasSurface(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> bool:
    """Whether the segment holds a closed surface, which `writeChange` leaves behind the mask."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    return segment is not None and segment.GetRepresentation(_CLOSED_SURFACE) is not None


def refreshSurface(segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str) -> None:
    """Make the segment's closed surface again from its labelmap; costs what Slicer's own conversion costs."""
    if not hasSurface(segmentationNode, segmentId):
        return
    slicer.vtkSlicerSegmentationsModuleLogic.ReconvertAllRepresentations(segmentationNode, (segmentId,))
    segmentationNode.GetSegmentation().InvokeEvent(slicer.vtkSegmentation.RepresentationModified, segmentId)


# -- new nodes and segments ------------------------------------------------------------------------------------------------


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


# -- lattices --------------------------------------------------------------------------------------------------------------


def _labelmapOf(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str
) -> tuple[slicer.vtkSegment, slicer.vtkOrientedImageData]:
    segmentation = segmentationNode.GetSegmentation()
    segment = segmentation.GetSegment(segmentId) if segmentation is not None and segmentId else None
    if segment is None:
        raise SessionError("The segment no longer exists; choose or add another one.")
    if segmentation.GetSourceRepresentationName() != _BINARY_LABELMAP:
        raise SessionError(
            "The segmentation is made of surfaces; make its binary labelmap the source representation in the "
            "Segmentations module first."
        )
    labelmap = segment.GetRepresentation(_BINARY_LABELMAP)
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
    return _numbers(matrix)


def _latticeToParent(labelmap: slicer.vtkOrientedImageData) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    return _numbers(matrix)


def _volumeToLattice(
    segmentationNode: slicer.vtkMRMLSegmentationNode, latticeToParent: np.ndarray, grid: Grid
) -> np.ndarray:
    latticeToWorld = _parentToWorld(segmentationNode, "segmentation") @ latticeToParent
    return np.linalg.inv(latticeToWorld) @ grid.ijk_to_ras


def _wholeShift(volumeToLattice: np.ndarray) -> tuple[int, int, int] | None:
    """(k, j, i) by which indices differ where both lattices are the same but for a shift by whole voxels, else None.

    "The same" leaves room for the rounding of headers in float32: at most 0.1 voxel over 1000 voxels.
    """
    shift_ijk = np.rint(volumeToLattice[:3, 3])
    rest = volumeToLattice[:3] - np.column_stack([np.eye(3), shift_ijk])
    if np.abs(rest[:, :3]).max() > 1e-4 or np.abs(rest[:, 3]).max() > 0.1:
        return None
    return tuple(int(value) for value in shift_ijk[::-1])


def _linesUp(volumeToLattice: np.ndarray) -> bool:
    """Whether every mask survives the way to the lattice and back.

    It does where both have the same voxels (perhaps with axes in another order), and where the lattice point nearest to a
    voxel's centre always lies less than half a voxel away along each of the volume's axes: half the sum over the
    lattice's axes of their lengths in voxels bounds that distance.
    """
    whole = np.rint(volumeToLattice)
    rest = np.abs(volumeToLattice - whole)
    sameVoxels = rest[:, :3].max() < 1e-4 and rest[:, 3].max() < 0.1 and np.all(np.abs(whole[:3, :3]).sum(axis=0) == 1)
    reach = 0.5 * np.abs(np.linalg.inv(volumeToLattice[:3, :3])).sum(axis=1)
    return bool(sameVoxels or np.all(reach < 0.5))


def _checkLinesUp(volumeToLattice: np.ndarray) -> None:
    if not _linesUp(volumeToLattice):
        raise GeometryError(
            "The segmentation's voxels are coarser than the image's or do not line up with them; choose the image under "
            "Specify Geometry in the Segment Editor, or start a new segmentation."
        )


def _freshLattice(segmentationNode: slicer.vtkMRMLSegmentationNode, grid: Grid) -> np.ndarray:
    """(4, 4), voxel to the segmentation's own frame, for a labelmap that holds nothing yet.

    The one the segmentation asks for ("Specify Geometry"), as long as it holds anything or the volume fits that; else the
    volume's own.
    """
    segmentation = segmentationNode.GetSegmentation()
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    matrix, extent = vtk.vtkMatrix4x4(), [0, -1, 0, -1, 0, -1]
    geometry = segmentation.GetConversionParameter(name)
    if geometry and slicer.vtkSegmentationConverter.DeserializeImageGeometry(geometry, matrix, extent):
        toLattice = _volumeToLattice(segmentationNode, _numbers(matrix), grid)
        if _linesUp(toLattice) or not _isEmpty(segmentation):
            return _numbers(matrix)
    return np.linalg.inv(_parentToWorld(segmentationNode, "segmentation")) @ grid.ijk_to_ras


def _isEmpty(segmentation: slicer.vtkSegmentation) -> bool:
    labelmaps = (segmentation.GetSegment(name).GetRepresentation(_BINARY_LABELMAP) for name in _segmentIds(segmentation))
    return all(labelmap is None or _extentOf(labelmap).is_empty for labelmap in labelmaps)


def _segmentIds(segmentation: slicer.vtkSegmentation) -> list[str]:
    return [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]


def _onLattice(change: MaskChange, volumeToLattice: np.ndarray) -> tuple[Box, np.ndarray, np.ndarray]:
    """The change as a box of the lattice and, of its shape, the voxels to add and those to remove."""
    shift_kji = _wholeShift(volumeToLattice)
    if shift_kji is not None:
        box, before, after = change.box.shifted(shift_kji), change.before, change.after
    else:
        latticeToVolume = np.linalg.inv(volumeToLattice)
        box = _boxThrough(volumeToLattice, change.box)
        before = _sampled(change.before, change.box, latticeToVolume, box)
        after = _sampled(change.after, change.box, latticeToVolume, box)
    return box, (after != 0) & (before == 0), (before != 0) & (after == 0)


def _boxThrough(matrix: np.ndarray, box: Box) -> Box:
    """The smallest box of the target's voxels that holds a box of voxels, seen through an index matrix (i, j, k, 1)."""
    bounds = zip(box.start_kji[::-1], box.stop_kji[::-1])
    corners = np.array(np.meshgrid(*[(low - 0.5, high - 0.5) for low, high in bounds])).reshape(3, -1)
    moved = (matrix[:3, :3] @ corners + matrix[:3, 3:])[::-1]
    return Box(tuple(nearest_voxel(moved.min(axis=1))), tuple(nearest_voxel(moved.max(axis=1)) + 1))


def _sampled(values: np.ndarray, valuesBox: Box, targetToSource: np.ndarray, target: Box) -> np.ndarray:
    """Values (crop at valuesBox of the source) at the target's voxels, nearest neighbour; 0 outside the crop."""
    k, j, i = (np.arange(low, high, dtype=np.float64) for low, high in zip(target.start_kji, target.stop_kji))
    inside, index = np.ones(target.shape_kji, bool), []
    for axis in (2, 1, 0):  # of the matrix's rows (i, j, k), so that the index comes out as k, j, i
        row = targetToSource[axis]
        place = row[2] * k[:, None, None] + row[1] * j[:, None] + row[0] * i + row[3]
        whole = nearest_voxel(place) - valuesBox.start_kji[2 - axis]
        inside &= (whole >= 0) & (whole < values.shape[2 - axis])
        index.append(whole)
    sampled = np.zeros(target.shape_kji, values.dtype)
    sampled[inside] = values[tuple(whole[inside] for whole in index)]
    return sampled


# -- labelmap voxels -------------------------------------------------------------------------------------------------------


def _extentOf(labelmap: slicer.vtkOrientedImageData) -> Box:
    extent = labelmap.GetExtent()
    if labelmap.GetPointData().GetScalars() is None or any(extent[2 * a] > extent[2 * a + 1] for a in range(3)):
        return Box((0, 0, 0), (0, 0, 0))
    return Box(extent[4::-2], tuple(last + 1 for last in extent[5::-2]))


def _voxels(labelmap: slicer.vtkOrientedImageData) -> np.ndarray:
    """The labels, (K, J, I) of the extent, as a view into the labelmap."""
    return vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(_extentOf(labelmap).shape_kji)


def _runsIntoOthers(labelmap: slicer.vtkOrientedImageData, label: int, box: Box, added: np.ndarray) -> bool:
    extent = _extentOf(labelmap)
    common = box.intersection(extent)
    if common.is_empty:
        return False
    there = _voxels(labelmap)[common.relative_to(extent).slices]
    return bool(((there != 0) & (there != label) & added[common.relative_to(box).slices]).any())


def _replaceByLarger(
    segmentation: slicer.vtkSegmentation,
    labelmap: slicer.vtkOrientedImageData,
    latticeToParent: np.ndarray,
    wanted: Box,
) -> slicer.vtkOrientedImageData:
    """A labelmap with room for the wanted voxels and some more, in the place of the old one in all its segments.

    Replaced and not changed, because a segmentation answers the change of a labelmap by throwing away the closed
    surfaces of all segments.
    """
    sharing = [
        segment
        for segment in map(segmentation.GetSegment, _segmentIds(segmentation))
        if segment.GetRepresentation(_BINARY_LABELMAP) is labelmap
    ]
    extent = _extentOf(labelmap)
    whole = extent.union(wanted.grown(np.ceil(np.array(wanted.shape_kji) * _GROWTH_MARGIN)))
    largest = max(segment.GetLabelValue() for segment in sharing)
    values = np.zeros(whole.shape_kji, np.result_type(np.min_scalar_type(largest), np.uint8))
    if not extent.is_empty:
        old = _voxels(labelmap)
        values = values.astype(np.result_type(values, old), copy=False)
        values[extent.relative_to(whole).slices] = old
    larger = slicer.vtkOrientedImageData()
    larger.SetImageToWorldMatrix(_vtkMatrix(latticeToParent))
    starts, stops = whole.start_kji[::-1], whole.stop_kji[::-1]
    larger.SetExtent([bound for start, stop in zip(starts, stops) for bound in (start, stop - 1)])
    larger.GetPointData().SetScalars(numpy_to_vtk(values.ravel(), deep=True))
    for segment in sharing:
        segment.AddRepresentation(_BINARY_LABELMAP, larger)
    return larger


def _paint(
    labelmap: slicer.vtkOrientedImageData, label: int, box: Box, added: np.ndarray, removed: np.ndarray
) -> None:
    """Set and clear voxels in place. Marks only the array as modified: the labelmap's own event costs the surfaces."""
    extent = _extentOf(labelmap)
    common = box.intersection(extent)
    if common.is_empty:
        return
    there, here = _voxels(labelmap)[common.relative_to(extent).slices], common.relative_to(box).slices
    there[added[here]] = label
    there[removed[here] & (there == label)] = 0
    labelmap.GetPointData().GetScalars().Modified()


def _numbers(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def _vtkMatrix(numbers: np.ndarray) -> vtk.vtkMatrix4x4:
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(numbers, dtype=np.float64).ravel())
    return matrix
