"""Small things that tests of real scenes share. Segments are read and edited here with Slicer's own logic."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

Logic = slicer.vtkSlicerSegmentationsModuleLogic


def vtkMatrix(numbers: np.ndarray) -> vtk.vtkMatrix4x4:
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(numbers, dtype=np.float64).ravel())
    return matrix


def slicersMask(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, volumeNode: slicer.vtkMRMLVolumeNode
) -> np.ndarray:
    """(K, J, I) uint8 0/1 in the volume's grid, as Slicer exports a segment to a labelmap volume."""
    scene = segmentationNode.GetScene()
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    ids = vtk.vtkStringArray()
    ids.InsertNextValue(segmentId)
    assert Logic.ExportSegmentsToLabelmapNode(segmentationNode, ids, node, volumeNode)
    mask = (slicer.util.arrayFromVolume(node) != 0).astype(np.uint8)
    scene.RemoveNode(node)
    return mask


def editAsSlicerDoes(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    segmentId: str,
    volumeNode: slicer.vtkMRMLVolumeNode,
    mask: np.ndarray,
) -> None:
    """Make the mask the segment's, the way the Segment Editor's effects write a result."""
    scene = segmentationNode.GetScene()
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    slicer.util.updateVolumeFromArray(node, mask.astype(np.uint8))
    node.CopyOrientation(volumeNode)
    node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    image = Logic.CreateOrientedImageDataFromVolumeNode(node, segmentationNode.GetParentTransformNode())
    assert Logic.SetBinaryLabelmapToSegment(image, segmentationNode, segmentId, Logic.MODE_REPLACE)
    scene.RemoveNode(node)


def maskByPoints(
    segmentationNode: slicer.vtkMRMLSegmentationNode, segmentId: str, volumeNode: slicer.vtkMRMLVolumeNode
) -> np.ndarray:
    """The same as `slicersMask`, voxel by voxel through the nodes' own point transforms.

    For parent transforms that differ: Slicer 5.11 exports those in the wrong order (a turn and a shift change places).
    """
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    labelmap = segment.GetRepresentation(slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName())
    toIndex, toPoint = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    labelmap.GetWorldToImageMatrix(toIndex)
    volumeNode.GetIJKToRASMatrix(toPoint)
    extent, mask = labelmap.GetExtent(), np.zeros(volumeNode.GetImageData().GetDimensions()[::-1], np.uint8)
    for k, j, i in np.ndindex(*mask.shape):
        world, local = [0.0] * 3, [0.0] * 3
        volumeNode.TransformPointToWorld(toPoint.MultiplyPoint((i, j, k, 1))[:3], world)
        segmentationNode.TransformPointFromWorld(world, local)
        index = [round(value) for value in toIndex.MultiplyPoint((*local, 1))[:3]]
        if all(extent[2 * axis] <= index[axis] <= extent[2 * axis + 1] for axis in range(3)):
            mask[k, j, i] = labelmap.GetScalarComponentAsDouble(*index, 0) == segment.GetLabelValue()
    return mask
