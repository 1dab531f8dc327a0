"""The voxels of one labelmap, in VTK's own storage: how they lie, how they are read and changed. For SceneBridge."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from memseg.geometry import Box

BINARY_LABELMAP = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
_GROWTH_MARGIN = 0.25  # of the changed box, so that a mask growing click by click is not copied at every click


def segmentsOf(segmentation: slicer.vtkSegmentation) -> list[slicer.vtkSegment]:
    return [segmentation.GetNthSegment(index) for index in range(segmentation.GetNumberOfSegments())]


def labelmapIn(segment: slicer.vtkSegment) -> slicer.vtkOrientedImageData | None:
    return segment.GetRepresentation(BINARY_LABELMAP)


def latticeToParentOf(labelmap: slicer.vtkOrientedImageData) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    return numbersOf(matrix)


def boxOf(image: slicer.vtkOrientedImageData) -> Box:
    """Its extent, whether it holds voxels or not."""
    extent = image.GetExtent()
    if any(extent[2 * axis] > extent[2 * axis + 1] for axis in range(3)):
        return Box.empty()
    return Box(extent[4::-2], tuple(last + 1 for last in extent[5::-2]))


def extentOf(labelmap: slicer.vtkOrientedImageData) -> Box:
    return boxOf(labelmap) if labelmap.GetPointData().GetScalars() is not None else Box.empty()


def voxelsOf(labelmap: slicer.vtkOrientedImageData) -> np.ndarray:
    """The labels, (K, J, I) of the extent, as a view into the labelmap."""
    return vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(extentOf(labelmap).shape_kji)


def newLabelmap(box: Box, values: np.ndarray, latticeToParent: np.ndarray) -> slicer.vtkOrientedImageData:
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetImageToWorldMatrix(vtkMatrixOf(latticeToParent))
    starts, stops = box.start_kji[::-1], box.stop_kji[::-1]
    labelmap.SetExtent([bound for start, stop in zip(starts, stops) for bound in (start, stop - 1)])
    labelmap.GetPointData().SetScalars(numpy_to_vtk(values.ravel(), deep=True))
    return labelmap


def runsIntoOthers(labelmap: slicer.vtkOrientedImageData, label: int, box: Box, added: np.ndarray) -> bool:
    extent = extentOf(labelmap)
    common = box.intersection(extent)
    if common.is_empty:
        return False
    there = voxelsOf(labelmap)[common.relative_to(extent).slices]
    return bool(((there != 0) & (there != label) & added[common.relative_to(box).slices]).any())


def moveToItsOwn(
    segment: slicer.vtkSegment, labelmap: slicer.vtkOrientedImageData, latticeToParent: np.ndarray
) -> slicer.vtkOrientedImageData:
    """Take a segment out of a shared labelmap into one of its own. Slicer's SeparateSegmentLabelmap does the same in
    120 ms where this takes 20 ms (two segments in 170 x 170 x 170 voxels), and throws closed surfaces away."""
    extent, values = extentOf(labelmap), voxelsOf(labelmap)
    ours = values == segment.GetLabelValue()
    tight = Box.of_mask(ours)
    own = newLabelmap(tight.shifted(extent.start_kji), ours[tight.slices].view(np.uint8), latticeToParent)
    values[tight.slices][ours[tight.slices]] = 0
    labelmap.GetPointData().GetScalars().Modified()
    segment.SetLabelValue(1)
    segment.AddRepresentation(BINARY_LABELMAP, own)
    return own


def replaceByLarger(
    segmentation: slicer.vtkSegmentation,
    labelmap: slicer.vtkOrientedImageData,
    latticeToParent: np.ndarray,
    wanted: Box,
) -> slicer.vtkOrientedImageData:
    """A labelmap with room for the wanted voxels and some more, in the place of the old one in all its segments.

    Replaced and not changed, because a segmentation answers the change of a labelmap by throwing away the closed
    surfaces of all segments.
    """
    sharing = [segment for segment in segmentsOf(segmentation) if labelmapIn(segment) is labelmap]
    extent = extentOf(labelmap)
    whole = extent.union(wanted.grown(np.ceil(np.array(wanted.shape_kji) * _GROWTH_MARGIN)))
    largest = max(segment.GetLabelValue() for segment in sharing)
    values = np.zeros(whole.shape_kji, np.result_type(np.min_scalar_type(largest), np.uint8))
    if not extent.is_empty:
        old = voxelsOf(labelmap)
        values = values.astype(np.result_type(values, old), copy=False)
        values[extent.relative_to(whole).slices] = old
    larger = newLabelmap(whole, values, latticeToParent)
    for segment in sharing:
        segment.AddRepresentation(BINARY_LABELMAP, larger)
    return larger


def paint(labelmap: slicer.vtkOrientedImageData, label: int, box: Box, added: np.ndarray, removed: np.ndarray) -> None:
    """Set and clear voxels in place. Marks only the array as modified: the labelmap's own event costs the surfaces."""
    extent = extentOf(labelmap)
    common = box.intersection(extent)
    if common.is_empty:
        return
    there, here = voxelsOf(labelmap)[common.relative_to(extent).slices], common.relative_to(box).slices
    there[added[here]] = label
    there[removed[here] & (there == label)] = 0
    labelmap.GetPointData().GetScalars().Modified()


def numbersOf(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def vtkMatrixOf(numbers: np.ndarray) -> vtk.vtkMatrix4x4:
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(numbers, dtype=np.float64).ravel())
    return matrix
