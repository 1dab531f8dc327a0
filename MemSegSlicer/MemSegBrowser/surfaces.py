"""Closed surfaces of the segments in the 3D view, on demand, made in a thread of their own so that no click waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from memseg.geometry import Box
from MemSegSlicerLib import SceneBridge
from slicer import vtkMRMLSegmentationNode, vtkMRMLTransformNode, vtkSegmentation, vtkSegmentationConverter
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData, vtkPolyData
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkCommonTransforms import vtkTransform
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D, vtkPolyDataNormals, vtkWindowedSincPolyDataFilter
from vtkmodules.vtkFiltersGeneral import vtkTransformPolyDataFilter

from .workspace import Workspace

logger = logging.getLogger(__name__)

_CLOSED_SURFACE = vtkSegmentationConverter.GetClosedSurfaceRepresentationName()
_QUIET_S = 0.6  # after the last change, before a surface is made again
_LARGEST_VOX = 6_000_000  # of the crop; larger ones are thinned out, which a screen cannot show anyway


class Surfaces:
    """Shows the surfaces while `shown`, and makes them again when the masks have been quiet for a moment."""

    def __init__(self, workspace: Workspace, shown_changed: Callable[[], None]) -> None:
        self._workspace = workspace
        self._shown_changed = shown_changed
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="MemSegSurfaces")
        self._made: dict[str, tuple] = {}
        self._task: asyncio.Task | None = None
        self.shown = False

    def show(self, shown: bool) -> None:
        self.shown = shown
        node = self._workspace.segmentation_node
        if node is None:
            return
        if shown:
            node.GetDisplayNode().SetVisibility3D(True)
            self.refresh(quiet_s=0.0)
        else:
            self.forget()
            node.GetDisplayNode().SetVisibility3D(False)

    def refresh(self, quiet_s: float = _QUIET_S) -> None:
        """Something changed: make the surfaces of the changed segments again after a quiet moment."""
        if not self.shown:
            return
        if self._task is not None and not self._task.done():
            self._task.cancel()
        self._task = asyncio.get_running_loop().create_task(self._make(quiet_s))

    def forget(self) -> None:
        """Drop all surfaces, as after another image was opened."""
        if self._task is not None:
            self._task.cancel()
        self._made.clear()
        if self._workspace.segmentation_node is not None:
            self._workspace.segmentation_node.GetSegmentation().RemoveRepresentation(_CLOSED_SURFACE)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _make(self, quiet_s: float) -> None:
        await asyncio.sleep(quiet_s)
        for identifier in self._workspace.segment_ids:
            node, volume_node = self._workspace.segmentation_node, self._workspace.volume_node
            stamp = SceneBridge.segmentStamp(node, identifier)
            if self._made.get(identifier) == stamp:
                continue
            voxels = SceneBridge.readSegment(node, identifier, volume_node)
            ijk_to_local = _to_local(node) @ SceneBridge.gridOf(volume_node).ijk_to_ras
            surface = await asyncio.get_running_loop().run_in_executor(
                self._thread, surface_of, voxels.mask, ijk_to_local
            )
            if node is not self._workspace.segmentation_node or identifier not in self._workspace.segment_ids:
                return
            self._made[identifier] = stamp
            segmentation = node.GetSegmentation()
            segmentation.GetSegment(identifier).AddRepresentation(_CLOSED_SURFACE, surface)
            segmentation.InvokeEvent(vtkSegmentation.RepresentationModified, identifier)
        self._shown_changed()


def surface_of(read_mask: Callable[[], np.ndarray], ijk_to_local: np.ndarray) -> vtkPolyData:
    """Smooth closed surface of a (K, J, I) uint8 mask, in mm of the segmentation's own frame; empty where the mask is.

    VTK gives up Python's lock while a filter runs, so the event loop goes on meanwhile.
    """
    mask = read_mask()
    box = Box.of_mask(mask)
    if box.is_empty:
        return vtkPolyData()
    step = int(np.ceil((box.size / _LARGEST_VOX) ** (1 / 3)))
    crop = np.pad(mask[box.slices][::step, ::step, ::step], 1)
    image = vtkImageData()
    image.SetDimensions(*reversed(crop.shape))
    image.SetSpacing(step, step, step)
    image.SetOrigin(*(start - step for start in reversed(box.start_kji)))
    scalars = numpy_to_vtk(crop.reshape(-1), deep=False)
    image.GetPointData().SetScalars(scalars)
    edges = vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.5)
    edges.ComputeNormalsOff()
    smooth = vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(edges.GetOutputPort())
    smooth.SetNumberOfIterations(15)
    smooth.SetPassBand(0.03)
    smooth.BoundarySmoothingOff()
    smooth.FeatureEdgeSmoothingOff()
    smooth.NonManifoldSmoothingOn()
    smooth.NormalizeCoordinatesOn()
    place = vtkTransformPolyDataFilter()
    place.SetTransform(_transform(ijk_to_local))
    place.SetInputConnection(smooth.GetOutputPort())
    normals = vtkPolyDataNormals()
    normals.SetInputConnection(place.GetOutputPort())
    normals.SplittingOff()
    normals.AutoOrientNormalsOn()
    normals.Update()
    surface = vtkPolyData()
    surface.ShallowCopy(normals.GetOutput())
    return surface


def _transform(ijk_to_local: np.ndarray) -> vtkTransform:
    matrix = vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(ijk_to_local).ravel().tolist())
    transform = vtkTransform()
    transform.SetMatrix(matrix)
    return transform


def _to_local(node: vtkMRMLSegmentationNode) -> np.ndarray:
    """(4, 4), world mm to the frame below the node's parent transforms."""
    matrix = vtkMatrix4x4()
    vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(None, node.GetParentTransformNode(), matrix)
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
