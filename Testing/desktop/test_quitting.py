"""The application quits, in the middle of a job, with panel and effect in use: nothing raises, nothing hangs."""

from __future__ import annotations

import pytest
import qt
from effect_stage import effectClass, makeStage, stage  # noqa: F401  fixtures

from memseg.prompts import Click
from MemSegSlicerWidgets.Desk import Desk
from MemSegSlicerWidgets.Panel import Panel

pytestmark = pytest.mark.slicer


def test_quitting_in_the_middle_of_a_job_ends_panel_and_effect_quietly(stage, scene, desktop):
    parent = qt.QWidget()
    panel = Panel(parent, scene)
    panel.enter()
    desk = Desk.shared()
    desk.controller.add(Click((5, 5, 5)))
    assert desk.controller.state.busy
    desktop.app.aboutToQuit.emit()
    assert desk.isClosed
    stage.editor.setActiveEffectByName("")  # what Slicer does next: the effect, the panel, the scene
    panel.exit()
    panel.cleanup()
    scene.Clear(False)
    parent.delete()
    desktop.app.processEvents()
    desk.queue.process()  # what the job posted before it was over; nobody takes it any more
    assert desk.controller.state.prompts == () and not desk.worker.busy
