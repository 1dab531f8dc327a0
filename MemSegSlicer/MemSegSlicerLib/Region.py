"""The region guard: a ROI of the scene, outside which no voxel changes."""

from __future__ import annotations

import numpy as np
import slicer

from memseg.errors import PromptError
from memseg.guard import Guard

from . import SceneBridge
from .SceneState import SceneState


def guardOf(sceneState: SceneState, volumeNode: slicer.vtkMRMLVolumeNode) -> Guard | None:
    """None where nothing is held back. Raises PromptError for an empty ROI."""
    node = sceneState.regionNode
    if node is None or not sceneState.keepsToRegion:
        return None
    half = np.asarray(node.GetSize()) / 2
    if not np.all(half > 0):
        raise PromptError("The region of interest is empty; draw it round the object, or take the region guard off.")
    matrix = node.GetObjectToWorldMatrix()
    objectToWorld = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
    unitFromIjk = np.diag([*1 / half, 1]) @ np.linalg.inv(objectToWorld) @ SceneBridge.gridOf(volumeNode).ijk_to_ras
    return Guard(tuple(map(tuple, unitFromIjk[:3, [2, 1, 0, 3]])))
