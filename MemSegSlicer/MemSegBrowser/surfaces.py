"""Closed surfaces of the segments in the 3D view, on demand, made in a thread of their own so that no click waits.

They are models that are not saved: a closed surface inside the segmentation would have to follow every click.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from slicer import vtkMRMLModelNode, vtkMRMLScene
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData, vtkPolyData
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkCommonTransforms import vtkTransform
from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D, vtkPolyDataNormals, vtkWindowedSincPolyDataFilter
from vtkmodules.vtkFiltersGeneral import vtkTransformPolyDataFilter

from memseg.errors import MemSegError
from memseg.geometry import Box
from MemSegSlicerLib import SceneBridge

from .workspace import Workspace, fractions

logger = logging.getLogger(__name__)

_QUIET_S = 0.6  # after the last change, before a surface is made again
_LARGEST_VOX = 6_000_000  # of the crop; larger ones are thinned out, which a screen cannot show anyway


@dataclass(eq=False)
class _Surface:
    node: vtkMRMLModelNode
    stamp: tuple


class Surfaces:
    """Shows the surfaces while `shown`, and makes them again when the masks have been quiet for a moment.

    appeared: called when a segment gets its first surface, so that the view can turn to it.
    """

    def __init__(self, scene: vtkMRMLScene, workspace: Workspace, appeared: Callable[[], None]) -> None:
        self._scene = scene
        self._workspace = workspace
        self._appeared = appeared
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="MemSegSurfaces")
        self._surfaces: dict[tuple[str, str], _Surface] = {}
        self._task: asyncio.Task | None = None
        self.shown = False

    def show(self, shown: bool) -> None:
        self.shown = shown
        if shown:
            self.refresh(quiet_s=0.0)
        else:
            self.forget()

    def refresh(self, quiet_s: float = _QUIET_S) -> None:
        """Something changed: follow names, colours and visibility at once, and the masks after a quiet moment."""
        if not self.shown:
            return
        self._follow_rows()
        self._cancel()
        self._task = asyncio.get_running_loop().create_task(self._make(quiet_s))

    def forget(self) -> None:
        """Drop all surfaces."""
        self._cancel()
        for surface in self._surfaces.values():
            self._scene.RemoveNode(surface.node)
        self._surfaces.clear()

    def close(self) -> None:
        self._cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _key(self, identifier: str) -> tuple[str, str]:
        return self._workspace.segmentation_node.GetID(), identifier

    def _follow_rows(self) -> None:
        rows = {self._key(row.identifier): row for row in self._workspace.rows()}
        for key in [key for key in self._surfaces if key not in rows]:
            self._scene.RemoveNode(self._surfaces.pop(key).node)
        for key, surface in self._surfaces.items():
            display = surface.node.GetDisplayNode()
            display.SetColor(*fractions(rows[key].colour))
            display.SetVisibility(rows[key].visible)

    async def _make(self, quiet_s: float) -> None:
        await asyncio.sleep(quiet_s)
        for identifier in self._workspace.segment_ids:
            try:
                await self._make_one(identifier)
            except MemSegError as error:
                logger.warning("No surface of a segment: %s", error)

    async def _make_one(self, identifier: str) -> None:
        key, node, volume_node = self._key(identifier), self._workspace.segmentation_node, self._workspace.volume_node
        stamp = SceneBridge.segmentStamp(node, identifier)
        if key in self._surfaces and self._surfaces[key].stamp == stamp:
            return
        voxels = SceneBridge.readSegment(node, identifier, volume_node)
        ijk_to_ras = SceneBridge.gridOf(volume_node).ijk_to_ras
        loop = asyncio.get_running_loop()
        polygons = await loop.run_in_executor(self._thread, lambda: surface_of(voxels.mask(), ijk_to_ras))
        if node is not self._workspace.segmentation_node or identifier not in self._workspace.segment_ids:
            return
        is_new = key not in self._surfaces or self._surfaces[key].node.GetPolyData().GetNumberOfPoints() == 0
        if key not in self._surfaces:
            self._surfaces[key] = _Surface(self._add_node(), stamp)
        self._surfaces[key].stamp = stamp
        self._surfaces[key].node.SetAndObservePolyData(polygons)
        self._follow_rows()
        if is_new and polygons.GetNumberOfPoints():
            self._appeared()

    def _add_node(self) -> vtkMRMLModelNode:
        node = self._scene.AddNewNodeByClass("vtkMRMLModelNode", "Surface")
        node.SetSaveWithScene(False)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetVisibility2D(False)
        display.SetDiffuse(0.8)
        display.SetSpecular(0.2)
        display.SetPower(20)
        return node


def surface_of(mask_kji: np.ndarray, ijk_to_ras: np.ndarray) -> vtkPolyData:
    """Smooth closed surface, in world mm, of a (K, J, I) uint8 mask; empty where the mask is.

    VTK gives up Python's lock while a filter runs, so the event loop goes on meanwhile.
    """
    box = Box.of_mask(mask_kji)
    if box.is_empty:
        return vtkPolyData()
    step = int(np.ceil((box.size / _LARGEST_VOX) ** (1 / 3)))
    crop = np.pad(mask_kji[box.slices][::step, ::step, ::step], 1)
    image = vtkImageData()
    image.SetDimensions(*reversed(crop.shape))
    image.SetSpacing(step, step, step)
    image.SetOrigin(*(start - step for start in reversed(box.start_kji)))
    image.GetPointData().SetScalars(numpy_to_vtk(crop.reshape(-1), deep=False))
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
    place.SetTransform(_transform(ijk_to_ras))
    place.SetInputConnection(smooth.GetOutputPort())
    normals = vtkPolyDataNormals()
    normals.SetInputConnection(place.GetOutputPort())
    normals.SplittingOff()
    normals.AutoOrientNormalsOn()
    normals.Update()
    surface = vtkPolyData()
    surface.ShallowCopy(normals.GetOutput())
    return surface


def _transform(matrix: np.ndarray) -> vtkTransform:
    elements = vtkMatrix4x4()
    elements.DeepCopy(np.asarray(matrix).ravel().tolist())
    transform = vtkTransform()
    transform.SetMatrix(elements)
    return transform
