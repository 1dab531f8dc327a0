"""What hosts a scripted effect of the Segment Editor: a stand-in around the real editor logic."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
import vtk

from .pythonqt import standIn

if TYPE_CHECKING:
    from .segment_editor import qMRMLSegmentEditorWidget

Logic = slicer.vtkSlicerSegmentEditorLogic
_NO_EXTENT = (0, -1, 0, -1, 0, -1)


class AbstractScriptedSegmentEditorEffect:
    """What scripted effects derive from; scriptedEffect is the host."""

    def __init__(self, scriptedEffect: Any) -> None:
        self.scriptedEffect = scriptedEffect

    def register(self) -> None:
        slicer.qSlicerSegmentEditorEffectFactory.instance().registerEffect(self.scriptedEffect)

    def cleanup(self) -> None:
        """Overridden by effects."""

    def xyToRas(self, xy: Sequence[int], viewWidget: Any) -> list[float]:
        ras = self.scriptedEffect.xyToRas(qt.QPoint(int(xy[0]), int(xy[1])), viewWidget)
        return [ras.x(), ras.y(), ras.z()]

    def rasToXy(self, ras: Sequence[float], viewWidget: Any) -> list[int]:
        xy = self.scriptedEffect.rasToXy(qt.QVector3D(*ras), viewWidget)
        return [xy.x(), xy.y()]


class qSlicerSegmentEditorAbstractEffect(qt.QObject):
    """modes and answers as C++ counts them."""

    ModificationModeSet = Logic.ModificationModeSet
    ModificationModeAdd = Logic.ModificationModeAdd
    ModificationModeRemove = Logic.ModificationModeRemove
    ModificationModeRemoveAll = Logic.ModificationModeRemoveAll
    NotConfirmed, ConfirmedWithoutDialog, ConfirmedWithDialog = range(3)


@standIn
class qSlicerSegmentEditorScriptedEffect(qSlicerSegmentEditorAbstractEffect):
    """Hosts one effect class. Parameters are attributes of the editor node, "Effect.parameter"."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._name, self._title = "UnnamedScriptedEffect", ""
        self._flags = {"perSegment": True, "requireSegments": True, "showEffectCursorInSliceView": True,
                       "showEffectCursorInThreeDView": False}  # fmt: skip
        self._python: Any = None
        self._source = ""
        self._editor: qMRMLSegmentEditorWidget | None = None
        self._active = False
        self._undoStates = 0
        self._frame = qt.QFrame()
        qt.QFormLayout(self._frame)

    name = property(lambda self: self._name, lambda self, value: setattr(self, "_name", value))
    title = property(lambda self: self._title or self._name, lambda self, value: setattr(self, "_title", value))

    for _flag in ("perSegment", "requireSegments", "showEffectCursorInSliceView", "showEffectCursorInThreeDView"):
        locals()[_flag] = property(
            lambda self, _flag=_flag: self._flags[_flag],
            lambda self, value, _flag=_flag: self._flags.__setitem__(_flag, value),
        )

    # -- the effect's class ------------------------------------------------------------------------------------------

    def setPythonSource(self, source: str) -> bool:
        """The folder names the module, the file names the class: taken from the module where that is imported and has
        it, otherwise from the file, which then becomes the module."""
        path = Path(source)
        moduleName = path.parent.name
        className = path.stem if path.stem.endswith("Effect") else f"{path.stem}Effect"
        module = sys.modules.setdefault(moduleName, types.ModuleType(moduleName))
        if not hasattr(module, className):
            spec = importlib.util.spec_from_file_location(moduleName, path)
            module = sys.modules[moduleName] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        if not hasattr(module, className):
            raise RuntimeError(f"class {className} was not found in {source}")
        self._python = getattr(module, className)(self)
        self._source = source
        setattr(slicer, moduleName, self._python)
        return True

    def pythonSource(self) -> str:
        return self._source

    def self(self) -> Any:
        return self._python

    def call(self, method: str, *arguments: Any) -> Any:
        """What C++ calls on the effect. It need not have the method, and what it raises stops nobody."""
        if not hasattr(self._python, method):
            return None
        try:
            return getattr(self._python, method)(*arguments)
        except Exception:
            sys.excepthook(*sys.exc_info())
            return None

    def clone(self) -> Any:
        return self._python.clone()

    def icon(self) -> Any:
        return self.call("icon") or qt.QIcon()

    def helpText(self) -> str:
        return self.call("helpText") or ""

    def active(self) -> bool:
        return self._active

    # -- called by the editor ----------------------------------------------------------------------------------------

    def attach(self, editor: qMRMLSegmentEditorWidget) -> None:
        self._editor = editor
        self._frame.setParent(editor)
        editor.layout().addWidget(self._frame)
        self._frame.hide()
        self.call("setupOptionsFrame")

    def activate(self) -> None:
        self._frame.setVisible(True)
        self._active = True
        self.call("updateGUIFromMRML")
        self.call("activate")

    def deactivate(self) -> None:
        self._frame.setVisible(False)
        self._active = False
        self.call("deactivate")

    # -- parameters --------------------------------------------------------------------------------------------------

    def parameterSetNode(self) -> slicer.vtkMRMLSegmentEditorNode | None:
        return self._editor.mrmlSegmentEditorNode() if self._editor is not None else None

    def scene(self) -> slicer.vtkMRMLScene | None:
        node = self.parameterSetNode()
        return node.GetScene() if node is not None else None

    def parameterDefined(self, name: str) -> bool:
        return self.commonParameterDefined(f"{self.name}.{name}")

    def commonParameterDefined(self, name: str) -> bool:
        node = self.parameterSetNode()
        return node is not None and bool(node.GetAttribute(name))

    def parameter(self, name: str) -> str:
        """Raises LookupError for one that was never set to anything, where C++ writes an error to the log."""
        node = self.parameterSetNode()
        if node is None:
            return ""
        value = node.GetAttribute(f"{self.name}.{name}") or node.GetAttribute(name)
        if value is None:
            raise LookupError(f"Parameter named {name} cannot be found for effect {self.name}")
        return value

    def integerParameter(self, name: str) -> int:
        return int(self.parameter(name)) if self.parameterSetNode() is not None else 0

    def doubleParameter(self, name: str) -> float:
        return float(self.parameter(name)) if self.parameterSetNode() is not None else 0.0

    def nodeReference(self, name: str) -> slicer.vtkMRMLNode | None:
        return self.parameterSetNode().GetNodeReference(f"{self.name}.{name}")

    def setNodeReference(self, name: str, node: slicer.vtkMRMLNode | None) -> None:
        self.parameterSetNode().SetNodeReferenceID(f"{self.name}.{name}", node.GetID() if node is not None else None)

    def setParameter(self, name: str, value: str | float) -> None:
        self.setCommonParameter(f"{self.name}.{name}", value)

    def setParameterDefault(self, name: str, value: str | float) -> None:
        if not self.parameterDefined(name):
            self.setParameter(name, value)

    def setCommonParameter(self, name: str, value: str | float) -> None:
        """Tells of a change by EffectParameterModified only."""
        node = self.parameterSetNode()
        if node is None or (node.GetAttribute(name) or "") == str(value):
            return
        disabled = node.GetDisableModifiedEvent()
        node.SetDisableModifiedEvent(1)
        node.SetAttribute(name, str(value))
        node.SetDisableModifiedEvent(disabled)
        node.InvokeCustomModifiedEvent(slicer.vtkMRMLSegmentEditorNode.EffectParameterModified)

    def setCommonParameterDefault(self, name: str, value: str | float) -> None:
        if not self.commonParameterDefined(name):
            self.setCommonParameter(name, value)

    def updateGUIFromMRML(self) -> None:
        self.call("updateGUIFromMRML")

    def updateMRMLFromGUI(self) -> None:
        self.call("updateMRMLFromGUI")

    # -- options -----------------------------------------------------------------------------------------------------

    def optionsFrame(self) -> Any:
        return self._frame

    def addOptionsWidget(self, widget: Any) -> None:
        self._frame.layout().addRow(widget)

    def addLabeledOptionsWidget(self, label: str, widget: Any) -> Any:
        labelWidget = qt.QLabel(label)
        self._frame.layout().addRow(labelWidget, widget)
        return labelWidget

    # -- editing -----------------------------------------------------------------------------------------------------

    def saveStateForUndo(self) -> None:
        self._editor.saveStateForUndo()

    def defaultModifierLabelmap(self) -> slicer.vtkOrientedImageData | None:
        logic = self._editor.logic
        return logic.GetModifierLabelmap() if logic.ResetModifierLabelmapToDefault() else None

    def modifierLabelmap(self) -> slicer.vtkOrientedImageData:
        return self._editor.logic.GetModifierLabelmap()

    def maskLabelmap(self) -> slicer.vtkOrientedImageData | None:
        logic = self._editor.logic
        return logic.GetMaskLabelmap() if logic.UpdateMaskLabelmap() else None

    def sourceVolumeImageData(self) -> slicer.vtkOrientedImageData | None:
        logic = self._editor.logic
        return logic.GetAlignedSourceVolume() if logic.UpdateAlignedSourceVolume() else None

    def selectedSegmentLabelmap(self) -> slicer.vtkOrientedImageData | None:
        logic = self._editor.logic
        return logic.GetSelectedSegmentLabelmap() if logic.UpdateSelectedSegmentLabelmap() else None

    def referenceGeometryImage(self) -> slicer.vtkOrientedImageData | None:
        logic = self._editor.logic
        return logic.GetReferenceGeometryImage() if logic.UpdateReferenceGeometryImage() else None

    def modifySelectedSegmentByLabelmap(
        self,
        labelmap: slicer.vtkOrientedImageData,
        mode: int,
        extentOrBypass: Sequence[int] | bool = _NO_EXTENT,
        bypassMasking: bool = False,
    ) -> None:
        node = self.parameterSetNode()
        self.modifySegmentByLabelmap(
            node.GetSegmentationNode(), node.GetSelectedSegmentID() or "", labelmap, mode, extentOrBypass, bypassMasking
        )

    def modifySegmentByLabelmap(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        segmentId: str,
        labelmap: slicer.vtkOrientedImageData,
        mode: int,
        extentOrBypass: Sequence[int] | bool = _NO_EXTENT,
        bypassMasking: bool = False,
    ) -> None:
        """Honours editable area, intensity range and overwrite mode, as the editor's logic does."""
        if isinstance(extentOrBypass, bool):
            extentOrBypass, bypassMasking = _NO_EXTENT, extentOrBypass
        self._editor.logic.ModifySegmentByLabelmap(
            segmentationNode, segmentId, labelmap, mode, list(extentOrBypass), self.perSegment, bypassMasking
        )

    def confirmCurrentSegmentVisible(self) -> int:
        return self.ConfirmedWithoutDialog

    def selectEffect(self, name: str) -> None:
        self._editor.setActiveEffectByName(name)

    # -- views -------------------------------------------------------------------------------------------------------

    def viewNode(self, viewWidget: Any) -> slicer.vtkMRMLAbstractViewNode:
        return viewWidget.mrmlSliceNode()

    def renderWindow(self, viewWidget: Any) -> vtk.vtkRenderWindow:
        return viewWidget.sliceView().renderWindow()

    def renderer(self, viewWidget: Any) -> vtk.vtkRenderer:
        return self.renderWindow(viewWidget).GetRenderers().GetItemAsObject(0)

    def addActor2D(self, viewWidget: Any, actor: vtk.vtkActor2D) -> None:
        self.renderer(viewWidget).AddViewProp(actor)

    def removeActor2D(self, viewWidget: Any, actor: vtk.vtkActor2D) -> None:
        self.renderer(viewWidget).RemoveViewProp(actor)

    def scheduleRender(self, viewWidget: Any) -> None:
        viewWidget.sliceView().scheduleRender()

    def forceRender(self, viewWidget: Any) -> None:
        viewWidget.sliceView().forceRender()

    def xyToRas(self, xy: Any, viewWidget: Any) -> Any:
        return self.xyzToRas(qt.QVector3D(xy.x(), xy.y(), 0), viewWidget)

    def xyzToRas(self, xyz: Any, viewWidget: Any) -> Any:
        toRas = viewWidget.mrmlSliceNode().GetXYToRAS()
        return qt.QVector3D(*toRas.MultiplyPoint((xyz.x(), xyz.y(), xyz.z(), 1))[:3])

    def rasToXy(self, ras: Any, viewWidget: Any) -> Any:
        """Whole pixels, cut off, as in C++."""
        toXy = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(viewWidget.mrmlSliceNode().GetXYToRAS(), toXy)
        x, y = toXy.MultiplyPoint((ras.x(), ras.y(), ras.z(), 1))[:2]
        return qt.QPoint(int(x), int(y))


