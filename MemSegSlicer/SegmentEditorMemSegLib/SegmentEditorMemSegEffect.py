"""MemSeg in the Segment Editor: clicks, strokes, words and slices, under the editor's own masks and undo.

The file, its class and its folder are named as Slicer's loader wants them. Whatever is done here is done by the
controller that the module's panel uses too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import ref

import qSlicerSegmentationsEditorEffectsPythonQt as effects
import qt
from SegmentEditorEffects import AbstractScriptedSegmentEditorEffect
from slicer.i18n import tr as _

from memseg.errors import MemSegError
from memseg.geometry import Grid
from MemSegSlicerLib import SlicePlaces
from MemSegSlicerLib.Record import SessionState
from MemSegSlicerWidgets.Desk import Desk

from .Options import TO_THE_END, VIEW_AXIS, Options, Settings
from .Work import Work

_ICON = Path(__file__).with_name("SegmentEditorMemSeg.png")
_SLICE_WIDGET = "qMRMLSliceWidget"


class SegmentEditorMemSegEffect(AbstractScriptedSegmentEditorEffect):
    """One of these for each Segment Editor; only while it is active does it hold anything of the scene."""

    def __init__(self, scriptedEffect: Any) -> None:
        scriptedEffect.name = "MemSeg"  # modules find effects by it: not translated
        scriptedEffect.title = "MemSeg"
        scriptedEffect.perSegment = True
        scriptedEffect.requireSegments = True
        super().__init__(scriptedEffect)
        self._options: Options | None = None
        self._work: Work | None = None
        self._bar: Any = None

    def clone(self) -> Any:
        clone = effects.qSlicerSegmentEditorScriptedEffect(None)
        clone.setPythonSource(__file__.replace("\\", "/"))
        return clone

    def icon(self) -> Any:
        return qt.QIcon(str(_ICON))

    def helpText(self) -> str:
        return "<html>" + _("""Segment from a few prompts, which are remembered<br>
<ul style="margin: 0">
<li><b>Left-click:</b> what is here belongs to the segment.
<li><b>Ctrl + left-click:</b> what is here does not.
<li><b>Left-button drag:</b> a scribble along the object; with Ctrl along what is too much.
<li><b>In words:</b> name what to segment, or how to change it.
<li><b>Propagate:</b> follow the object from slice to slice.
</ul>
Editable area, intensity range and overwriting of other segments are as set under Masking. Undo takes back the mask and
what was remembered with it.""")

    # -- life --------------------------------------------------------------------------------------------------------

    def setupOptionsFrame(self) -> None:
        self._options = Options(
            self.updateMRMLFromGUI,
            self._type,
            self._propagate,
            self._chooseModel,
            self._remembered,
            stop=self._doing("stop"),
            toldModality=self._doing("tellModality"),
            chose=self._doing("choose"),
        )
        self._options.add(self.scriptedEffect)

    def activate(self) -> None:
        self._stop()
        desk = Desk.shared()
        self._bar = desk.notices.bar()
        self._options.addNotices(self._bar.widget)
        self._work = Work(self.scriptedEffect, desk, self._showState)
        self.updateGUIFromMRML()
        self._showState(self._work.controller.state)

    def deactivate(self) -> None:
        self._stop()

    def cleanup(self) -> None:
        """Slicer is done with this effect."""
        self._stop()
        if self._options is not None:
            self._options.disconnectAll()
            self._options = None

    def _stop(self) -> None:
        if self._work is None:
            return
        work, self._work = self._work, None
        work.end()
        work.desk.notices.removeBar(self._bar)
        self._bar.widget.setParent(None)
        self._bar.widget.deleteLater()
        self._bar = None

    # -- views -------------------------------------------------------------------------------------------------------

    def processInteractionEvents(self, callerInteractor: Any, eventId: int, viewWidget: Any) -> bool:
        if self._work is None or viewWidget.className() != _SLICE_WIDGET:
            return False
        if self._work.desk.isClosed:  # as after a reload of the module
            self.activate()
        return self._work.process(callerInteractor, eventId, viewWidget)

    def layoutChanged(self) -> None:
        if self._work is not None:
            self._work.drawing.end()

    # -- the editor's node ---------------------------------------------------------------------------------------------

    def setMRMLDefaults(self) -> None:
        settings = Settings()
        for name, value in _parameters(settings).items():
            self.scriptedEffect.setParameterDefault(name, value)

    def updateGUIFromMRML(self) -> None:
        if self._options is None or self.scriptedEffect.parameterSetNode() is None:
            return
        settings = self._settings()
        if self._work is not None:
            self._work.drawing.brushMm = settings.brushMm
            self._work.drawing.isPositive = settings.isPositive
            self._options.showAxes(self._axisRows())
        self._options.showSettings(settings)

    def updateMRMLFromGUI(self) -> None:
        for name, value in _parameters(self._options.settings).items():
            self.scriptedEffect.setParameter(name, value)
        self.updateGUIFromMRML()

    def sourceVolumeNodeChanged(self) -> None:
        self.updateGUIFromMRML()

    def _settings(self) -> Settings:
        effect = self.scriptedEffect
        return Settings(
            isPositive=effect.integerParameter("Positive") != 0,
            brushMm=effect.doubleParameter("BrushMm"),
            axis=effect.parameter("Axis"),
            first=effect.integerParameter("First"),
            last=effect.integerParameter("Last"),
        )

    def _axisRows(self) -> list[SlicePlaces.AxisRow]:
        grid = self._grid()
        return SlicePlaces.axisRows(grid) if grid is not None else []

    def _grid(self) -> Grid | None:
        """Of the image, where there is one that can be used; what is wrong with it, the session says."""
        try:
            return self._work.grid() if self._work is not None else None
        except MemSegError:
            return None

    # -- what the user does ------------------------------------------------------------------------------------------

    def _type(self, words: str) -> None:
        if self._work is not None:
            self._work.desk.notices.guarded(self._work.type)(words)

    def _propagate(self) -> None:
        if self._work is not None:
            self._work.desk.notices.guarded(self._propagateAlong)(self._settings())

    def _propagateAlong(self, settings: Settings) -> None:
        sizes = {row.axis: row.size for row in self._axisRows()}
        axis = settings.axis if settings.axis != VIEW_AXIS else self._work.axisShown()
        last = settings.last if settings.last != TO_THE_END else sizes.get(axis, 1) - 1
        self._work.propagate(axis, max(settings.first, 0), last)

    def _chooseModel(self, name: str) -> None:
        if self._work is not None:
            self._work.controller.setModel(name)

    def _doing(self, what: str) -> Callable[..., None]:
        """What of the controller's a button does, while the effect is active. It does not keep the effect alive."""
        owner = ref(self)

        def do(*arguments: Any) -> None:
            effect = owner()
            if effect is not None and effect._work is not None:
                effect._work.desk.notices.guarded(getattr(effect._work.controller, what))(*arguments)

        return do

    def _remembered(self) -> tuple[str, ...]:
        return self._work.controller.recall.names if self._work is not None else ()

    # -- what the session says ---------------------------------------------------------------------------------------

    def _showState(self, state: SessionState) -> None:
        self._options.showState(state, self._grid())


def _parameters(settings: Settings) -> dict[str, str | int | float]:
    return {
        "Positive": int(settings.isPositive),
        "BrushMm": settings.brushMm,
        "Axis": settings.axis,
        "First": settings.first,
        "Last": settings.last,
    }
