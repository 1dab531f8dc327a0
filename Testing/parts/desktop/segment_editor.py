"""The Segment Editor's widget: a stand-in around the real editor logic, without buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
import vtk
from PySide6.QtCore import Signal

from .effect_host import Logic, qSlicerSegmentEditorEffectFactory, qSlicerSegmentEditorScriptedEffect
from .pythonqt import standIn

_INTERACTIONS = (
    "LeftButtonPressEvent", "LeftButtonReleaseEvent", "LeftButtonDoubleClickEvent", "RightButtonPressEvent",
    "RightButtonReleaseEvent", "MiddleButtonPressEvent", "MiddleButtonReleaseEvent", "MouseMoveEvent",
    "MouseWheelForwardEvent", "MouseWheelBackwardEvent", "KeyPressEvent", "KeyReleaseEvent", "EnterEvent", "LeaveEvent",
)  # fmt: skip


@standIn
class qMRMLSegmentEditorWidget(slicer.qMRMLWidget):
    """The editor without its buttons. Each effect of the factory has a clone here, as in Slicer."""

    signals = ("segmentationNodeChanged(vtkMRMLSegmentationNode*)", "sourceVolumeNodeChanged(vtkMRMLVolumeNode*)",
               "currentSegmentIDChanged(QString)")  # fmt: skip
    segmentationNodeChanged = Signal(object)
    sourceVolumeNodeChanged = Signal(object)
    currentSegmentIDChanged = Signal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        qt.QVBoxLayout(self)
        self._logic = Logic()
        self._logic.SetMaximumNumberOfUndoStates(10)
        self._effects: dict[str, qSlicerSegmentEditorScriptedEffect] = {}
        self._activeEffect: qSlicerSegmentEditorScriptedEffect | None = None
        self._viewObservations: list[tuple[vtk.vtkObject, int]] = []
        self._nodeObservations: list[tuple[vtk.vtkObject, int]] = []

    @property
    def logic(self) -> slicer.vtkSlicerSegmentEditorLogic:
        return self._logic

    # -- nodes -------------------------------------------------------------------------------------------------------

    def _onScene(self) -> None:
        self._logic.SetMRMLScene(self.mrmlScene())
        self.updateEffectList()

    def setMRMLSegmentEditorNode(self, node: slicer.vtkMRMLSegmentEditorNode | None) -> None:
        for caller, tag in self._nodeObservations:
            caller.RemoveObserver(tag)
        self._nodeObservations = []
        self.setActiveEffect(None)
        self._logic.SetSegmentEditorNode(node)
        if node is None:
            return
        parameterModified = slicer.vtkMRMLSegmentEditorNode.EffectParameterModified
        for event in (vtk.vtkCommand.ModifiedEvent, parameterModified):
            self._nodeObservations.append((node, node.AddObserver(event, self._onNodeModified)))
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        self._nodeObservations.append((interaction, interaction.AddObserver("ModifiedEvent", self._onInteractionMode)))
        for effect in self._effects.values():
            effect.call("setMRMLDefaults")

    def mrmlSegmentEditorNode(self) -> slicer.vtkMRMLSegmentEditorNode | None:
        return self._logic.GetSegmentEditorNode()

    def setSegmentationNode(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        """Its first segment is selected, and its reference volume becomes the source volume."""
        self._logic.SetSegmentationNode(node)
        if node is not None:
            reference = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
            if reference is not None:
                self.setSourceVolumeNode(reference)
            self._logic.SelectFirstSegment(False)
        self.segmentationNodeChanged.emit(node)
        self._tellEffects("referenceGeometryChanged")

    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        return self._logic.GetSegmentationNode()

    def setSourceVolumeNode(self, node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        if node is self.sourceVolumeNode():
            return
        self._logic.SetSourceVolumeNode(node)
        self.sourceVolumeNodeChanged.emit(node)
        self._tellEffects("sourceVolumeNodeChanged")

    def sourceVolumeNode(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        return self._logic.GetSourceVolumeNode()

    def setCurrentSegmentID(self, segmentId: str) -> None:
        self._logic.SetCurrentSegmentID(segmentId)
        self.currentSegmentIDChanged.emit(segmentId)

    def currentSegmentID(self) -> str:
        return self._logic.GetCurrentSegmentID()

    # -- effects -----------------------------------------------------------------------------------------------------

    def updateEffectList(self) -> None:
        """Clone the effects of the factory that are not here yet."""
        for effect in qSlicerSegmentEditorEffectFactory.instance().registeredEffects():
            if effect.name not in self._effects:
                clone = effect.clone()
                self._effects[clone.name] = clone
                clone.attach(self)

    def availableEffectNames(self) -> tuple[str, ...]:
        return tuple(self._effects)

    def effectByName(self, name: str) -> qSlicerSegmentEditorScriptedEffect | None:
        return self._effects.get(name)

    def activeEffect(self) -> qSlicerSegmentEditorScriptedEffect | None:
        return self._activeEffect

    def setActiveEffectByName(self, name: str) -> None:
        self.setActiveEffect(self._effects.get(name))

    def setActiveEffect(self, effect: qSlicerSegmentEditorScriptedEffect | None) -> None:
        if effect is self._activeEffect:
            return
        previous, self._activeEffect = self._activeEffect, effect
        if previous is not None:
            previous.deactivate()
        if self.mrmlSegmentEditorNode() is not None:
            self.mrmlSegmentEditorNode().SetActiveEffectName(effect.name if effect is not None else "")
        if effect is not None:
            interaction = slicer.app.applicationLogic().GetInteractionNode()
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)
            effect.activate()

    def cleanup(self) -> None:
        """What the destructor does: the effects disconnect and let their views go."""
        self.setActiveEffect(None)
        self.removeViewObservations()
        self.setMRMLSegmentEditorNode(None)
        for effect in self._effects.values():
            effect.call("cleanup")
        self._effects.clear()

    def _tellEffects(self, method: str, *arguments: Any) -> None:
        for effect in tuple(self._effects.values()):
            effect.call(method, *arguments)

    def _onNodeModified(self, *_: object) -> None:
        if self._activeEffect is not None:
            self._activeEffect.call("updateGUIFromMRML")

    def _onInteractionMode(self, interaction: slicer.vtkMRMLInteractionNode, _: str) -> None:
        """An effect that does not take care of it itself ends where another mode than viewing begins."""
        effect = self._activeEffect
        if effect is None:
            return
        if hasattr(effect.self(), "interactionNodeModified"):
            effect.call("interactionNodeModified", interaction)
        elif interaction.GetCurrentInteractionMode() != interaction.ViewTransform:
            self.setActiveEffect(None)

    # -- undo --------------------------------------------------------------------------------------------------------

    def saveStateForUndo(self) -> None:
        self._logic.SaveStateForUndo()

    def undo(self) -> None:
        self._logic.Undo()

    def redo(self) -> None:
        self._logic.Redo()

    def setMaximumNumberOfUndoStates(self, count: int) -> None:
        self._logic.SetMaximumNumberOfUndoStates(count)

    # -- views -------------------------------------------------------------------------------------------------------

    def setupViewObservations(self) -> None:
        """Hand what happens in the slice views to the active effect; what it takes, nobody else gets."""
        self.removeViewObservations()
        layoutManager = slicer.app.layoutManager()
        for name in layoutManager.sliceViewNames() if layoutManager is not None else ():
            widget = layoutManager.sliceWidget(name)
            for event in _INTERACTIONS:
                self._observe(widget.interactor(), event, self._interactionOf(widget))
            self._observe(widget.mrmlSliceNode(), "ModifiedEvent", self._viewChangeOf(widget))

    def removeViewObservations(self) -> None:
        for caller, tag in self._viewObservations:
            caller.RemoveObserver(tag)
        self._viewObservations = []

    def _observe(self, caller: vtk.vtkObject, event: str, react: Callable[..., None]) -> None:
        tags: list[int] = []
        tags.append(caller.AddObserver(event, lambda *arguments: react(tags[0], *arguments), 1.0))
        self._viewObservations.append((caller, tags[0]))

    def _interactionOf(self, widget: Any) -> Callable[..., None]:
        def react(tag: int, interactor: vtk.vtkRenderWindowInteractor, event: str) -> None:
            effect = self._activeEffect
            if effect is None or self.mrmlScene().IsClosing():
                return
            number = vtk.vtkCommand.GetEventIdFromString(event)
            if effect.call("processInteractionEvents", interactor, number, widget) is True:
                interactor.GetCommand(tag).SetAbortFlag(1)

        return react

    def _viewChangeOf(self, widget: Any) -> Callable[..., None]:
        def react(tag: int, node: slicer.vtkMRMLSliceNode, event: str) -> None:
            effect = self._activeEffect
            if effect is not None and not self.mrmlScene().IsClosing():
                effect.call("processViewNodeEvents", node, vtk.vtkCommand.ModifiedEvent, widget)

        return react


CLASSES = (qMRMLSegmentEditorWidget,)
