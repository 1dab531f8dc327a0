"""The classes that Slicer looks for. What the module does is in the packages beside it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

_FOLDER = Path(__file__).resolve().parent
_EFFECT = _FOLDER / "SegmentEditorMemSegLib" / "SegmentEditorMemSegEffect.py"

if find_spec("memseg") is None:  # an installed extension has the engine beside this file, a checkout in Logic
    sys.path.append(str(_FOLDER.parent / "Logic"))


class MemSegSlicer(ScriptedLoadableModule):
    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        parent.title = "MemSegSlicer"
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = ["Segmentations", "SegmentEditor", "SampleData"]
        parent.contributors = ["MemSegSlicer contributors"]
        parent.helpText = _("""Click an organ or a lesion, or type its name, and correct the mask by further clicks. \
Every prompt is remembered: undo any step, delete a prompt out of the middle, follow the object from slice to slice, \
save the scene and go on tomorrow. The same is in the Segment Editor, as the effect MemSeg. \
Everything is computed on this computer; no image leaves it.""")
        parent.helpText += self.getDefaultModuleDocumentationLink()
        parent.acknowledgementText = _("""The memories follow published work: Memorizing SAM, MedSAM-2, SLM-SAM 2 and \
others, named with their papers in the README. The sample CT is from TotalSegmentator (Wasserthal et al., 2023).""")
        slicer.app.connect("startupCompleted()", registerAll)


class MemSegSlicerWidget(ScriptedLoadableModuleWidget):
    _panel: Any = None

    def setup(self) -> None:
        super().setup()
        from MemSegSlicerWidgets.Desk import Desk
        from MemSegSlicerWidgets.Panel import Panel

        self.logic = MemSegSlicerLogic()
        self._desk = Desk.shared()
        self._panel = Panel(self.parent)
        self.layout.addStretch(1)

    def enter(self) -> None:
        self._panel.enter()
        self._desk.dependencies.offerOnce()

    def exit(self) -> None:
        self._panel.exit()

    def cleanup(self) -> None:
        """Slicer may say so twice: before a reload and when it ends."""
        panel, self._panel = self._panel, None
        if panel is not None:
            panel.cleanup()


class MemSegSlicerLogic(ScriptedLoadableModuleLogic):
    """For scripts: `slicer.util.getModuleLogic("MemSegSlicer").controller`."""

    @property
    def controller(self) -> Any:
        """Of the scene; the panel and the Segment Editor effect show what is done with it."""
        from MemSegSlicerWidgets.Desk import Desk

        return Desk.shared().controller


# ------------------------------------------------------------------------------------------------- registration


def registerAll() -> None:
    """The effect and the sample data, once."""
    registerEffect()
    registerSampleData()


def registerEffect() -> None:
    import qSlicerSegmentationsEditorEffectsPythonQt as effects

    import SegmentEditorMemSegLib  # noqa: F401  Slicer's loader takes the class from it: import it first

    effect = effects.qSlicerSegmentEditorScriptedEffect(None)
    effect.setPythonSource(_EFFECT.as_posix())
    effect.self().register()


def registerSampleData() -> None:
    import SampleData

    from MemSegSlicerLib.SampleData import abdomenCT

    sample = abdomenCT()
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="MemSegSlicer",
        sampleName=sample.name,
        thumbnailFileName=str(_FOLDER / "Resources" / "Icons" / "MemSegSlicer.png"),
        uris=sample.image.as_uri(),  # Slicer wants one, also where it is not used
        fileNames=sample.image.name,
        nodeNames=sample.name,
        customDownloader=lambda _source: loadSample(),
    )


def loadSample() -> slicer.vtkMRMLScalarVolumeNode:
    """The CT that came with the extension; nothing is downloaded."""
    from MemSegSlicerLib.SampleData import abdomenCT

    sample = abdomenCT()
    return slicer.util.loadVolume(str(sample.image), properties={"name": sample.name})


# ------------------------------------------------------------------------------------------------- self-tests


class MemSegSlicerTest(ScriptedLoadableModuleTest):
    """What users do, on the sample CT, with the segmenter that needs no network. Runs without a main window."""

    TIMEOUT_S = 120.0
    LIVER_RAS = (68.0, 215.3, 361.3)  # slice k = 89; the liver is in 84 to 95

    def setUp(self) -> None:
        from MemSegSlicerLib import SceneBridge
        from MemSegSlicerWidgets.Desk import Desk

        slicer.mrmlScene.Clear()
        self.desk = Desk.shared()
        self.volumeNode = loadSample()
        self.segmentationNode = SceneBridge.newSegmentation(slicer.mrmlScene, self.volumeNode)
        self.segmentId = SceneBridge.addSegment(self.segmentationNode, "liver")
        self.controller = self.desk.controller
        self.controller.setModel("geodesic")
        self.controller.setVolume(self.volumeNode)
        self.controller.setSegment(self.segmentationNode, self.segmentId)

    def runTest(self, **_options: Any) -> None:
        for test in (
            self.test_aClickSegmentsAndUndoTakesItBack,
            self.test_wordsSegmentAndSayHowTheyWereUnderstood,
            self.test_anObjectIsFollowedFromSliceToSlice,
            self.test_theSceneRemembersTheSession,
            self.test_theSceneMayBeClosedInTheMiddleOfAJob,
            self.test_theEffectWorksInASegmentEditor,
            self.test_thePanelShowsThePrompts,
        ):
            self.setUp()
            test()
            self.delayDisplay(test.__name__)
        slicer.mrmlScene.Clear()

    def test_aClickSegmentsAndUndoTakesItBack(self) -> None:
        self.click()
        self.assertGreater(self.voxels(), 500)
        self.controller.undo()
        self.wait()
        self.assertEqual(self.voxels(), 0)

    def test_wordsSegmentAndSayHowTheyWereUnderstood(self) -> None:
        from memseg.prompts import Text

        self.controller.add(Text("everything brighter than 300 HU"))
        self.wait()
        self.assertGreater(self.voxels(), 500)
        self.assertIsNotNone(self.controller.state.understood)

    def test_anObjectIsFollowedFromSliceToSlice(self) -> None:
        self.click()
        self.controller.propagate("k", first=86, last=92)
        self.wait()
        self.assertEqual(self.controller.state.error, "")
        self.assertGreater(len(self.controller.state.marksAlong("k")), 0)

    def test_theSceneRemembersTheSession(self) -> None:
        from MemSegSlicerLib.SceneState import SceneState

        self.click()
        self.controller.saveToScene()
        self.assertEqual(len(SceneState(slicer.mrmlScene).storedKeys()), 1)

    def test_theSceneMayBeClosedInTheMiddleOfAJob(self) -> None:
        self.click(wait=False)
        slicer.mrmlScene.Clear()
        self.wait()
        self.assertIsNone(self.controller.volumeNode)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode"), 0)

    def test_theEffectWorksInASegmentEditor(self) -> None:
        registerEffect()
        editor = slicer.qMRMLSegmentEditorWidget()
        editor.setMRMLScene(slicer.mrmlScene)
        editor.setMRMLSegmentEditorNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
        editor.setSegmentationNode(self.segmentationNode)
        editor.setSourceVolumeNode(self.volumeNode)
        editor.setActiveEffectByName("MemSeg")
        effect = editor.activeEffect()
        self.assertIsNotNone(effect)
        self.find(effect.optionsFrame(), "MemSegWords").text = "everything brighter than 300 HU"
        self.find(effect.optionsFrame(), "MemSegFind").click()
        self.wait()
        self.assertGreater(self.voxels(), 500)
        editor.undo()
        self.wait()
        self.assertEqual(self.voxels(), 0)
        editor.setActiveEffectByName("")
        editor.setMRMLSegmentEditorNode(None)
        editor.deleteLater()

    def test_thePanelShowsThePrompts(self) -> None:
        panel = slicer.modules.memsegslicer.widgetRepresentation()
        panel.enter()
        self.click()
        self.assertTrue(self.find(panel, "undoButton").enabled)
        self.find(panel, "undoButton").click()
        self.wait()
        self.assertEqual(self.voxels(), 0)
        panel.exit()

    # -- helpers -----------------------------------------------------------------------------------------------------

    def click(self, wait: bool = True) -> None:
        from MemSegSlicerLib import PromptTools

        self.controller.add(PromptTools.clickFromRas(self.controller.volume, self.LIVER_RAS, positive=True))
        if wait:
            self.wait()

    def wait(self) -> None:
        self.waitUntil(lambda: not self.controller.state.busy and not self.desk.worker.busy)

    def waitUntil(self, isSo: Callable[[], bool]) -> None:
        end = time.monotonic() + self.TIMEOUT_S
        while not isSo():
            self.assertLess(time.monotonic(), end, "it took too long")
            slicer.app.processEvents()
            time.sleep(0.01)

    def voxels(self) -> int:
        array = slicer.util.arrayFromSegmentBinaryLabelmap(self.segmentationNode, self.segmentId, self.volumeNode)
        return int((array != 0).sum()) if array is not None else 0

    @staticmethod
    def find(parent: Any, name: str) -> Any:
        return slicer.util.findChild(parent, name)
