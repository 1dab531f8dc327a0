"""What the sections of the panel share: the scene, its controller, what is saved with it, and what they all do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import slicer

from memseg.errors import SessionError
from memseg.geometry import Grid
from memseg.prompts import Prompt
from MemSegSlicerLib import SceneBridge, SegmentNames, SliceNodes
from MemSegSlicerLib.Collected import Collected
from MemSegSlicerLib.PanelState import PanelState
from MemSegSlicerLib.PromptTools import Placed
from MemSegSlicerLib.SceneState import SceneState, SegmentKey
from MemSegSlicerLib.Strokes import CLICK, Stroke, promptOf

from .Desk import Desk

_NO_IMAGE = "There is no image to segment; load one, or choose it under Volume."


@dataclass(frozen=True)
class _Place:
    grid: Grid


class Workbench:
    """Every method raises MemSegError with what to do."""

    def __init__(self, desk: Desk, scene: slicer.vtkMRMLScene, changed: Callable[[], None]) -> None:
        """changed: called after what the controller does not tell of: choices, and prompts that wait."""
        self.scene = scene
        self.changed = changed
        self.desk = desk
        self.controller = desk.controller
        self.notices = desk.notices
        self.sceneState = SceneState(scene)
        self.state = PanelState(self.sceneState)
        self.collected = Collected(self.sceneState)

    # -- where --------------------------------------------------------------------------------------------------------

    def image(self) -> Placed:
        """Where the image is; its voxels are the worker's to look at."""
        return _Place(self.grid())

    def grid(self) -> Grid:
        if self.controller.volumeNode is None:
            raise SessionError(_NO_IMAGE)
        return SceneBridge.gridOf(self.controller.volumeNode)

    def key(self) -> SegmentKey | None:
        controller = self.controller
        if controller.volumeNode is None or controller.segmentationNode is None or controller.segmentId is None:
            return None
        key = SegmentKey(controller.volumeNode.GetID(), controller.segmentationNode.GetID(), controller.segmentId)
        return key if self.sceneState.holds(key) else None

    def jumpTo(self, pointRas: tuple[float, float, float]) -> None:
        SliceNodes.jumpTo(self.scene, pointRas)

    # -- segments -----------------------------------------------------------------------------------------------------

    def chooseVolume(self, node: slicer.vtkMRMLVolumeNode | None) -> None:
        if node is not self.controller.volumeNode:
            self.leave()
            self.controller.setVolume(node)

    def chooseSegmentation(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        if node is not self.controller.segmentationNode:
            if node is not None:
                node.CreateDefaultDisplayNodes()  # the selector makes them without
            ids = node.GetSegmentation().GetSegmentIDs() if node is not None else ()
            self.chooseSegment(node, ids[0] if ids else None)

    def chooseSegment(self, node: slicer.vtkMRMLSegmentationNode | None, segmentId: str | None) -> None:
        if (node, segmentId) != (self.controller.segmentationNode, self.controller.segmentId):
            self.leave()
            self.controller.setSegment(node, segmentId)

    def ensureSegment(self) -> None:
        """A segment to put the next prompt into."""
        self.grid()
        if self.key() is None:
            self.addSegment()

    def addSegment(self, name: str = "") -> None:
        """One more, in a new segmentation where there is none."""
        self.grid()
        node, volumeNode = self.controller.segmentationNode, self.controller.volumeNode
        if node is None:
            node = SceneBridge.newSegmentation(self.scene, volumeNode, f"{volumeNode.GetName()} segmentation")
        segmentation = node.GetSegmentation()
        taken = {segmentation.GetSegment(each).GetName() for each in segmentation.GetSegmentIDs()}
        name = name or SegmentNames.nextName("Segment_0", taken)
        self.chooseSegment(node, SceneBridge.addSegment(node, name))

    def removeSegment(self) -> None:
        """The chosen one; its neighbour is chosen then."""
        key = self.key()
        if key is None:
            raise SessionError("There is no segment to remove; choose one first.")
        segmentation = self.controller.segmentationNode.GetSegmentation()
        place = list(segmentation.GetSegmentIDs()).index(key.segmentId)
        segmentation.RemoveSegment(key.segmentId)
        left = segmentation.GetSegmentIDs()
        node = self.controller.segmentationNode
        self.controller.setSegment(node, left[min(place, len(left) - 1)] if left else None)

    def leave(self) -> None:
        """The user goes on to another segment or image, or saves this one."""
        if self.state.remembersByItself and self.key() is not None:
            self.controller.rememberIfNew()

    # -- prompts ------------------------------------------------------------------------------------------------------

    def draw(self, tool: str, stroke: Stroke) -> None:
        """A stroke that was drawn with one of the prompt tools."""
        prompt = promptOf(self.image(), tool, stroke, self.state.brushMm, self.state.boxDepthMm)
        if self.state.manyLesions and tool == CLICK and stroke.positive:
            self._startLesion()
        self.ask(prompt)

    def ask(self, prompt: Prompt) -> None:
        """Answer the prompt now, or when what is collected is run."""
        self.ensureSegment()
        if self.state.isLive:
            self.controller.add(prompt)
        else:
            self.collected.add(self.key(), prompt)
            self.changed()

    def runCollected(self) -> None:
        key = self.key()
        prompts = self.collected.take(key) if key is not None else ()
        if not prompts:
            raise SessionError("No prompt is waiting; draw some first, or choose to see each at once.")
        for prompt in prompts:
            self.controller.add(prompt)
        self.changed()

    def _startLesion(self) -> None:
        """A segment of its own for the next click, unless the chosen one is still untouched."""
        self.ensureSegment()
        state, key = self.controller.state, self.key()
        if not (state.prompts or state.voxels or state.busy or self.collected.of(key) or self._holdsVoxels()):
            return
        segmentation = self.controller.segmentationNode.GetSegmentation()
        taken = {segmentation.GetSegment(each).GetName() for each in segmentation.GetSegmentIDs()}
        self.addSegment(SegmentNames.nextName(segmentation.GetSegment(key.segmentId).GetName(), taken))

    def _holdsVoxels(self) -> bool:
        """Of the chosen segment, also where it was made elsewhere."""
        controller = self.controller
        held = SceneBridge.readSegment(controller.segmentationNode, controller.segmentId, controller.volumeNode)
        return bool((held.values == held.label).any())
