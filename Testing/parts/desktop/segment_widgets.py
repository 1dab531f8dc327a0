"""Stand-ins for Slicer's widgets that show segments, and for the one that places markups; on the real scene."""

from __future__ import annotations

from collections.abc import Iterable

import slicer
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Signal

from .mrml_widgets import Observed, WithScene, qMRMLNodeComboBox
from .pythonqt import attribute, setterOf, standIn


@standIn
class qMRMLSegmentSelectorWidget(qMRMLNodeComboBox):
    """A segmentation and one of its segments."""

    signals = ("currentSegmentChanged(QString)", "segmentSelectionChanged(QStringList)")
    currentSegmentChanged = Signal(str)
    segmentSelectionChanged = Signal("QStringList")
    segmentNodeSelectorVisible = attribute(bool, "segmentNodeSelectorVisible", True)
    selectNodeUponCreation = attribute(bool, "selectNodeUponCreation", True)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.nodeTypes = ["vtkMRMLSegmentationNode"]
        self._segmentId = ""
        self._segments = QtWidgets.QComboBox(self)
        self.layout().addWidget(self._segments)
        self._segments.activated.connect(lambda index: self.setCurrentSegmentID(self._segments.itemData(index)))
        self._watched = Observed(self)
        self.currentNodeChanged.connect(self._onSegmentation)

    def currentSegmentID(self) -> str:
        return self._segmentId

    def setCurrentSegmentID(self, segmentId: str) -> None:
        if segmentId != self._segmentId:
            self._segmentId = segmentId
            self._segments.currentIndex = max(self._segments.findData(segmentId), 0)
            self.currentSegmentChanged.emit(segmentId)

    def _onSegmentation(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        segmentation = node.GetSegmentation() if node is not None else None
        self._watched.begin(segmentation, SEGMENT_EVENTS, lambda *_: self._fillSegments())
        self._fillSegments()

    def _fillSegments(self) -> None:
        node = self.currentNode()
        self._segments.clear()
        ids = list(node.GetSegmentation().GetSegmentIDs()) if node is not None else []
        for segmentId in ids:
            self._segments.addItem(node.GetSegmentation().GetSegment(segmentId).GetName(), segmentId)
        if self._segmentId not in ids:
            self.setCurrentSegmentID(ids[0] if ids else "")


SEGMENT_EVENTS = (
    slicer.vtkSegmentation.SegmentAdded,
    slicer.vtkSegmentation.SegmentRemoved,
    slicer.vtkSegmentation.SegmentModified,
    slicer.vtkSegmentation.SegmentsOrderModified,
)


@standIn
class qMRMLSegmentsTableView(WithScene, QtWidgets.QWidget):
    """The segments of a segmentation, a row each: shown or not, colour, name."""

    signals = (
        "mrmlSceneChanged(vtkMRMLScene*)",
        "selectionChanged(QItemSelection,QItemSelection)",
        "segmentAboutToBeModified(QString)",
    )
    mrmlSceneChanged = Signal(object)
    selectionChanged = Signal(object, object)
    segmentAboutToBeModified = Signal(str)
    readOnly = attribute(bool, "readOnly", False)
    headerVisible = attribute(bool, "headerVisible", True)
    visibilityColumnVisible = attribute(bool, "visibilityColumnVisible", True)
    colorColumnVisible = attribute(bool, "colorColumnVisible", True)
    opacityColumnVisible = attribute(bool, "opacityColumnVisible", False)
    statusColumnVisible = attribute(bool, "statusColumnVisible", False)
    layerColumnVisible = attribute(bool, "layerColumnVisible", False)
    filterBarVisible = attribute(bool, "filterBarVisible", False)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._node: slicer.vtkMRMLSegmentationNode | None = None
        self._table = QtWidgets.QTableWidget(0, 3, self)
        self._table.setHorizontalHeaderLabels(["", "", "Name"])
        self._table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        self._table.horizontalHeader().setStretchLastSection(True)
        self._table.verticalHeader().hide()
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._table)
        self._observed = Observed(self)
        self._table.selectionModel().selectionChanged.connect(lambda *both: self.selectionChanged.emit(*both))
        self._table.itemChanged.connect(self._onEdited)

    def setSelectionMode(self, mode: QtWidgets.QAbstractItemView.SelectionMode) -> None:
        self._table.setSelectionMode(mode)

    def tableWidget(self) -> QtWidgets.QTableWidget:
        return self._table

    def setHeaderVisible(self, visible: bool) -> None:
        self._table.horizontalHeader().setVisible(visible)

    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        return self._node

    def setSegmentationNode(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        if node is self._node:
            return
        self._node = node
        segmentation = node.GetSegmentation() if node is not None else None
        self._observed.begin(segmentation, SEGMENT_EVENTS, lambda *_: self._fill())
        self._fill()

    def segmentCount(self) -> int:
        return self._table.rowCount

    def rowForSegmentID(self, segmentId: str) -> int:
        rows = range(self._table.rowCount)
        return next((row for row in rows if self.segmentIDForRow(row) == segmentId), -1)

    def segmentIDForRow(self, row: int) -> str:
        return self._table.item(row, 2).data(QtCore.Qt.UserRole)

    def selectedSegmentIDs(self) -> tuple[str, ...]:
        return tuple(self.segmentIDForRow(index.row()) for index in self._table.selectionModel().selectedRows())

    def setSelectedSegmentIDs(self, segmentIds: Iterable[str]) -> None:
        wanted = set(segmentIds)
        if set(self.selectedSegmentIDs()) == wanted:
            return
        self._table.clearSelection()
        for row in range(self._table.rowCount):
            if self.segmentIDForRow(row) in wanted:
                self._table.selectRow(row)

    def clearSelection(self) -> None:
        self._table.clearSelection()

    def _fill(self) -> None:
        selected = self.selectedSegmentIDs() if self._table.rowCount else ()
        self._table.blockSignals(True)
        segmentation = self._node.GetSegmentation() if self._node is not None else None
        ids = list(segmentation.GetSegmentIDs()) if segmentation is not None else []
        self._table.rowCount = len(ids)
        for row, segmentId in enumerate(ids):
            segment = segmentation.GetSegment(segmentId)
            display = self._node.GetDisplayNode()
            shown = QtWidgets.QTableWidgetItem()
            isShown = display is None or display.GetSegmentVisibility(segmentId)
            shown.setCheckState(QtCore.Qt.Checked if isShown else QtCore.Qt.Unchecked)
            colour = QtWidgets.QTableWidgetItem()
            colour.setBackground(QtGui.QColor.fromRgbF(*segment.GetColor()))
            name = QtWidgets.QTableWidgetItem(segment.GetName())
            name.setData(QtCore.Qt.UserRole, segmentId)
            for column, item in enumerate((shown, colour, name)):
                self._table.setItem(row, column, item)
        self._table.resizeColumnToContents(0)
        self._table.setColumnWidth(1, 24)
        self._table.blockSignals(False)
        self.setSelectedSegmentIDs(each for each in selected if each in ids)

    def _onEdited(self, item: QtWidgets.QTableWidgetItem) -> None:
        segmentId = self.segmentIDForRow(item.row())
        if item.column() == 2:
            self.segmentAboutToBeModified.emit(segmentId)
            self._node.GetSegmentation().GetSegment(segmentId).SetName(item.text())
        elif item.column() == 0:
            self._node.GetDisplayNode().SetSegmentVisibility(segmentId, item.checkState() == QtCore.Qt.Checked)


@standIn
class qSlicerMarkupsPlaceWidget(WithScene, QtWidgets.QWidget):
    """Puts the application into the mode where a click in a view places a point of its node."""

    signals = ("mrmlSceneChanged(vtkMRMLScene*)", "activeMarkupsFiducialPlaceModeChanged(bool)",
               "activeMarkupsPlaceModeChanged(bool)")  # fmt: skip
    mrmlSceneChanged = Signal(object)
    activeMarkupsFiducialPlaceModeChanged = Signal(bool)
    activeMarkupsPlaceModeChanged = Signal(bool)
    buttonsVisible = attribute(bool, "buttonsVisible", True)
    deleteAllControlPointsOptionVisible = attribute(bool, "deleteAllControlPointsOptionVisible", True)
    deleteAllMarkupsOptionVisible = attribute(bool, "deleteAllMarkupsOptionVisible", True)
    placeMultipleMarkups = attribute(int, "placeMultipleMarkups", 0)
    ShowPlaceMultipleMarkupsOption, HidePlaceMultipleMarkupsOption = 0, 1
    ForcePlaceSingleMarkup, ForcePlaceMultipleMarkups = 2, 3

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._nodeId = ""
        self._wasPlacing = False
        self._observed = Observed(self)

    def currentNode(self) -> slicer.vtkMRMLMarkupsNode | None:
        scene = self.mrmlScene()
        return scene.GetNodeByID(self._nodeId) if scene is not None and self._nodeId else None

    def setCurrentNode(self, node: slicer.vtkMRMLMarkupsNode | None) -> None:
        self._nodeId = node.GetID() if node is not None else ""

    @QtCore.Property(bool)
    def placeModeEnabled(self) -> bool:
        placing = self._interaction().GetCurrentInteractionMode() == slicer.vtkMRMLInteractionNode.Place
        return placing and self._selection().GetActivePlaceNodeID() == self._nodeId

    @placeModeEnabled.setter
    def placeModeEnabled(self, place: bool) -> None:
        interaction = self._interaction()
        if place and self.currentNode() is not None:
            self._selection().SetReferenceActivePlaceNodeClassName(self.currentNode().GetClassName())
            self._selection().SetActivePlaceNodeID(self._nodeId)
            interaction.SetPlaceModePersistence(self.placeMultipleMarkups == self.ForcePlaceMultipleMarkups)
            interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.Place)
        elif self.placeModeEnabled:
            interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.ViewTransform)

    setPlaceModeEnabled = setterOf("placeModeEnabled")

    def setPlaceModePersistency(self, persistent: bool) -> None:
        self._interaction().SetPlaceModePersistence(persistent)

    def _onScene(self) -> None:
        if self.mrmlScene() is not None:
            self._observed.begin(self._interaction(), ["ModifiedEvent"], self._onMode)

    def _onMode(self, *_: object) -> None:
        if self.placeModeEnabled != self._wasPlacing:
            self._wasPlacing = self.placeModeEnabled
            self.activeMarkupsFiducialPlaceModeChanged.emit(self._wasPlacing)
            self.activeMarkupsPlaceModeChanged.emit(self._wasPlacing)

    def _interaction(self) -> slicer.vtkMRMLInteractionNode:
        return slicer.app.applicationLogic().GetInteractionNode()

    def _selection(self) -> slicer.vtkMRMLSelectionNode:
        return slicer.app.applicationLogic().GetSelectionNode()


CLASSES = (qMRMLSegmentSelectorWidget, qMRMLSegmentsTableView, qSlicerMarkupsPlaceWidget)
