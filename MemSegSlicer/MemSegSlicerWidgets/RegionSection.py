"""The region guard: a ROI of the scene, outside which nothing changes. And what the last step changed, highlighted."""

from __future__ import annotations

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from memseg.errors import MemSegError
from memseg.geometry import AXES
from MemSegSlicerLib.ChangeHighlight import ChangeHighlight
from MemSegSlicerLib.Record import SessionState

from . import Building
from .Keys import KEYS
from .Workbench import Workbench

_MARGIN_VOX = 2


class RegionSection:
    def __init__(self, area: qt.QWidget, bench: Workbench) -> None:
        self._bench = bench
        self._highlight = ChangeHighlight(bench.scene)
        self._isShowing = False
        layout = Building.column(area)
        self._change = Building.tick(
            "changeBox",
            f"{_('Show what the last step changed')} ({KEYS['change']})",
            self._setShowsChange,
            _("Green where the mask grew, red where it shrank"),
        )
        self._keeps = Building.tick(
            "regionBox", _("Change nothing outside the region"), self._setKeeps, _("Drag its handles in the views")
        )
        self._roi = slicer.qMRMLNodeComboBox()
        self._roi.objectName = "regionSelector"
        self._roi.nodeTypes = ["vtkMRMLMarkupsROINode"]
        self._roi.noneEnabled, self._roi.addEnabled, self._roi.renameEnabled = True, False, True
        self._roi.setMRMLScene(bench.scene)
        self._roi.connect("currentNodeChanged(vtkMRMLNode*)", self._chooseRoi)
        self._new = Building.button(
            "newRegionButton",
            _("New"),
            bench.notices.guarded(self.addRegion),
            _("A region round the mask, or in the middle of the image"),
        )
        layout.addWidget(self._change)
        layout.addWidget(self._keeps)
        layout.addLayout(Building.row(self._roi, self._new, stretch=0))

    def restore(self) -> None:
        bench = self._bench
        self._isShowing = True
        self._change.checked = bench.state.showsChange
        self._keeps.checked = bench.sceneState.keepsToRegion
        self._roi.setCurrentNode(bench.sceneState.regionNode)
        self._isShowing = False

    def show(self, session: SessionState) -> None:
        if session.propagating:
            return
        step = session.last if self._bench.state.showsChange else None
        try:
            self._highlight.show(step, self._bench.controller.volumeNode)
        except MemSegError:
            self._highlight.hide()  # the controller says what is wrong with the image

    def toggleChange(self) -> None:
        self._change.checked = not self._change.checked

    def addRegion(self) -> None:
        """A new ROI, chosen and heeded."""
        bench = self._bench
        centre, size = self._place()
        node = bench.scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", bench.scene.GenerateUniqueName("Region"))
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetFillVisibility(False)
        node.SetCenterWorld(centre)
        node.SetSize(size)
        bench.sceneState.regionNode, bench.sceneState.keepsToRegion = node, True
        self.restore()

    def cleanup(self) -> None:
        self._isShowing = True
        self._highlight.hide()

    def _place(self) -> tuple[list[float], list[float]]:
        """World mm: the middle and the edges, along R, A, S, of a box round the mask, or of the middle of the image."""
        grid, filled = self._bench.grid(), self._bench.controller.state.filled
        shape = np.asarray(grid.shape_kji)
        if all(filled.get(axis) for axis in AXES):
            low = np.array([min(filled[axis]) for axis in AXES]) - _MARGIN_VOX - 0.5
            high = np.array([max(filled[axis]) for axis in AXES]) + _MARGIN_VOX + 0.5
        else:
            low, high = shape * 0.25, shape * 0.75
        corners = np.array(np.meshgrid(*zip(low, high))).reshape(3, -1).T
        points = np.array([grid.ras_from_kji(corner) for corner in corners])
        return ((points.min(axis=0) + points.max(axis=0)) / 2).tolist(), np.ptp(points, axis=0).tolist()

    def _setShowsChange(self, isOn: bool) -> None:
        if not self._isShowing:
            self._bench.state.showsChange = isOn
            self.show(self._bench.controller.state)

    def _setKeeps(self, isOn: bool) -> None:
        if self._isShowing:
            return
        if isOn and self._bench.sceneState.regionNode is None and self._bench.controller.volumeNode is not None:
            self.addRegion()
        else:
            self._bench.sceneState.keepsToRegion = isOn

    def _chooseRoi(self, node: slicer.vtkMRMLMarkupsROINode | None) -> None:
        if not self._isShowing and node is not self._bench.sceneState.regionNode:
            self._bench.sceneState.regionNode = node
