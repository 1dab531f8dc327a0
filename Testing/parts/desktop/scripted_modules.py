"""The base classes of Slicer's scripted modules, with the functions that modules call or override, and their loader."""

from __future__ import annotations

import importlib.util
import sys
import types
import unittest
from pathlib import Path
from typing import Any

import qt
import slicer

from .pythonqt import standIn


class ScriptedLoadableModule:
    """parent: the module as Slicer's C++ side knows it (title, categories, path, ...)."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        for extension in (".svg", ".png"):
            icon = Path(self.resourcePath(f"Icons/{self.moduleName}{extension}"))
            if icon.is_file():
                parent.icon = qt.QIcon(str(icon))
                break
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, fileName: str) -> str:
        return str(Path(self.parent.path).parent / "Resources" / fileName)

    def getDefaultModuleDocumentationLink(self) -> str:
        return ""

    def runTest(self, msec: int = 100, **options: Any) -> None:
        case = getattr(sys.modules[type(self).__module__], f"{self.moduleName}Test")()
        case.messageDelay = msec
        case.runTest(**options)


class ScriptedLoadableModuleWidget:
    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        self.layout = parent.layout()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, fileName: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / fileName)

    def setup(self) -> None:
        """Extended by modules."""

    def cleanup(self) -> None:
        """Overridden by modules."""

    def _onModuleAboutToBeUnloaded(self, moduleName: str) -> None:
        if moduleName == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)


class ScriptedLoadableModuleLogic:
    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(self.moduleName)
            node.SetModuleName(self.moduleName)
            node.SetName(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.messageDelay = 0

    def runTest(self) -> None:
        """Overridden by modules."""

    def delayDisplay(self, message: str, msec: int | None = None) -> None:
        slicer.util.delayDisplay(message, self.messageDelay if msec is None else msec)


class SampleDataSource:
    """One address, or a list of them with as many file names; also for a source with a downloader of its own."""

    def __init__(
        self,
        sampleName: str | None = None,
        uris: str | list[str] | None = None,
        fileNames: str | list[str] | None = None,
        nodeNames: str | list[str] | None = None,
        customDownloader: Any = None,
        thumbnailFileName: str | None = None,
    ) -> None:
        if isinstance(uris, str):
            uris, fileNames, nodeNames = [uris], [fileNames], [nodeNames]
        if not len(uris) == len(fileNames) == len(nodeNames):
            raise ValueError("All fields of sample data source must have the same length")
        self.sampleName, self.customDownloader, self.thumbnailFileName = sampleName, customDownloader, thumbnailFileName
        self.uris, self.fileNames, self.nodeNames = uris, fileNames, nodeNames


class SampleDataLogic:
    """Keeps what modules register, by category, where Slicer keeps it."""

    @staticmethod
    def registerCustomSampleDataSource(category: str = "Custom", **source: Any) -> None:
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        sources = slicer.modules.sampleDataSources.setdefault(category, [])
        if source["sampleName"] not in [each.sampleName for each in sources]:
            sources.append(SampleDataSource(**source))


BASES = (
    ScriptedLoadableModule, ScriptedLoadableModuleWidget, ScriptedLoadableModuleLogic, ScriptedLoadableModuleTest,
)  # fmt: skip


def install() -> None:
    """Where modules import them from."""
    module = types.ModuleType("slicer.ScriptedLoadableModule", __doc__)
    module.__all__ = [cls.__name__ for cls in BASES]
    for cls in BASES:
        setattr(module, cls.__name__, cls)
    sys.modules[module.__name__] = slicer.ScriptedLoadableModule = module
    translation = types.ModuleType("slicer.i18n")
    translation.tr = lambda text: text
    translation.translate = lambda context, text: text
    sys.modules[translation.__name__] = slicer.i18n = translation
    sampleData = types.ModuleType("SampleData")
    sampleData.SampleDataLogic = SampleDataLogic
    sys.modules[sampleData.__name__] = sampleData
    slicer.selfTests = {}
    slicer.qSlicerScriptedLoadableModule = LoadedModule
    slicer.qSlicerScriptedLoadableModuleWidget = LoadedModuleWidget


# ---------------------------------------------------------------------------------------------------- the loader


@standIn
class LoadedModuleWidget(slicer.qMRMLWidget):
    """What Slicer wraps around a module's widget: its place in the module panel."""

    def __init__(self, module: LoadedModule) -> None:
        super().__init__()
        self._module = module
        self._python = None
        qt.QVBoxLayout(self)

    def self(self) -> Any:
        return self._python

    def setup(self) -> None:
        self.setMRMLScene(slicer.mrmlScene)
        self._python = getattr(sys.modules[self._module.name], f"{self._module.name}Widget")(self)
        self._python.setup()
        setattr(slicer.modules, f"{self._module.name}Widget", self._python)

    reload = setup

    def enter(self) -> None:
        self._python.enter()

    def exit(self) -> None:
        self._python.exit()


class LoadedModule:
    """A module as Slicer's C++ side knows it; `load` makes one."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, str(path)
        self.title, self.helpText, self.acknowledgementText = name, "", ""
        self.categories: list[str] = []
        self.dependencies: list[str] = []
        self.contributors: list[str] = []
        self.icon = qt.QIcon()
        self.hidden = False
        self._widget: LoadedModuleWidget | None = None

    def widgetRepresentation(self) -> LoadedModuleWidget:
        """Made when first asked for, as in Slicer."""
        if self._widget is None:
            self._widget = LoadedModuleWidget(self)
            self._widget.setup()
        return self._widget

    def unload(self) -> None:
        slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(self.name)
        if self._widget is not None:
            self._widget.delete()
            self._widget = None


def load(path: Path) -> LoadedModule:
    """Import one .py file as a module of Slicer: its folder on sys.path, its class named like the file."""
    name = path.stem
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    loaded = LoadedModule(name, path)
    setattr(slicer.modules, name.lower(), loaded)
    python = getattr(module, name)(loaded)
    setattr(slicer.modules, f"{name}Instance", python)
    slicer.app.moduleManager().moduleLoaded.emit(name)
    return loaded


def loadFolder(folder: Path) -> dict[str, LoadedModule]:
    """Every .py directly in a folder, as Slicer does with the paths of `--additional-module-paths`."""
    return {path.stem: load(path) for path in sorted(folder.glob("*.py"))}
