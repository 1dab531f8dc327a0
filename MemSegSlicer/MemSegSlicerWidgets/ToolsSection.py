"""What the mouse does in the views, and taking it back: tools, sign, sizes, live or collected, undo, redo, reset."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import ctk
import qt
from slicer.i18n import tr as _

from MemSegSlicerLib.Record import SessionState
from MemSegSlicerLib.Strokes import BOX, CLICK, LASSO, SCRIBBLE

from . import Building
from .Keys import KEYS
from .ToolIcons import toolIcon
from .Workbench import Workbench

_RUN = _("Run {count} collected ({key})")


class ToolsSection:
    def __init__(self, area: qt.QWidget, bench: Workbench) -> None:
        self._bench = bench
        self._layout = Building.column(area)
        self._buildTools(area)
        self._buildSizes()
        self._buildRunning()
        self._buildTakingBack()

    def restore(self) -> None:
        """Show what the scene says."""
        state = self._bench.state
        for tool, button in self._tools.items():
            button.checked = tool == state.tool
        self._add.checked, self._remove.checked = state.positive, not state.positive
        self._brush.value, self._depth.value = state.brushMm, state.boxDepthMm
        self._live.checked, self._lesions.checked = state.isLive, state.manyLesions
        self._showSizes()

    def show(self, session: SessionState) -> None:
        waiting = len(self._bench.collected.of(self._bench.key()))
        self._run.enabled = bool(waiting)
        self._run.visible = waiting > 0 or not self._bench.state.isLive
        self._run.text = _RUN.format(count=waiting, key=KEYS["run"])
        self._undo.enabled, self._redo.enabled = session.canUndo, session.canRedo
        self._reset.enabled = bool(session.prompts or session.voxels)

    # -- what the user does -------------------------------------------------------------------------------------------

    def choose(self, tool: str) -> None:
        """The tool, or none where it was chosen already."""
        state = self._bench.state
        state.tool = "none" if state.tool == tool else tool
        self.restore()
        self._bench.changed()

    def switchSign(self) -> None:
        self._setSign(not self._bench.state.positive)

    def undo(self) -> None:
        self._bench.controller.undo()

    def redo(self) -> None:
        self._bench.controller.redo()

    def run(self) -> None:
        self._bench.runCollected()

    def _setSign(self, positive: bool) -> None:
        self._bench.state.positive = positive
        self.restore()

    def _setLive(self, isLive: bool) -> None:
        self._bench.state.isLive = isLive
        self._bench.changed()

    def _setLesions(self, isOn: bool) -> None:
        self._bench.state.manyLesions = isOn

    def _setBrush(self, millimetres: float) -> None:
        self._bench.state.brushMm = millimetres

    def _setDepth(self, millimetres: float) -> None:
        self._bench.state.boxDepthMm = millimetres

    # -- building -----------------------------------------------------------------------------------------------------

    def _buildTools(self, area: qt.QWidget) -> None:
        titles = {
            CLICK: (_("Click"), _("Click inside the object; again, where something is missing")),
            BOX: (_("Box"), _("Drag a box; the mask does not spread beyond it")),
            SCRIBBLE: (_("Scribble"), _("Drag along the object")),
            LASSO: (_("Lasso"), _("Drag round the object in one slice")),
        }
        color = area.palette.color(qt.QPalette.ButtonText)
        guarded = self._bench.notices.guarded
        self._tools = {}
        for tool, (title, tip) in titles.items():
            button = qt.QToolButton()
            button.objectName = f"{tool}Button"
            button.text, button.toolTip = f"{title} ({KEYS[tool]})", f"{tip} ({KEYS[tool]})"
            button.icon = toolIcon(tool, color)
            button.setToolButtonStyle(qt.Qt.ToolButtonTextUnderIcon)
            button.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
            button.checkable = True
            Building.onClick(button, guarded(partial(self.choose, tool)))
            self._tools[tool] = button
        tools = Building.row(*self._tools.values(), stretch=0)
        for place in range(len(self._tools)):
            tools.setStretch(place, 1)
        self._layout.addLayout(tools)
        self._add = self._signButton("addButton", _("Add"), True, _("Prompts add to the object"))
        self._remove = self._signButton("removeButton", _("Remove"), False, _("Prompts take away from the object"))
        hint = Building.label(text=_("Ctrl inverts; {key} switches").format(key=KEYS["sign"]), isHint=True)
        hint.wordWrap = False
        self._layout.addLayout(Building.row(self._add, self._remove, hint))

    def _signButton(self, name: str, text: str, positive: bool, tip: str) -> qt.QPushButton:
        button = Building.button(name, text, partial(self._setSign, positive), f"{tip} ({KEYS['sign']})")
        button.checkable = True
        return button

    def _buildSizes(self) -> None:
        self._brush = _slider("brushSlider", 0.5, 20.0, 0.5, self._setBrush)
        self._depth = _slider("depthSlider", 0.0, 200.0, 5.0, self._setDepth)
        self._depth.toolTip = _("How deep the box is across its slice; 0: this slice only")
        self._brushLabel, self._depthLabel = Building.label(text=_("Brush radius")), Building.label(text=_("Box depth"))
        for words, slider in ((self._brushLabel, self._brush), (self._depthLabel, self._depth)):
            self._layout.addLayout(Building.row(words, slider, stretch=1))

    def _showSizes(self) -> None:
        tool = self._bench.state.tool
        for part in (self._brushLabel, self._brush):
            part.visible = tool == SCRIBBLE
        for part in (self._depthLabel, self._depth):
            part.visible = tool == BOX

    def _buildRunning(self) -> None:
        guarded = self._bench.notices.guarded
        self._live = Building.tick(
            "liveBox", _("Live"), self._setLive, _("Answer each prompt at once; else collect them")
        )
        self._lesions = Building.tick(
            "lesionsBox", _("Each click a new segment"), self._setLesions, _("For many lesions, vertebrae, teeth")
        )
        self._run = Building.button(
            "runButton", _("Run"), guarded(self.run), _("Answer the collected prompts ({key})").format(key=KEYS["run"])
        )
        self._layout.addLayout(Building.row(self._live, self._lesions))
        self._layout.addWidget(self._run)

    def _buildTakingBack(self) -> None:
        guarded, key = self._bench.notices.guarded, KEYS
        self._undo = Building.button(
            "undoButton", _("Undo"), guarded(self.undo), _("Take back the last step"), key["undo"]
        )
        self._redo = Building.button(
            "redoButton", _("Redo"), guarded(self.redo), _("The step undone last"), key["redo"]
        )
        self._reset = Building.button(
            "resetButton",
            _("Reset"),
            guarded(self._bench.controller.reset),
            _("Empty mask, prompts and memories of this segment; can be undone"),
        )
        buttons = Building.row(self._undo, self._redo, self._reset, stretch=0)
        for place in range(3):
            buttons.setStretch(place, 1)
        self._layout.addLayout(buttons)


def _slider(name: str, least: float, most: float, step: float, changed: Callable[[float], None]) -> ctk.ctkSliderWidget:
    slider = ctk.ctkSliderWidget()
    slider.objectName = name
    slider.minimum, slider.maximum, slider.singleStep = least, most, step
    slider.decimals, slider.suffix = 1, " mm"
    slider.connect("valueChanged(double)", changed)
    return slider
