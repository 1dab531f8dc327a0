"""The Segment Editor of the tests hosts scripted effects as Slicer's does."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import qSlicerSegmentationsEditorEffectsPythonQt as effects
import slicer
from desktop import slice_views
from scenes import slicersMask
from vtkmodules.util.numpy_support import vtk_to_numpy

from memseg.geometry import Grid
from MemSegSlicerLib import SceneBridge

pytestmark = pytest.mark.slicer
SHAPE = (20, 20, 20)
CENTRE_RAS = (10.0, 10.0, 10.0)
SEGMENTS = (("new", (1.0, 0.0, 0.0)), ("old", (0.0, 1.0, 0.0)))

SOURCE = '''
import qSlicerSegmentationsEditorEffectsPythonQt as effects
import qt
import vtk
from SegmentEditorEffects import *


class {className}(AbstractScriptedSegmentEditorEffect):
    """Records what it is told; takes left clicks."""

    def __init__(self, scriptedEffect):
        scriptedEffect.name = "Probe"
        scriptedEffect.perSegment = True
        AbstractScriptedSegmentEditorEffect.__init__(self, scriptedEffect)
        self.told = []

    def clone(self):
        clone = effects.qSlicerSegmentEditorScriptedEffect(None)
        clone.setPythonSource({path!r})
        return clone

    def setupOptionsFrame(self):
        self.line = qt.QLineEdit()
        self.scriptedEffect.addLabeledOptionsWidget("Text:", self.line)

    def setMRMLDefaults(self):
        self.scriptedEffect.setParameterDefault("Text", "liver")

    def updateGUIFromMRML(self):
        self.line.text = self.scriptedEffect.parameter("Text")

    def activate(self):
        self.told.append("activate")

    def deactivate(self):
        self.told.append("deactivate")

    def cleanup(self):
        self.told.append("cleanup")

    def sourceVolumeNodeChanged(self):
        self.told.append("volume")

    def processInteractionEvents(self, interactor, event, viewWidget):
        if event != vtk.vtkCommand.LeftButtonPressEvent:
            return False
        self.told.append(self.xyToRas(interactor.GetEventPosition(), viewWidget))
        return True
'''


@pytest.fixture
def probe(tmp_path):
    """Writes the effect into a folder of its own, as Slicer wants it, and registers it."""
    folder = tmp_path / "SegmentEditorProbeLib"
    folder.mkdir()
    path = folder / "SegmentEditorProbeEffect.py"
    path.write_text(SOURCE.format(className=path.stem, path=str(path)))
    host = effects.qSlicerSegmentEditorScriptedEffect(None)
    host.setPythonSource(str(path))
    host.self().register()
    yield host
    slicer.qSlicerSegmentEditorEffectFactory.instance().forget("Probe")
    del sys.modules["SegmentEditorProbeLib"]


@pytest.fixture
def twoSegments(scene, addVolume):
    """(volume node, segmentation node, [ids]); the image is a ramp along i of 0 to 19; "old" is slice k = 5."""
    image = np.broadcast_to(np.arange(20, dtype=np.int16), SHAPE).copy()
    volume = addVolume(Grid.from_spacing(SHAPE, (1, 1, 1)), image)
    segmentation = SceneBridge.newSegmentation(scene, volume)
    ids = [
        SceneBridge.addSegment(segmentation, name, colour) for name, colour in (("new", (1, 0, 0)), ("old", (0, 1, 0)))
    ]
    old = np.zeros(SHAPE, np.uint8)
    old[5] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(old, segmentation, ids[1], volume)
    return volume, segmentation, ids


@pytest.fixture
def editor(probe, makeEditor, twoSegments):
    editor = makeEditor()
    editor.setSegmentationNode(twoSegments[1])
    editor.setActiveEffectByName("Probe")
    return editor


def fill(host, mask: np.ndarray, mode: int) -> None:
    labelmap = host.defaultModifierLabelmap()
    values = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(labelmap.GetDimensions()[::-1])
    values[:] = mask
    labelmap.Modified()
    host.modifySelectedSegmentByLabelmap(labelmap, mode)


def cube() -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:8, 5:10, 5:15] = 1
    return mask


def test_the_file_names_the_class_and_the_folder_the_module(probe):
    assert type(probe.self()).__name__ == "SegmentEditorProbeEffect"
    assert "SegmentEditorProbeLib" in sys.modules and slicer.SegmentEditorProbeLib is probe.self()


def test_a_class_that_is_not_named_like_its_file_is_not_found(tmp_path):
    folder = tmp_path / "SegmentEditorWrongLib"
    folder.mkdir()
    path = folder / "SegmentEditorWrongEffect.py"
    path.write_text(SOURCE.format(className="SegmentEditorOtherEffect", path=str(path)))
    with pytest.raises(RuntimeError, match="SegmentEditorWrongEffect was not found"):
        effects.qSlicerSegmentEditorScriptedEffect(None).setPythonSource(str(path))
    del sys.modules["SegmentEditorWrongLib"]


def test_an_editor_clones_the_effect_gives_defaults_and_shows_its_options(editor, probe):
    effect = editor.activeEffect()
    assert effect is not probe and effect.self().told == ["volume", "activate"]
    assert effect.self().line.text == "liver"
    effect.setParameter("Text", "spleen")
    assert effect.self().line.text == "spleen"
    assert editor.mrmlSegmentEditorNode().GetAttribute("Probe.Text") == "spleen"


def test_a_click_in_a_view_reaches_the_effect_in_world_coordinates_and_nobody_else(editor, twoSegments):
    slice_views.show(twoSegments[0], CENTRE_RAS)
    widget = slicer.app.layoutManager().sliceWidget("Green")
    later = []
    tag = widget.interactor().AddObserver("LeftButtonPressEvent", lambda *_: later.append("press"), 0.5)
    slice_views.click(widget, slice_views.place_xy(widget, CENTRE_RAS))
    widget.interactor().RemoveObserver(tag)
    assert editor.activeEffect().self().told[-1] == pytest.approx(CENTRE_RAS, abs=0.1)
    assert later == []


def test_switching_off_and_cleaning_up_tells_the_effect(editor):
    effect = editor.activeEffect().self()
    editor.setActiveEffectByName("")
    assert effect.told[-1] == "deactivate" and editor.activeEffect() is None
    editor.cleanup()
    assert effect.told[-1] == "cleanup"


def test_another_interaction_mode_ends_the_effect(editor, desktop):
    interaction = desktop.app.applicationLogic().GetInteractionNode()
    interaction.SetCurrentInteractionMode(interaction.Place)
    assert editor.activeEffect() is None
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)


def test_a_segment_is_modified_and_undone_and_done_again(editor, twoSegments):
    volume, segmentation, (new, _) = twoSegments
    host = editor.activeEffect()
    host.saveStateForUndo()
    fill(host, cube(), host.ModificationModeSet)
    assert np.array_equal(slicersMask(segmentation, new, volume), cube())
    editor.undo()
    assert slicersMask(segmentation, new, volume).sum() == 0
    editor.redo()
    assert np.array_equal(slicersMask(segmentation, new, volume), cube())


@pytest.mark.parametrize(
    "overwrite, newVoxels, oldVoxels",
    [("OverwriteAllSegments", 250, 350), ("OverwriteNone", 250, 400)],  # 5 x 5 x 10, of which 5 x 10 are in slice 5
)
def test_the_overwrite_mode_says_whether_others_lose_voxels(editor, twoSegments, overwrite, newVoxels, oldVoxels):
    volume, segmentation, (new, old) = twoSegments
    node = editor.mrmlSegmentEditorNode()
    node.SetOverwriteMode(getattr(node, overwrite))
    fill(editor.activeEffect(), cube(), slicer.qSlicerSegmentEditorAbstractEffect.ModificationModeAdd)
    assert slicersMask(segmentation, new, volume).sum() == newVoxels
    assert slicersMask(segmentation, old, volume).sum() == oldVoxels


def test_editable_area_and_intensity_range_keep_voxels_out(editor, twoSegments):
    volume, segmentation, (new, old) = twoSegments
    node, host = editor.mrmlSegmentEditorNode(), editor.activeEffect()
    node.SetMaskMode(segmentation.EditAllowedOutsideAllSegments)
    fill(host, cube(), host.ModificationModeAdd)
    outside = slicersMask(segmentation, new, volume)
    assert outside.sum() == 200 and outside[5].sum() == 0
    node.SetMaskMode(segmentation.EditAllowedEverywhere)
    node.SourceVolumeIntensityMaskOn()
    node.SetSourceVolumeIntensityMaskRange(8, 12)  # a ramp along i: i of 8 to 12
    fill(host, cube(), host.ModificationModeAdd)
    assert slicersMask(segmentation, new, volume)[5].sum() == 5 * 5
