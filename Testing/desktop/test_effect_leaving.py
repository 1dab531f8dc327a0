"""The MemSeg effect may be left at any moment: nothing is written late, nothing stays, the session is in step."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
import slicer
from desktop import application, slice_views
from effect_stage import Stage
from fakes import BlockSegmenter
from pointing import A, B, C, block

from memseg.prompts import Click
from MemSegSlicerLib import SceneBridge

pytestmark = pytest.mark.slicer


class Gate:
    """Holds the answer to a prompt back until it is opened."""

    def __init__(self, blocks: BlockSegmenter) -> None:
        self._open = threading.Event()
        self.asked = threading.Event()
        plain = blocks.predict

        def predict(*arguments: object) -> object:
            self.asked.set()
            assert self._open.wait(30)
            return plain(*arguments)

        blocks.predict = predict

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def heldBack(stage, blocks):
    """A first click, answered; and a second one that is being answered until the gate opens."""
    stage.click(A)
    gate = Gate(blocks)
    stage.tap(B)
    assert application.pump(slicer.app, gate.asked.is_set)
    assert stage.text("MemSegStatus") == "Working\N{HORIZONTAL ELLIPSIS}"
    yield stage, gate
    gate.open()


class TestInTheMiddleOfAJob:
    def test_another_effect_finds_the_segment_as_it_was(self, heldBack):
        stage, gate = heldBack
        stage.editor.setActiveEffectByName("")
        gate.open()
        stage.settle()
        assert np.array_equal(stage.mask(), block(A))
        stage.begin()
        stage.settle()
        assert stage.prompts == [Click(A)] and stage.state.memoryCount == 1
        assert "dropped" in stage.text("MemSegStatus")
        stage.click(C)
        assert stage.prompts == [Click(A), Click(C)] and np.array_equal(stage.mask(), block(A, C))

    def test_another_segment_gets_nothing_of_it_and_the_first_goes_back(self, heldBack):
        stage, gate = heldBack
        stage.editor.setCurrentSegmentID(stage.ids[1])
        gate.open()
        stage.settle()
        assert np.array_equal(stage.mask(0), block(A)) and not stage.mask(1).any()
        assert stage.prompts == []
        stage.click(C)
        assert np.array_equal(stage.mask(1), block(C)) and stage.prompts == [Click(C)]
        stage.editor.setCurrentSegmentID(stage.ids[0])
        stage.settle()
        assert stage.prompts == [Click(A)] and stage.state.memoryCount == 1

    def test_the_very_first_click_is_taken_back_without_a_trace(self, stage, blocks):
        gate = Gate(blocks)
        stage.tap(A)
        assert application.pump(slicer.app, gate.asked.is_set)
        stage.editor.setActiveEffectByName("")
        gate.open()
        stage.settle()
        stage.begin()
        stage.settle()
        assert not stage.mask().any() and stage.prompts == [] and stage.state.memoryCount == 0
        assert not stage.editor.logic.CanUndo()

    def test_clicks_that_wait_are_dropped_too(self, heldBack):
        stage, gate = heldBack
        stage.tap(C)
        stage.editor.setActiveEffectByName("")
        gate.open()
        stage.settle()
        assert np.array_equal(stage.mask(), block(A)) and stage.prompts == [Click(A)]

    def test_an_undo_wins_over_the_click(self, heldBack):
        stage, gate = heldBack
        stage.editor.undo()
        gate.open()
        stage.settle()
        assert not stage.mask().any() and stage.prompts == []
        stage.redo()
        assert np.array_equal(stage.mask(), block(A)) and stage.prompts == [Click(A)]

    def test_an_edit_from_elsewhere_wins_over_the_click(self, heldBack):
        stage, gate = heldBack
        stage.fill(0, block(C))
        gate.open()
        stage.settle()
        assert np.array_equal(stage.mask(), block(C))
        assert [prompt.kind for prompt in stage.prompts] == ["click", "mask"]

    @pytest.mark.parametrize("what", ["scene", "volume", "segmentation", "segment"])
    def test_what_it_was_for_may_vanish(self, heldBack, what):
        stage, gate = heldBack
        scene = stage.volumeNode.GetScene()
        if what == "scene":
            scene.Clear(False)
        elif what == "segment":
            stage.segmentationNode.GetSegmentation().RemoveSegment(stage.ids[0])
        else:
            scene.RemoveNode(stage.volumeNode if what == "volume" else stage.segmentationNode)
        gate.open()
        stage.settle()
        assert stage.prompts == []
        if what in ("volume", "segment"):
            assert not any(stage.segmentationNode.GetSegmentation().GetSegment(each) is None for each in stage.ids[1:])

    def test_another_volume_may_be_chosen(self, heldBack, addVolume):
        stage, gate = heldBack
        other = addVolume(stage.grid)
        stage.editor.setSourceVolumeNode(other)
        gate.open()
        stage.settle()
        assert np.array_equal(stage.mask(), block(A)) and stage.prompts == []
        stage.click(C)
        assert [prompt.kind for prompt in stage.prompts] == ["mask", "click"]  # what there was, as a start

    def test_a_transform_may_come(self, heldBack, addTransform):
        stage, gate = heldBack
        shift = np.eye(4)
        shift[0, 3] = 3.0
        stage.volumeNode.SetAndObserveTransformNodeID(addTransform(shift).GetID())
        gate.open()
        stage.settle()
        assert stage.mask().sum() in (125, 250) and not stage.text("MemSegNoticeText")

    def test_the_editor_may_be_closed(self, heldBack):
        stage, gate = heldBack
        stage.editor.cleanup()
        gate.open()
        stage.settle()
        assert np.array_equal(stage.mask(), block(A))

    def test_the_desk_may_be_closed_and_the_next_click_opens_another(self, stage):
        from MemSegSlicerWidgets.Desk import Desk

        stage.click(A)
        Desk.closeShared()
        Desk.shared().controller.setModel("block")
        stage.desk = Desk.shared()
        stage.click(B)
        assert np.array_equal(stage.mask(), block(A, B)) and stage.prompts[-1] == Click(B)


class TestNothingIsLeft:
    def observers(self, stage: Stage) -> int:
        objects = (stage.node, stage.segmentationNode, stage.segmentationNode.GetSegmentation(), stage.volumeNode)
        events = ("AnyEvent", "ModifiedEvent", slicer.vtkSegmentation.SegmentModified)
        return sum(bool(each.HasObserver(event)) for each in objects for event in events) + sum(
            len(_tags(each)) for each in objects
        )

    def test_deactivating_leaves_no_observer_no_actor_and_no_node(self, makeStage):
        stage = makeStage()
        scene = stage.volumeNode.GetScene()
        stage.begin()  # the first time makes the module's own node
        stage.click(A)
        stage.editor.setActiveEffectByName("")
        stage.desk.controller.saveToScene()
        observed, nodes = self.observers(stage), scene.GetNumberOfNodes()
        views = [slicer.app.layoutManager().sliceWidget(name) for name in ("Red", "Green", "Yellow")]
        actors = [stage.host.renderer(view).GetViewProps().GetNumberOfItems() for view in views]
        for _ in range(5):
            stage.begin()
            stage.click(B)
            stage.drag([(15, 10, 10), (15, 10, 18)])
            stage.editor.setActiveEffectByName("")
        assert self.observers(stage) == observed
        assert scene.GetNumberOfNodes() == nodes
        assert [stage.host.renderer(view).GetViewProps().GetNumberOfItems() for view in views] == actors
        assert stage.desk.notices._bars == []

    def test_a_cleaned_up_effect_is_let_go_of(self, makeStage):
        stage = makeStage().begin()
        stage.click(A)
        effect = weakref.ref(stage.host.self())
        work = weakref.ref(effect()._work)
        options = weakref.ref(effect()._options)
        slicer.SegmentEditorMemSegLib = None  # Slicer's own reference to the effect that was made last
        stage.editor.cleanup()
        slicer.app.processEvents()
        gc.collect()
        assert work() is None and options() is None and effect() is None

    def test_the_scene_can_be_closed_and_filled_again(self, stage, addVolume):
        scene = stage.volumeNode.GetScene()
        stage.click(A)
        work = stage.host.self()._work
        scene.Clear(False)
        slicer.app.processEvents()
        assert not [each for each, *_ in work.Observations if each.IsA("vtkSegmentation")]
        assert stage.desk.controller.volumeNode is None and stage.desk.controller.segmentationNode is None
        stage.volumeNode = addVolume(stage.grid)
        stage.segmentationNode = SceneBridge.newSegmentation(scene, stage.volumeNode)
        stage.ids = [SceneBridge.addSegment(stage.segmentationNode, "again")]
        if stage.node.GetScene() is None:
            stage.editor.setMRMLSegmentEditorNode(scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
        stage.editor.setSegmentationNode(stage.segmentationNode)
        stage.editor.setSourceVolumeNode(stage.volumeNode)
        stage.editor.setActiveEffectByName("")
        stage.begin()
        slice_views.show(stage.volumeNode)
        stage.click(B)
        assert np.array_equal(stage.mask(), block(B)) and stage.prompts == [Click(B)]


def test_two_editors_take_turns(stage, makeEditor):
    other = makeEditor()
    other.setSegmentationNode(stage.segmentationNode)
    other.setSourceVolumeNode(stage.volumeNode)
    stage.click(A)
    stage.editor.setActiveEffectByName("")
    first, stage.editor = stage.editor, other
    other.setCurrentSegmentID(stage.ids[0])
    stage.begin()
    stage.click(B)
    assert np.array_equal(stage.mask(), block(A, B)) and stage.prompts == [Click(A), Click(B)]
    assert first.logic.CanUndo() and other.logic.CanUndo()
    stage.undo()
    assert stage.prompts == [Click(A)]


def test_a_thousand_clicks_leave_nothing_but_their_prompts(stage):
    scene = stage.volumeNode.GetScene()
    dice = np.random.default_rng(1)
    stage.click(A)
    stage.desk.controller.saveToScene()
    nodes, tags = scene.GetNumberOfNodes(), [len(_tags(each)) for each in (stage.node, stage.segmentationNode)]
    heard = []
    tag = stage.segmentationNode.GetSegmentation().AddObserver(
        slicer.vtkSegmentation.SourceRepresentationModified, lambda *_: heard.append(1)
    )
    for number in range(1000):
        stage.tap(dice.integers(2, 28, 3), control=number % 3 == 2)
        if number % 50 == 49:
            stage.settle()
    stage.settle()
    stage.segmentationNode.GetSegmentation().RemoveObserver(tag)
    assert len(stage.prompts) == 1001 and stage.state.memoryCount == 60
    assert scene.GetNumberOfNodes() == nodes
    assert [len(_tags(each)) for each in (stage.node, stage.segmentationNode)] == tags
    assert 0 < len(heard) <= 1000  # the views hear of each change once
    assert stage.editor.logic.CanUndo()


def _tags(caller: object) -> list[str]:
    """The observers of a VTK object, as it prints them."""
    return [line for line in str(caller).splitlines() if line.strip().startswith(("vtkObserver", "Tag:"))]