class qSlicerSegmentEditorEffectFactory(qt.QObject):
    """The effects that new editors offer."""

    _instance: qSlicerSegmentEditorEffectFactory | None = None

    @classmethod
    def instance(cls) -> qSlicerSegmentEditorEffectFactory:
        cls._instance = cls._instance or cls()
        return cls._instance

    def __init__(self) -> None:
        super().__init__()
        self._effects: list[qSlicerSegmentEditorScriptedEffect] = []

    def registerEffect(self, effect: qSlicerSegmentEditorScriptedEffect) -> bool:
        if effect.name in [each.name for each in self._effects]:
            return False
        self._effects.append(effect)
        return True

    def registeredEffects(self) -> tuple[qSlicerSegmentEditorScriptedEffect, ...]:
        return tuple(self._effects)

    def forget(self, name: str) -> None:
        """Not in Slicer: for the next test."""
        self._effects = [each for each in self._effects if each.name != name]


CLASSES = (
    qSlicerSegmentEditorAbstractEffect,
    qSlicerSegmentEditorScriptedEffect,
    qSlicerSegmentEditorEffectFactory,
)


def install() -> None:
    """Where effects import their base and their host from."""
    bases = types.ModuleType("SegmentEditorEffects")
    bases.AbstractScriptedSegmentEditorEffect = AbstractScriptedSegmentEditorEffect
    bases.__all__ = ["AbstractScriptedSegmentEditorEffect"]
    hosts = types.ModuleType("qSlicerSegmentationsEditorEffectsPythonQt")
    hosts.qSlicerSegmentEditorScriptedEffect = qSlicerSegmentEditorScriptedEffect
    sys.modules.update({module.__name__: module for module in (bases, hosts)})
