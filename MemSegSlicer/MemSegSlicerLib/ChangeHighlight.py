"""What the last step changed, over the image: green where the mask grew, red where it shrank."""

from __future__ import annotations

import slicer

from memseg.history import Step
from memseg.volume import MaskChange

from . import SceneBridge
from .Outline import NEGATIVE_COLOUR, POSITIVE_COLOUR

_NAME = "MemSegSlicer change"
_PARTS = (("grew", POSITIVE_COLOUR), ("shrank", NEGATIVE_COLOUR))


class ChangeHighlight:
    """A segmentation of its own while it is shown, which lists do not show and scenes do not save."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._scene = scene
        self._nodeId = ""
        self._shown: tuple[Step, str] | None = None

    def show(self, step: Step | None, volumeNode: slicer.vtkMRMLVolumeNode | None) -> None:
        """None of either shows nothing. Raises GeometryError, VolumeError where the volume cannot be used."""
        if step is None or volumeNode is None or step.box.is_empty:
            self.hide()
            return
        if self._shown == (step, volumeNode.GetID()) and self._node() is not None:
            return
        self.hide()
        node = self._newNode(volumeNode)
        change = step.change
        for (name, color), before, after in zip(_PARTS, (change.before, change.after), (change.after, change.before)):
            part = MaskChange(change.box, 0 * after, after & ~before & 1)
            SceneBridge.writeChange(node, SceneBridge.addSegment(node, name, color), volumeNode, part)
        self._shown = step, volumeNode.GetID()

    def hide(self) -> None:
        if (node := self._node()) is not None:
            self._scene.RemoveNode(node)
        self._nodeId, self._shown = "", None

    def _node(self) -> slicer.vtkMRMLSegmentationNode | None:
        return self._scene.GetNodeByID(self._nodeId) if self._nodeId else None

    def _newNode(self, volumeNode: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLSegmentationNode:
        node = self._scene.CreateNodeByClass("vtkMRMLSegmentationNode")
        node.UnRegister(None)
        node.SetName(_NAME)
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        self._scene.AddNode(node)
        self._nodeId = node.GetID()
        node.CreateDefaultDisplayNodes()
        node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
        node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetOpacity2DFill(0.7)
        display.SetVisibility3D(False)
        return node
