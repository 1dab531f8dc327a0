"""The module's panel, composed: what each section shows and does is in its own file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from memseg.errors import MemSegError
from memseg.segmenters.base import Numbered
from MemSegSlicerLib.PromptMarkers import PromptMarkers
from MemSegSlicerLib.PromptRows import adviceWords, sizeWords
from MemSegSlicerLib.Record import SessionState

from . import Building
from .AutoSection import AutoSection
from .CollectDialog import CollectDialog
from .Desk import Desk
from .Keys import Keys
from .MemorySection import MemorySection
from .ModelSection import ModelSection
from .PromptList import PromptList
from .PropagationSection import PropagationSection
from .RecallBrowser import RecallBrowser
from .RegionSection import RegionSection
from .RememberDialog import RememberDialog
from .TargetSection import TargetSection
from .TextSection import TextSection
from .ToolsSection import ToolsSection
from .ViewTools import ViewTools
from .Workbench import Workbench

_LAYOUT = Path(__file__).resolve().parents[1] / "Resources" / "UI" / "MemSegSlicer.ui"
_SCENE_EVENTS = (slicer.vtkMRMLScene.EndCloseEvent, slicer.vtkMRMLScene.EndImportEvent)
_NO_IMAGE = _("Load an image, or choose it under Volume; then click inside what is to be segmented.")
_FOLDED_AT_FIRST = ("memoryButton", "modelButton", "regionButton")


class Panel:
    """parent: a widget with a layout or none yet. scene: None: the application's. desk: None: the shared one."""

    def __init__(self, parent: qt.QWidget, scene: slicer.vtkMRMLScene | None = None, desk: Desk | None = None) -> None:
        self._scene = scene or slicer.mrmlScene
        self._isEntered = self._isFolding = False
        self.widget = slicer.util.loadUI(str(_LAYOUT))
        (parent.layout() or qt.QVBoxLayout(parent)).addWidget(self.widget)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        for part in (self.widget, self.ui.volumeSelector, self.ui.segmentationSelector, self.ui.segmentsTable):
            part.setMRMLScene(self._scene)
        self._bench = Workbench(desk or Desk.shared(), self._scene, self._refresh)
        self._markers = PromptMarkers(self._scene)
        self._compose(self.ui)
        self._observeAll()
        self.restore()

    def enter(self) -> None:
        """The user has chosen the module: tools and keys work, prompts are marked in the views."""
        self._isEntered = True
        self._keys.setOn(True)
        self.restore()

    def exit(self) -> None:
        """The user has gone to another module."""
        self._isEntered = False
        self._keys.setOn(False)
        self._bench.leave()
        self._show(self._bench.controller.state)

    def cleanup(self) -> None:
        """Before the panel goes, also when the module is reloaded and when the application quits."""
        self._stopListening()
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._keys.cleanup()
        parts = (self._views, self._target, self._propagation, self._model, self._region, self._browser, self._dialog)
        for part in (*parts, self._auto, self._collecting):
            part.cleanup()
        self._markers.cleanup()
        self._bench.notices.removeBar(self._bar)
        self._bench = None

    def restore(self, *_unused: object) -> None:
        """Show what the scene says: its nodes, choices and sessions."""
        if self._bench is None or self._scene.IsClosing() or self._scene.IsImporting():
            return
        self._bench.collected.restore()
        self._tools.restore()
        self._region.restore()
        self._auto.restore()
        self._restoreFolding()
        self._propagationFor = None
        self._show(self._bench.controller.state)

    # -- composition --------------------------------------------------------------------------------------------------

    def _compose(self, ui: SimpleNamespace) -> None:
        bench = self._bench
        self._bar = bench.notices.bar()
        Building.column(ui.noticeArea, margin=0).addWidget(self._bar.widget)
        self._browser = RecallBrowser(self.widget, bench)
        self._dialog = RememberDialog(self.widget, bench)
        self._target = TargetSection(ui, bench, self._dialog.open)
        self._tools = ToolsSection(ui.toolsArea, bench)
        self._text = TextSection(ui.textArea, bench)
        self._collecting = CollectDialog(self.widget, bench)
        self._auto = AutoSection(ui.autoArea, bench, self._collecting.open)
        self._prompts = PromptList(ui.promptsArea, bench)
        self._propagation = PropagationSection(ui.propagationArea, bench)
        self._memory = MemorySection(ui.memoryArea, bench, self._browser.open)
        self._model = ModelSection(ui.modelArea, bench)
        self._region = RegionSection(ui.regionArea, bench)
        self._views = ViewTools(bench, self._propagation.viewTouched)
        self._sections = (
            self._tools,
            self._text,
            self._auto,
            self._prompts,
            self._propagation,
            self._memory,
            self._model,
            self._region,
        )
        actions = {
            **{tool: lambda tool=tool: self._tools.choose(tool) for tool in ("click", "box", "scribble", "lasso")},
            "sign": self._tools.switchSign,
            "text": self._text.focus,
            "undo": self._tools.undo,
            "redo": self._tools.redo,
            "run": self._tools.run,
            "change": self._region.toggleChange,
            "propagate": self._propagation.propagate,
            "agree": self._propagation.agree,
            "suggested": self._propagation.showSuggested,
            "remember": self._dialog.open,
        }
        self._keys = Keys(self.widget, {name: bench.notices.guarded(action) for name, action in actions.items()})
        folding = (ui.autoButton, ui.promptsButton, ui.propagationButton, ui.memoryButton)
        self._folds = {button.name: button for button in (*folding, ui.modelButton, ui.regionButton)}
        for button in self._folds.values():
            button.connect("contentsCollapsed(bool)", self._onFolded)

    def _observeAll(self) -> None:
        self._propagationFor: Any = None
        self._stopListening = self._bench.controller.addListener(self._show)
        react = self._bench.notices.guarded(self.restore)
        self._tags = [self._scene.AddObserver(event, react) for event in _SCENE_EVENTS]

    # -- showing ------------------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        self._show(self._bench.controller.state)

    def _show(self, session: SessionState) -> None:
        """Listener of the controller."""
        bench = self._bench
        volumeNode = bench.controller.volumeNode
        shape = (volumeNode.GetID(), bench.state.axis) if volumeNode is not None else None
        if shape != self._propagationFor:
            self._propagationFor = shape
            self._propagation.restore()
        self._target.show()
        for section in self._sections:
            section.show(session)
        self._showWords(session)
        isAble = self._isEntered and volumeNode is not None
        self._views.setOn(isAble and bench.state.tool != "none")
        if not session.propagating:
            self._showMarkers(session.prompts if isAble else ())

    def _showMarkers(self, prompts: tuple[Numbered, ...]) -> None:
        """None are shown where the image cannot be used; the controller says so."""
        try:
            self._markers.showPrompts(prompts, self._bench.image() if prompts else None)
        except MemSegError:
            self._markers.showPrompts((), None)

    def _showWords(self, session: SessionState) -> None:
        """What was done last, what to do next, and how large the mask is."""
        known = (session.voxels or session.canUndo or session.canRedo) and self._bench.key() is not None
        facts = [sizeWords(session.voxels, self._bench.grid())] if known else []
        if session.milliseconds is not None:
            facts.append(f"{session.milliseconds:.0f} ms")
        self.ui.factsLabel.text = " · ".join(facts)
        isEmpty = self._bench.controller.volumeNode is None
        words = (_NO_IMAGE,) if isEmpty else (session.report or adviceWords(session), session.note)
        self.ui.adviceLabel.text = " ".join(part for part in words if part)

    # -- folding ------------------------------------------------------------------------------------------------------

    def _restoreFolding(self) -> None:
        folded = self._bench.state.folded
        unused = ("autoButton",) if self._bench.controller.auto.state.problem else ()
        self._isFolding = True
        for name, button in self._folds.items():
            button.collapsed = name in ((*_FOLDED_AT_FIRST, *unused) if folded is None else folded)
        self._isFolding = False

    def _onFolded(self, _isFolded: bool) -> None:
        if not self._isFolding:
            self._bench.state.folded = [name for name, button in self._folds.items() if button.collapsed]
