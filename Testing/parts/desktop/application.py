"""`slicer.app`, `slicer.modules` and what else a scripted module finds in `slicer`, around one real scene."""

from __future__ import annotations

import sys
import tempfile
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import slicer
from PySide6.QtCore import Signal
from trame_slicer.core import SlicerApp

from . import ctk_widgets, mrml_widgets, pythonqt, segment_widgets


@dataclass(frozen=True, eq=False)
class Desktop:
    """What `install` put in place. folder: settings and temporary files, for the one who installed it to remove."""

    qt: types.ModuleType
    ctk: types.ModuleType
    core: SlicerApp
    app: Any
    folder: Path

    @property
    def scene(self) -> slicer.vtkMRMLScene:
        return self.core.scene


@cache
def install() -> Desktop:
    """Make `qt` and `ctk` importable and fill `slicer` as the desktop does; once for the process."""
    qt = sys.modules["qt"] = pythonqt.make()
    ctk = sys.modules["ctk"] = ctk_widgets.make()
    folder = Path(tempfile.mkdtemp(prefix="memseg-slicer-"))
    _keepSettingsApart(qt, folder)
    standIns = (*ctk_widgets.CLASSES, *mrml_widgets.CLASSES, *segment_widgets.CLASSES)
    qt.QUiLoader = _loaderOf(qt, standIns)
    for cls in (*mrml_widgets.CLASSES, *segment_widgets.CLASSES):
        setattr(slicer, cls.__name__, cls)
    from . import (  # these are written as Slicer's own: they import qt
        effect_host,
        scripted_modules,
        segment_editor,
        slice_views,
    )

    core = SlicerApp()
    app = _applicationClass(qt)(core, slice_views.LayoutManager, folder)
    slicer.mrmlScene = core.scene
    slicer.app = app
    slicer.modules = types.SimpleNamespace()
    for name, logic in _coreLogics(core).items():
        setattr(slicer.modules, name, types.SimpleNamespace(name=name, logic=lambda logic=logic: logic))
    for cls in (*effect_host.CLASSES, *segment_editor.CLASSES, *slice_views.CLASSES):
        setattr(slicer, cls.__name__, cls)
    scripted_modules.install()
    effect_host.install()
    return Desktop(qt, ctk, core, app, folder)


def _coreLogics(core: SlicerApp) -> dict[str, Any]:
    return {
        "segmentations": core.segmentations_logic,
        "volumes": core.volumes_logic,
        "terminologies": core.terminologies_logic,
        "subjecthierarchy": core.subject_hierarchy_logic,
        "markups": core.app_logic.GetModuleLogic("Markups"),
    }


def _keepSettingsApart(qt: types.ModuleType, folder: Path) -> None:
    """No test reads or writes the user's settings."""
    qt.QSettings.setDefaultFormat(qt.QSettings.IniFormat)
    for scope in (qt.QSettings.UserScope, qt.QSettings.SystemScope):
        qt.QSettings.setPath(qt.QSettings.IniFormat, scope, str(folder))


def _loaderOf(qt: types.ModuleType, standIns: tuple[type, ...]) -> type:
    """Reads .ui files that name CTK's and Slicer's widgets."""

    class QUiLoader(qt.QUiLoader):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)
            for cls in standIns:
                self.registerCustomWidget(cls)

        def load(self, file: Any, *arguments: Any) -> Any:
            with pythonqt.loadingUi(str(file)):
                return super().load(file, *arguments)

    return QUiLoader


