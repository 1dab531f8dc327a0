"""Stand-ins for Slicer's widgets that show MRML nodes: they work on the real scene."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import slicer
import vtk
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Signal

from .ctk_widgets import ctkCollapsibleButton, ctkDoubleSpinBox, ctkRangeWidget, ctkSliderWidget
from .pythonqt import attribute, setterOf, standIn


class Observed:
    """Observations of VTK objects by a widget, which end when the widget is destroyed."""

    def __init__(self, widget: QtWidgets.QWidget) -> None:
        self._made: list[tuple[vtk.vtkObject, int]] = []
        widget.destroyed.connect(self.end)

    def begin(self, caller: vtk.vtkObject | None, events: Iterable[int | str], react: Callable[..., None]) -> None:
        self.end()
        if caller is not None:
            self._made = [(caller, caller.AddObserver(event, react)) for event in events]

    def end(self, *_: object) -> None:
        for caller, tag in self._made:
            caller.RemoveObserver(tag)
        self._made = []


class WithScene:
    """What every widget of MRML has."""

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        return self.__dict__.get("_scene")

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Also for the widgets inside, as in Slicer's .ui files, where the outermost one passes its scene on."""
        if scene is self.mrmlScene():
            return
        self.__dict__["_scene"] = scene
        self._onScene()
        self.mrmlSceneChanged.emit(scene)
        for child in self.findChildren(QtWidgets.QWidget):
            if isinstance(child, WithScene):
                child.setMRMLScene(scene)

    def _onScene(self) -> None:
        """For subclasses."""


@standIn
class qMRMLWidget(WithScene, QtWidgets.QWidget):
    signals = ("mrmlSceneChanged(vtkMRMLScene*)",)
    mrmlSceneChanged = Signal(object)


@standIn
class qMRMLCollapsibleButton(WithScene, ctkCollapsibleButton):
    signals = ("mrmlSceneChanged(vtkMRMLScene*)",)
    mrmlSceneChanged = Signal(object)


@standIn
class qMRMLSliderWidget(WithScene, ctkSliderWidget):
    signals = ("mrmlSceneChanged(vtkMRMLScene*)",)
    mrmlSceneChanged = Signal(object)
    quantity = attribute(str, "quantity", "")


@standIn
class qMRMLSpinBox(WithScene, ctkDoubleSpinBox):
    signals = ("mrmlSceneChanged(vtkMRMLScene*)",)
    mrmlSceneChanged = Signal(object)
    quantity = attribute(str, "quantity", "")
    unitAwareProperties = attribute(int, "unitAwareProperties", 0)
    MinimumValue, MaximumValue, Precision = 1, 2, 4


@standIn
class qMRMLRangeWidget(WithScene, ctkRangeWidget):
    signals = ("mrmlSceneChanged(vtkMRMLScene*)",)
    mrmlSceneChanged = Signal(object)


