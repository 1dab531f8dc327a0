"""Puts what a session changed into the segment by way of the Segment Editor."""

from __future__ import annotations

from typing import Any

import slicer

from MemSegSlicerLib import SceneBridge
from MemSegSlicerLib.Propagation import Propagation
from MemSegSlicerLib.Record import Action
from MemSegSlicerLib.SessionJob import Outcome
from MemSegSlicerLib.Target import Target
from MemSegSlicerLib.Writers import SceneWriter


class EditorWriter(SceneWriter):
    """The editor's masks, overwrite mode and undo hold: what they keep back, the session is told (`write` answers
    False); which step of the session a segment shows is noted on it, so that the editor's undo brings back both.

    scriptedEffect: the active effect. A segment that is not the editor's is written as without an editor.
    """

    editsWin = True

    def __init__(self, scriptedEffect: Any) -> None:
        self._effect = scriptedEffect
        self._run: Propagation | None = None  # whose slices belong to the state saved last

    def write(self, action: Action, outcome: Outcome) -> bool:
        target, change = action.record.target, outcome.change
        if not self._isEdited(target):
            return super().write(action, outcome)
        geometry = self._effect.referenceGeometryImage()
        parts = SceneBridge.modifiers(target.segmentationNode, target.volumeNode, change, geometry)
        before, after = outcome.steps
        if action.run is None or action.run is not self._run:
            SceneBridge.noteStep(target.segment, before if action.run is None else after - 1)
            self._effect.saveStateForUndo()
            self._run = action.run
        modes = slicer.qSlicerSegmentEditorAbstractEffect
        for labelmap, mode in zip(parts, (modes.ModificationModeAdd, modes.ModificationModeRemove)):
            if labelmap is not None:
                self._effect.modifySelectedSegmentByLabelmap(labelmap, mode)
        SceneBridge.noteStep(target.segment, after)
        return target.became(change)

    def _isEdited(self, target: Target) -> bool:
        node = self._effect.parameterSetNode()
        isSegmentation = node is not None and node.GetSegmentationNode() is target.segmentationNode
        return isSegmentation and node.GetSelectedSegmentID() == target.key.segmentId