def _applicationClass(qt: types.ModuleType) -> type:
    @pythonqt.standIn
    class qSlicerApplication(qt.QApplication):
        """Starts in testing mode, in which Slicer shows no dialogues."""

        applicationName = "Slicer"
        signals = ("startupCompleted()",)
        startupCompleted = Signal()

        def __init__(self, core: SlicerApp, layoutManagerClass: type, folder: Path) -> None:
            super().__init__(["Slicer"])
            self.setOrganizationName("MemSegSlicerTests")
            self._core = core
            self._layoutManagerClass = layoutManagerClass
            self._layoutManager = None
            self._moduleManager = _moduleManagerClass(qt)()
            self._temporary = str(folder)
            self._testing = True
            self._restarts = 0
            self._extensions = ExtensionsManager()
            self._files = Files(core)

        majorVersion, minorVersion, revision = 5, 10, "34000"

        @property
        def temporaryPath(self) -> str:
            return self._temporary

        def applicationLogic(self) -> slicer.vtkSlicerApplicationLogic:
            return self._core.app_logic

        def mrmlScene(self) -> slicer.vtkMRMLScene:
            return self._core.scene

        def testingEnabled(self) -> bool:
            return self._testing

        def setTestingEnabled(self, testing: bool) -> None:
            """Not in Slicer, where the command line decides it."""
            self._testing = testing

        def translate(self, context: str, text: str, *_: object) -> str:
            return text

        def layoutManager(self) -> Any:
            """None until `makeViews`, as in a Slicer without a main window."""
            return self._layoutManager

        def makeViews(self) -> Any:
            """Not in Slicer, where the main window does it."""
            if self._layoutManager is None:
                self._layoutManager = self._layoutManagerClass(self._core)
            return self._layoutManager

        def moduleManager(self) -> Any:
            return self._moduleManager

        def extensionsManagerModel(self) -> ExtensionsManager:
            return self._extensions

        def coreIOManager(self) -> Files:
            return self._files

        ioManager = coreIOManager

        def pauseRender(self) -> None:
            self._core.app_logic.PauseRender()

        def resumeRender(self) -> None:
            self._core.app_logic.ResumeRender()

        def settings(self) -> Any:
            return qt.QSettings()

        userSettings = settings

        def restart(self) -> None:
            """Counted only."""
            self._restarts += 1

    return qSlicerApplication


class ExtensionsManager:
    """Installs nothing, but tells what it was asked for. isReachable: whether there is a network."""

    def __init__(self) -> None:
        self.interactive = True
        self.isReachable = False
        self.asked: list[tuple[str, bool, bool]] = []

    def installExtensionFromServer(self, name: str, restart: bool = True, update: bool = True) -> bool:
        self.asked.append((name, restart, self.interactive))
        return self.isReachable


class Files:
    """What slicer.util reads and writes files with: volumes, and scenes as .mrb or .mrml."""

    def __init__(self, core: SlicerApp) -> None:
        self._core = core

    def fileType(self, fileName: str) -> str:
        return "SceneFile" if str(fileName).endswith((".mrb", ".mrml")) else "VolumeFile"

    def loadNodes(self, kind: str, properties: dict[str, Any], loaded: Any, messages: Any = None) -> bool:
        path = Path(properties["fileName"])
        if kind == "SceneFile":
            if properties.get("clear", True):
                self._core.scene.Clear(False)
            return bool(self._core.io_manager.load_scene(path))
        node = self._core.volumes_logic.AddArchetypeVolume(str(path), properties.get("name", path.stem))
        if node is not None:
            loaded.AddItem(node)
        return node is not None

    def saveNodes(self, kind: str, properties: dict[str, Any], messages: Any = None) -> bool:
        return kind == "SceneFile" and bool(self._core.io_manager.save_scene(properties["fileName"]))


def _moduleManagerClass(qt: types.ModuleType) -> type:
    @pythonqt.standIn
    class qSlicerModuleManager(qt.QObject):
        signals = ("moduleAboutToBeUnloaded(QString)", "moduleLoaded(QString)")
        moduleAboutToBeUnloaded = Signal(str)
        moduleLoaded = Signal(str)

        def module(self, name: str) -> Any:
            return getattr(slicer.modules, name.lower(), None)

        def isDependentModuleLoaded(self, name: str) -> bool:
            return self.module(name) is not None

    return qSlicerModuleManager


def pump(app: Any, until: Callable[[], bool], timeout: float = 60.0) -> bool:
    """Turn the event loop until something is so; False where that takes longer than timeout s."""
    import time

    end = time.monotonic() + timeout
    while time.monotonic() < end:
        app.processEvents()
        if until():
            return True
        time.sleep(0.002)
    return False


def screenshot(widget: Any, path: Path) -> None:
    """The widget as it would be drawn, as a PNG file."""
    widget.show()
    slicer.app.processEvents()
    assert widget.grab().save(str(path), "PNG"), f"no picture could be written to {path}"
