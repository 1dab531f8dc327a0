"""What the desktop has one of: results come back on Qt's own turn, errors show once, and the worker may die."""

from __future__ import annotations

import sys
import threading
import time

import pytest
import qt
import slicer

from memseg.errors import PromptError
from memseg.geometry import Grid
from memseg.prompts import Click, MaskPrompt
from MemSegSlicerLib import SceneBridge
from MemSegSlicerWidgets.Desk import Desk

pytestmark = pytest.mark.slicer
GRID = Grid.from_spacing((12, 12, 12), (1, 1, 1))


@pytest.fixture
def desk(scene, blocks, blockSlices):
    desk = Desk.shared()
    desk.controller.setModel("block")
    yield desk
    desk.close()


@pytest.fixture
def segmenting(desk, scene, addVolume):
    """The desk with an image and an empty segment chosen."""
    volumeNode = addVolume(GRID)
    node = SceneBridge.newSegmentation(scene, volumeNode)
    desk.controller.setVolume(volumeNode)
    desk.controller.setSegment(node, SceneBridge.addSegment(node, "liver", (1.0, 0.0, 0.0)))
    return desk


@pytest.fixture
def visible():
    """A panel on the screen, for notices."""
    panel = qt.QWidget()
    qt.QVBoxLayout(panel)
    panel.show()
    yield panel
    panel.delete()


@pytest.fixture
def displayed(monkeypatch):
    """What the application would show in a dialogue."""
    shown = []
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **options: shown.append((text, options)))
    return shown


def test_there_is_one_desk_until_it_is_closed(desk):
    assert Desk.shared() is desk
    desk.close()
    desk.close()
    assert desk.isClosed and Desk.shared() is not desk
    Desk.closeShared()


def test_the_application_closes_it_when_it_quits(desk, desktop):
    desktop.app.aboutToQuit.emit()
    assert desk.isClosed


def test_a_click_is_answered_without_anybody_waiting(segmenting, pump):
    controller = segmenting.controller
    controller.add(Click((5, 5, 5)))
    assert controller.state.busy and not controller.state.voxels
    pump(lambda: not controller.state.busy)
    assert controller.state.voxels == 125  # two voxels around the click to each side


def test_a_long_job_holds_nobody_up(desk, pump):
    done, release = [], threading.Event()
    desk.worker.submit(lambda: release.wait(30), done.append, done.append)
    ticks = []
    timer = qt.QTimer()
    timer.setInterval(5)
    timer.connect("timeout()", lambda: ticks.append("tick"))
    timer.start()
    pump(lambda: len(ticks) > 10)
    assert not done
    release.set()
    pump(lambda: done == [True])


def test_the_main_thread_lets_the_worker_go_on_while_it_keeps_pythons_lock_otherwise(desk, pump):
    """As in Slicer, whose event loop holds the lock; here nothing but the tick may give it away."""
    pauses = []
    desk.worker.submit(lambda: None, pauses.append, pauses.append)
    pump(lambda: pauses == [None])  # the thread runs and waits
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    try:
        desk.worker.submit(lambda: [time.sleep(0) for _ in range(100)], lambda done: pauses.append(len(done)), print)
        for _ in range(100):
            desk._tick()
    finally:
        sys.setswitchinterval(interval)
    assert pauses == [None, 100]


def test_a_propagation_shows_one_slice_a_turn(segmenting, pump):
    controller = segmenting.controller
    mask = MaskPrompt.from_mask(_square(6))
    controller.add(mask)
    pump(lambda: not controller.state.busy)
    turns = []
    controller.addListener(lambda state: turns.append(state.progress.done if state.progress else None))
    controller.propagate("k", reference=6)
    pump(lambda: not controller.state.busy)
    seen = [done for done in turns if done is not None]
    assert seen == sorted(seen) and max(seen) >= 5
    assert all(later - earlier <= 1 for earlier, later in zip(seen, seen[1:]))


def _square(index: int):
    import numpy as np

    mask = np.zeros(GRID.shape_kji, np.uint8)
    mask[index, 3:9, 3:9] = 1
    return mask


