"""Small things that tests of real scenes share. Segments are read and edited here with Slicer's own logic, not with ours."""

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
    image = Logic.CreateOrientedImageDataFromVolumeNode(node)
    Logic.ApplyParentTransformToOrientedImageData(node, image)
    inverse = vtk.vtkMatrix4x4()
    transform = segmentationNode.GetParentTransformNode()
    if transform is not None:
        transform.GetMatrixTransformFromWorld(inverse)
        toWorld = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(toWorld)
        vtk.vtkMatrix4x4.Multiply4x4(inverse, toWorld, toWorld)
        image.SetImageToWorldMatrix(toWorld)
    assert Logic.SetBinaryLabelmapToSegment(image, segmentationNode, segmentId, Logic.MODE_REPLACE)
    scene.RemoveNode(node)