@standIn
class qMRMLNodeComboBox(WithScene, QtWidgets.QWidget):
    """A list of the scene's nodes of some classes. Without "None" it always shows a node where there is one."""

    signals = (
        "mrmlSceneChanged(vtkMRMLScene*)", "currentNodeChanged(vtkMRMLNode*)", "currentNodeChanged(bool)",
        "currentNodeIDChanged(QString)", "nodeAddedByUser(vtkMRMLNode*)", "nodeAdded(vtkMRMLNode*)",
        "nodeActivated(vtkMRMLNode*)", "nodeAboutToBeRemoved(vtkMRMLNode*)",
    )  # fmt: skip
    mrmlSceneChanged = Signal(object)
    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeAddedByUser = Signal(object)
    nodeAdded = Signal(object)
    nodeActivated = Signal(object)
    nodeAboutToBeRemoved = Signal(object)
    addEnabled = attribute(bool, "addEnabled", True)
    removeEnabled = attribute(bool, "removeEnabled", True)
    renameEnabled = attribute(bool, "renameEnabled", False)
    editEnabled = attribute(bool, "editEnabled", False)
    selectNodeUponCreation = attribute(bool, "selectNodeUponCreation", True)
    showChildNodeTypes = attribute(bool, "showChildNodeTypes", True)
    baseName = attribute(str, "baseName", "")
    noneDisplay = attribute(str, "noneDisplay", "None")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._nodeTypes: list[str] = []
        self._noneEnabled = False
        self._showHidden = False
        self._currentId = ""
        self._hasReacted = True
        self._box = QtWidgets.QComboBox(self)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._box)
        self._box.activated.connect(self._onChosen)
        self._observed = Observed(self)

    @QtCore.Property("QStringList")
    def nodeTypes(self) -> list[str]:
        return self._nodeTypes

    @nodeTypes.setter
    def nodeTypes(self, names: Iterable[str]) -> None:
        self._nodeTypes = list(names)
        self._fill()

    @QtCore.Property(bool)
    def noneEnabled(self) -> bool:
        return self._noneEnabled

    @noneEnabled.setter
    def noneEnabled(self, value: bool) -> None:
        self._noneEnabled = value
        self._fill()

    @QtCore.Property(bool)
    def showHidden(self) -> bool:
        return self._showHidden

    @showHidden.setter
    def showHidden(self, value: bool) -> None:
        self._showHidden = value
        self._fill()

    @QtCore.Property(str)
    def currentNodeID(self) -> str:
        return self._currentId

    @currentNodeID.setter
    def currentNodeID(self, nodeId: str) -> None:
        self.setCurrentNode(nodeId)

    setCurrentNodeID = setterOf("currentNodeID")

    def setCurrentNode(self, node: slicer.vtkMRMLNode | str | None) -> None:
        """Nothing where the list does not have the node."""
        nodeId = node if isinstance(node, str) else node.GetID() if node is not None else ""
        if nodeId and nodeId not in [each.GetID() for each in self.nodes()]:
            return
        if not nodeId and not self._noneEnabled and self.nodes():
            nodeId = self.nodes()[0].GetID()
        if nodeId != self._currentId:
            self._currentId = nodeId
            self._show()
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(nodeId)

    def currentNode(self) -> slicer.vtkMRMLNode | None:
        scene = self.mrmlScene()
        return scene.GetNodeByID(self._currentId) if scene is not None and self._currentId else None

    def nodes(self) -> list[slicer.vtkMRMLNode]:
        scene = self.mrmlScene()
        found = []
        for name in self._nodeTypes if scene is not None else ():
            for node in slicer.util.getNodesByClass(name, scene):
                isOfType = self.showChildNodeTypes or node.GetClassName() == name
                if isOfType and (self._showHidden or not node.GetHideFromEditors()) and node not in found:
                    found.append(node)
        return found

    def nodeCount(self) -> int:
        return len(self.nodes())

    def nodeFromIndex(self, index: int) -> slicer.vtkMRMLNode | None:
        return self.nodes()[index] if 0 <= index < len(self.nodes()) else None

    def setCurrentNodeIndex(self, index: int) -> None:
        self.setCurrentNode(self.nodeFromIndex(index))

    def addNode(self, className: str = "") -> slicer.vtkMRMLNode:
        """What the menu's "Create new" does."""
        node = self.mrmlScene().AddNewNodeByClass(className or self._nodeTypes[0], self.baseName)
        self.nodeAddedByUser.emit(node)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        return node

    def removeCurrentNode(self) -> None:
        if self.currentNode() is not None:
            self.mrmlScene().RemoveNode(self.currentNode())

    def _onScene(self) -> None:
        scene = self.mrmlScene()
        events = ("NodeAddedEvent", "NodeRemovedEvent", "EndBatchProcessEvent")
        self._observed.begin(scene, [getattr(slicer.vtkMRMLScene, name) for name in events], self._onSceneChanged)
        self._fill()

    def _onSceneChanged(self, scene: slicer.vtkMRMLScene, event: str) -> None:
        if not scene.IsBatchProcessing():
            self._fill()

    def _fill(self) -> None:
        """List the nodes again, and keep the current one where it is still there."""
        ids = [node.GetID() for node in self.nodes()]
        if self._currentId not in ids:
            first = ids[0] if ids and not self._noneEnabled else ""
            changed = first != self._currentId
            self._currentId = first
            if changed:
                self.currentNodeChanged.emit(self.currentNode())
                self.currentNodeIDChanged.emit(self._currentId)
        self._show()

    def _show(self) -> None:
        self._box.clear()
        if self._noneEnabled or not self.nodes():
            self._box.addItem(self.noneDisplay, "")
        for node in self.nodes():
            self._box.addItem(node.GetName(), node.GetID())
        self._box.currentIndex = max(self._box.findData(self._currentId), 0)

    def _onChosen(self, index: int) -> None:
        self.setCurrentNode(self._box.itemData(index))
        self.nodeActivated.emit(self.currentNode())


@standIn
class qMRMLSubjectHierarchyComboBox(WithScene, QtWidgets.QWidget):
    """Items of the subject hierarchy by number; here those that have a node of the classes asked for."""

    signals = ("mrmlSceneChanged(vtkMRMLScene*)", "currentItemChanged(vtkIdType)")
    mrmlSceneChanged = Signal(object)
    currentItemChanged = Signal(int)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._item = 0

    def currentItem(self) -> int:
        return self._item

    def setCurrentItem(self, item: int) -> None:
        if item != self._item:
            self._item = item
            self.currentItemChanged.emit(item)

    def clearSelection(self) -> None:
        self.setCurrentItem(0)


CLASSES = (
    qMRMLWidget, qMRMLCollapsibleButton, qMRMLSliderWidget, qMRMLSpinBox, qMRMLRangeWidget, qMRMLNodeComboBox,
    qMRMLSubjectHierarchyComboBox,
)  # fmt: skip
