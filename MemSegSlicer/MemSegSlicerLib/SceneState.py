"""What is saved with the scene, and how it comes back.

Choices (volume, segment, model) live in one scripted module node. A session lives in a hidden text node that refers to
its volume and segmentation by node reference, so that it still resolves where a scene is imported into another and IDs
change. Its text is written into the scene file itself: then it is there in .mrb and .mrml alike, whoever saves.

What a scene file holds is not trusted: a text is decoded, and checked by the engine, when its session is asked for.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass

import slicer

from memseg.errors import FileError

MODULE = "MemSegSlicer"
_VOLUME_ROLE = "Volume"
_SEGMENTATION_ROLE = "Segmentation"
_REGION_ROLE = "Region"
_SEGMENT_ATTRIBUTE = "MemSegSlicer.SegmentID"


@dataclass(frozen=True)
class SegmentKey:
    """Which object is being segmented in which volume, by MRML node IDs and segment ID."""

    volumeId: str
    segmentationId: str
    segmentId: str


class SceneState:
    """Typed access to the module's nodes in one scene. Reading creates nothing; the first value written does."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._scene = scene

    # -- choices ---------------------------------------------------------------------------------------------------

    @property
    def volumeNode(self) -> slicer.vtkMRMLVolumeNode | None:
        return self._reference(_VOLUME_ROLE, "vtkMRMLScalarVolumeNode")

    @volumeNode.setter
    def volumeNode(self, node: slicer.vtkMRMLVolumeNode | None) -> None:
        self._madeNode().SetNodeReferenceID(_VOLUME_ROLE, node.GetID() if node is not None else None)

    @property
    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        return self._reference(_SEGMENTATION_ROLE, "vtkMRMLSegmentationNode")

    @segmentationNode.setter
    def segmentationNode(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        self._madeNode().SetNodeReferenceID(_SEGMENTATION_ROLE, node.GetID() if node is not None else None)

    @property
    def segmentId(self) -> str | None:
        return self._text("SegmentID")

    @segmentId.setter
    def segmentId(self, value: str | None) -> None:
        self._madeNode().SetParameter("SegmentID", value or "")

    @property
    def model(self) -> str | None:
        return self._text("Model")

    @model.setter
    def model(self, value: str | None) -> None:
        self._madeNode().SetParameter("Model", value or "")

    @property
    def device(self) -> str | None:
        return self.parameter("Device")

    @device.setter
    def device(self, value: str | None) -> None:
        self.setParameter("Device", value or "")

    @property
    def regionNode(self) -> slicer.vtkMRMLMarkupsROINode | None:
        """Outside it nothing changes, where `keepsToRegion`."""
        return self._reference(_REGION_ROLE, "vtkMRMLMarkupsROINode")

    @regionNode.setter
    def regionNode(self, node: slicer.vtkMRMLMarkupsROINode | None) -> None:
        self._madeNode().SetNodeReferenceID(_REGION_ROLE, node.GetID() if node is not None else None)

    @property
    def keepsToRegion(self) -> bool:
        return self.parameter("KeepsToRegion") == "true"

    @keepsToRegion.setter
    def keepsToRegion(self, value: bool) -> None:
        self.setParameter("KeepsToRegion", "true" if value else "")

    def parameter(self, name: str) -> str | None:
        """None where it has no value, or an empty one."""
        return self._text(name)

    def setParameter(self, name: str, value: str) -> None:
        if (self.parameter(name) or "") != value:
            self._madeNode().SetParameter(name, value)

    # -- sessions --------------------------------------------------------------------------------------------------

    def storedKeys(self) -> tuple[SegmentKey, ...]:
        """The sessions in the scene whose volume and segment are there too."""
        keys = (_keyOf(node) for node in self._sessionNodes())
        return tuple(key for key in keys if key is not None)

    def storeSession(self, key: SegmentKey, data: bytes) -> None:
        """Put a session into the scene, in the place of the one it holds for this key."""
        node = self._sessionNode(key) or self._newSessionNode(key)
        node.SetForceCreateStorageNode(slicer.vtkMRMLTextNode.CreateStorageNodeNever)
        node.SetText(base64.b64encode(data).decode("ascii"))

    def holds(self, key: SegmentKey) -> bool:
        """Whether the volume and the segment are in the scene."""
        segmentationNode = self._scene.GetNodeByID(key.segmentationId)
        return (
            self._scene.GetNodeByID(key.volumeId) is not None
            and segmentationNode is not None
            and segmentationNode.IsA("vtkMRMLSegmentationNode")
            and segmentationNode.GetSegmentation().GetSegment(key.segmentId) is not None
        )

    def sessionText(self, key: SegmentKey) -> str | None:
        """What `decodedSession` turns into the session's bytes; None where there is no session for this key."""
        node = self._sessionNode(key)
        return node.GetText() if node is not None else None

    def dropOrphans(self) -> None:
        """Remove the sessions whose volume or segment is gone."""
        for node in list(self._sessionNodes()):
            if _keyOf(node) is None:
                self._scene.RemoveNode(node)

    # -- nodes -----------------------------------------------------------------------------------------------------

    def _node(self) -> slicer.vtkMRMLScriptedModuleNode | None:
        return self._scene.GetSingletonNode(MODULE, "vtkMRMLScriptedModuleNode")

    def _madeNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        node = self._node()
        if node is not None:
            return node
        node = self._scene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        node.SetSingletonTag(MODULE)
        node.SetModuleName(MODULE)
        node.SetName(MODULE)
        return self._scene.AddNode(node)

    def _reference(self, role: str, className: str) -> slicer.vtkMRMLNode | None:
        node = self._node()
        referred = node.GetNodeReference(role) if node is not None else None
        return referred if referred is not None and referred.IsA(className) else None

    def _text(self, name: str) -> str | None:
        node = self._node()
        return (node.GetParameter(name) or None) if node is not None else None

    def _sessionNodes(self) -> Iterator[slicer.vtkMRMLTextNode]:
        for index in range(self._scene.GetNumberOfNodesByClass("vtkMRMLTextNode")):
            node = self._scene.GetNthNodeByClass(index, "vtkMRMLTextNode")
            if node.GetAttribute(_SEGMENT_ATTRIBUTE):
                yield node

    def _sessionNode(self, key: SegmentKey) -> slicer.vtkMRMLTextNode | None:
        return next((node for node in self._sessionNodes() if _keyOf(node) == key), None)

    def _newSessionNode(self, key: SegmentKey) -> slicer.vtkMRMLTextNode:
        node = self._scene.CreateNodeByClass("vtkMRMLTextNode")
        node.UnRegister(None)
        node.SetName(f"{MODULE} session")
        node.SetHideFromEditors(True)
        node.SetForceCreateStorageNode(slicer.vtkMRMLTextNode.CreateStorageNodeNever)
        self._scene.AddNode(node)
        node.SetNodeReferenceID(_VOLUME_ROLE, key.volumeId)
        node.SetNodeReferenceID(_SEGMENTATION_ROLE, key.segmentationId)
        node.SetAttribute(_SEGMENT_ATTRIBUTE, key.segmentId)
        return node


def decodedSession(text: str) -> bytes:
    """Raises FileError where the text is not what `SceneState.storeSession` wrote."""
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError) as error:
        raise FileError(
            "The session saved with the scene is damaged; the mask is kept, and new clicks start from it."
        ) from error


def _keyOf(node: slicer.vtkMRMLTextNode) -> SegmentKey | None:
    """None where the volume, segmentation or segment that the session belongs to is not in the scene."""
    volumeNode = node.GetNodeReference(_VOLUME_ROLE)
    segmentationNode = node.GetNodeReference(_SEGMENTATION_ROLE)
    segmentId = node.GetAttribute(_SEGMENT_ATTRIBUTE)
    if volumeNode is None or segmentationNode is None or not segmentId:
        return None
    if not volumeNode.IsA("vtkMRMLScalarVolumeNode") or not segmentationNode.IsA("vtkMRMLSegmentationNode"):
        return None
    if segmentationNode.GetSegmentation().GetSegment(segmentId) is None:
        return None
    return SegmentKey(volumeNode.GetID(), segmentationNode.GetID(), segmentId)
