"""Slicer's desktop for tests: one application for the whole run, a scene emptied before each test."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import slicer
from desktop import application
from desktop.application import Desktop
from Testing.slicer.conftest import (  # noqa: F401  fixtures
    addTransform,
    addVolume,
    blocks,
    blockSlices,
    ownRecallMemory,
    scene,
)
from trame_slicer.core import SlicerApp

DESKTOP = application.install()  # before the tests are imported: they import qt

from effect_stage import effectClass, makeStage, stage  # noqa: E402, F401  fixtures


def pytest_unconfigure() -> None:
    shutil.rmtree(DESKTOP.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def desktop() -> Desktop:
    return DESKTOP


@pytest.fixture(scope="session")
def slicerApp(desktop: Desktop) -> SlicerApp:
    return desktop.core


@pytest.fixture
def pump(desktop: Desktop) -> Callable[..., None]:
    """Turn the event loop until something is so."""

    def turn(until: Callable[[], bool], timeout: float = 60.0) -> None:
        assert application.pump(desktop.app, until, timeout), "it did not come to that in time"

    return turn


@pytest.fixture
def screenshot(tmp_path: Path) -> Callable[..., Path]:
    """The widget as a PNG file."""

    def take(widget: object, name: str = "widget.png") -> Path:
        application.screenshot(widget, tmp_path / name)
        return tmp_path / name

    return take


@pytest.fixture
def makeEditor(desktop: Desktop, scene: slicer.vtkMRMLScene) -> Iterator[Callable[[], object]]:  # noqa: F811
    """A Segment Editor that watches the slice views, with the effects registered so far."""
    editors = []

    def make() -> object:
        desktop.app.makeViews()
        editor = slicer.qMRMLSegmentEditorWidget()
        editor.setMRMLScene(scene)
        editor.setMRMLSegmentEditorNode(scene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
        editor.setupViewObservations()
        editors.append(editor)
        return editor

    yield make
    for editor in editors:
        editor.cleanup()
        editor.delete()


@pytest.fixture(autouse=True)
def noErrorInSlots(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """Qt goes on when a slot raises; a test does not. One that expects an error empties the list."""
    raised: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: raised.append(error.with_traceback(trace)))
    yield raised
    if raised:
        raise raised[0]
