"""The MemSeg effect follows an object from slice to slice: live, cancellable, one step of the editor's undo."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import slicer
from desktop import application
from effect_stage import Stage
from fakes import BlockSegmenter, BlockSlices, box_mask
from pointing import SHAPE

from memseg.geometry import Box
from memseg.prompts import Click
from memseg.session import Session

pytestmark = pytest.mark.slicer
BAR = box_mask(SHAPE, Box((5, 10, 10), (25, 20, 20)))  # slices 5 to 24; there the image is bright, elsewhere 0
MIDDLE = (15, 15, 15)


@pytest.fixture
def bar(makeStage) -> Stage:
    """A segment with a click in the bar's middle, and the axial view at that slice."""
    stage = makeStage(array=100 * BAR.astype(np.int16)).begin()
    stage.click(MIDDLE)
    return stage


class Gate:
    """Lets slices be answered one by one."""

    def __init__(self, slices: BlockSlices) -> None:
        self._open = threading.Semaphore(0)
        self.asked = 0
        plain = slices.follow

        def follow(*arguments: object) -> object:
            self.asked += 1
            assert self._open.acquire(timeout=30)
            return plain(*arguments)

        slices.follow = follow

    def let(self, count: int) -> None:
        for _ in range(count):
            self._open.release()


@pytest.fixture
def gate(blockSlices):
    gate = Gate(blockSlices)
    yield gate
    gate.let(1000)


def plainSession(stage: Stage) -> Session:
    session = Session(stage.desk.controller.volume, BlockSegmenter(reach=2), slices=BlockSlices())
    session.add(Click(MIDDLE))
    return session


def press(stage: Stage) -> None:
    stage.widget("MemSegPropagate").click()


def pumpUntil(so) -> None:
    assert application.pump(slicer.app, so, timeout=30)


def test_the_object_is_followed_along_the_axis_of_the_view(bar):
    press(bar)
    bar.settle()
    session = plainSession(bar)
    for _ in session.propagate("k", 15, 0, 29):
        pass
    assert session.mask_kji.any() and np.array_equal(bar.mask(), session.mask_kji)
    assert [prompt.kind for prompt in bar.prompts] == ["click", "mask"]
    assert bar.text("MemSegPropagate") == "Propagate"
    assert "slices propagated" in bar.text("MemSegStatus")


@pytest.mark.parametrize("view, axis", [("Green", "j"), ("Yellow", "i")])
def test_the_view_touched_last_says_along_which_axis(bar, view, axis):
    widget = bar.view(view, MIDDLE)
    widget.interactor().InvokeEvent("MouseMoveEvent")
    press(bar)
    bar.settle()
    session = plainSession(bar)
    for _ in session.propagate(axis, 15, 0, 29):
        pass
    assert np.array_equal(bar.mask(), session.mask_kji)


def test_another_axis_and_a_range_can_be_chosen(bar):
    axis, first, last = (bar.widget(name) for name in ("MemSegAxis", "MemSegFirst", "MemSegLast"))
    axis.currentIndex = 2  # coronal
    assert (first.visible, first.value, last.value, last.maximum) == (True, 0, 29, 29)
    first.value, last.value = 13, 18
    press(bar)
    bar.settle()
    session = plainSession(bar)
    for _ in session.propagate("j", None, 13, 18):
        pass
    assert np.array_equal(bar.mask(), session.mask_kji)


def test_it_is_one_step_of_the_editors_undo(bar):
    before = bar.mask()
    press(bar)
    bar.settle()
    after = bar.mask()
    bar.undo()
    assert np.array_equal(bar.mask(), before)
    assert bar.prompts == [Click(MIDDLE)] and bar.state.marks == {}
    bar.redo()
    assert np.array_equal(bar.mask(), after)
    assert len(bar.prompts) == 2 and bar.state.marks
    bar.undo()
    bar.undo()
    assert not bar.mask().any() and bar.prompts == []


def test_slices_show_as_they_come_and_cancelling_keeps_them(bar, gate):
    before = bar.mask()
    press(bar)
    pumpUntil(lambda: gate.asked == 1)
    assert bar.text("MemSegPropagate") == "Cancel" and bar.widget("MemSegBusy").visible
    gate.let(3)
    pumpUntil(lambda: "3 done" in bar.text("MemSegStatus"))
    assert not np.array_equal(bar.mask(), before)
    press(bar)
    gate.let(1)  # the one being answered
    bar.settle()
    assert "Cancelled." in bar.text("MemSegStatus") and "4 slices" in bar.text("MemSegStatus")
    assert [prompt.kind for prompt in bar.prompts] == ["click", "mask"]
    bar.undo()
    assert np.array_equal(bar.mask(), before) and bar.prompts == [Click(MIDDLE)]


def test_a_click_meanwhile_ends_it_and_comes_after_it(bar, gate):
    press(bar)
    pumpUntil(lambda: gate.asked == 1)
    gate.let(2)
    pumpUntil(lambda: bar.state.progress.done == 2)
    bar.tap((3, 3, 3))
    gate.let(1)
    bar.settle()
    assert [prompt.kind for prompt in bar.prompts] == ["click", "mask", "click"]
    bar.undo()
    assert [prompt.kind for prompt in bar.prompts] == ["click", "mask"]


def test_masking_holds_for_every_slice_and_the_session_knows(bar):
    bar.fill(1, box_mask(SHAPE, Box((20, 0, 0), (30, 30, 30))))
    bar.node.SetMaskMode(bar.segmentationNode.EditAllowedOutsideAllSegments)
    press(bar)
    bar.settle()
    session = plainSession(bar)
    for _ in session.propagate("k", 15, 0, 29):
        pass
    expected = session.mask_kji.copy()
    expected[20:] = 0
    assert np.array_equal(bar.mask(), expected)
    assert [prompt.kind for prompt in bar.prompts] == ["click", "mask"]
    bar.click((3, 3, 3))
    assert [prompt.kind for prompt in bar.prompts] == ["click", "mask", "click"]  # no edit was seen
    bar.undo()
    assert np.array_equal(bar.mask(), expected)
    bar.undo()
    assert bar.prompts == [Click(MIDDLE)]


def test_undo_meanwhile_ends_it_and_takes_it_back(bar, gate):
    before = bar.mask()
    press(bar)
    pumpUntil(lambda: gate.asked == 1)
    gate.let(3)
    pumpUntil(lambda: bar.state.progress.done == 3)
    bar.editor.undo()
    gate.let(10)
    bar.settle()
    assert np.array_equal(bar.mask(), before)
    assert bar.prompts == [Click(MIDDLE)] and bar.state.marks == {}


def test_without_a_mask_there_is_nothing_to_propagate(makeStage):
    stage = makeStage().begin()
    assert not stage.widget("MemSegPropagate").enabled