def test_a_job_that_ends_the_interpreter_is_only_a_failure(desk, pump):
    failures = []

    def leave() -> None:
        raise SystemExit(3)

    desk.worker.submit(leave, failures.append, failures.append)
    desk.worker.submit(lambda: "next", failures.append, failures.append)
    pump(lambda: len(failures) == 2)
    assert isinstance(failures[0], SystemExit) and failures[1] == "next"


def test_a_worker_that_died_is_started_again_and_the_user_is_told(desk, pump, displayed, monkeypatch):
    results = []

    def fail(_callback) -> None:
        monkeypatch.setattr(desk.worker, "_post", desk.queue.post)
        raise MemoryError("nothing left to queue with")

    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    monkeypatch.setattr(desk.worker, "_post", fail)
    desk.worker.submit(lambda: "first", results.append, results.append)
    desk.worker.submit(lambda: "second", results.append, results.append)
    pump(lambda: len(results) == 2)
    assert results == ["first", "second"]
    assert [text for text, _ in displayed] == ["The background work ended unexpectedly and was started again."]


def test_what_goes_wrong_shows_once_and_goes_away_with_the_next_success(
    segmenting, visible, pump, blocks, displayed, caplog
):
    bar = segmenting.notices.bar()
    visible.layout().addWidget(bar.widget)
    controller = segmenting.controller
    blocks.fails = True
    controller.add(Click((5, 5, 5)))
    pump(lambda: not controller.state.busy)
    assert bar.text == "The block segmenter was told to fail; tell it not to." and displayed == []
    controller.setModel("geodesic")  # told again with every change, said once
    controller.setModel("block")
    pump(lambda: not controller.state.busy)
    assert caplog.text.count("told to fail") == 1
    blocks.fails = False
    controller.add(Click((5, 5, 5)))
    pump(lambda: not controller.state.busy)
    assert bar.text == ""
    segmenting.notices.removeBar(bar)


def test_without_a_visible_panel_the_application_shows_it(desk, displayed):
    desk.notices.bar()
    desk.notices.complain("No image.", "line 3")
    assert displayed == [("No image.", {"windowTitle": "MemSegSlicer", "detailedText": "line 3"})]


def test_an_unexpected_error_brings_its_details_along(desk, visible, caplog):
    bar = desk.notices.bar()
    visible.layout().addWidget(bar.widget)
    desk.notices.guarded(lambda: 1 / 0)()
    assert "ZeroDivisionError" in bar.text and "1 / 0" not in bar.text
    details = visible.findChildren(qt.QToolButton, "MemSegNoticeDetails")[0]
    assert details.visible
    details.click()
    (box,) = visible.findChildren(qt.QMessageBox, "MemSegNoticeDetailsBox")
    assert "division by zero" in box.detailedText and "division by zero" in caplog.text
    box.close()


def test_a_guarded_action_gets_no_more_arguments_than_it_takes(desk):
    button = qt.QPushButton()
    seen = []
    button.connect("clicked(bool)", desk.notices.guarded(lambda: seen.append("none")))
    button.connect("clicked(bool)", desk.notices.guarded(lambda checked: seen.append(checked)))
    button.connect("clicked(bool)", desk.notices.guarded(lambda *both: seen.append(both)))
    button.click()
    assert seen == ["none", False, (False,)]


def test_an_error_of_the_user_has_no_details(desk, visible):
    bar = desk.notices.bar()
    visible.layout().addWidget(bar.widget)

    def wrong() -> None:
        raise PromptError("The click lies outside the volume; click on the image.")

    desk.notices.guarded(wrong)()
    assert bar.text == "The click lies outside the volume; click on the image."
    assert not visible.findChildren(qt.QToolButton, "MemSegNoticeDetails")[0].visible
    visible.findChildren(qt.QToolButton, "MemSegNoticeClose")[0].click()
    assert bar.text == ""


def test_closing_waits_for_the_running_job_and_drops_the_rest(desk):
    started, order = threading.Event(), []

    def slow() -> None:
        started.set()
        time.sleep(0.05)
        order.append("slow")

    desk.worker.submit(slow, order.append, order.append)
    desk.worker.submit(lambda: order.append("never"), order.append, order.append)
    assert started.wait(10)
    desk.close()
    assert order == ["slow"]
