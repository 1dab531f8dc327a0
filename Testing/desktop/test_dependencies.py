"""Nothing is installed unasked, and everything works without it."""

from __future__ import annotations

import sys
import types

import pytest
import qt
import slicer

from MemSegSlicerWidgets import Dependencies as module
from MemSegSlicerWidgets.Dependencies import Dependencies
from MemSegSlicerWidgets.Notices import Notices

pytestmark = pytest.mark.slicer


class Computer:
    """What is installed on it, and how often what was installed."""

    def __init__(self) -> None:
        self.packages: set[str] = set()
        self.log: list[str] = []
        self.fails = False

    def installTorch(self, askConfirmation: bool, torchVersionRequirement: str) -> None:
        assert not askConfirmation
        self._install("torch", torchVersionRequirement)

    def pip_install(self, requirement: str) -> None:
        name, _, version = requirement.partition(">=")
        self._install(name, f">={version}")

    def _install(self, name: str, versions: str) -> None:
        if self.fails:
            raise RuntimeError("no space left on device")
        self.log.append(f"{name}{versions}")
        self.packages.add(name)


@pytest.fixture
def computer(monkeypatch, desktop):
    computer = Computer()
    monkeypatch.setattr(module, "find_spec", lambda name: name if name in computer.packages else None)
    monkeypatch.setattr(slicer.util, "pip_install", computer.pip_install)
    monkeypatch.setattr(desktop.app, "_testing", False)
    monkeypatch.setattr(desktop.app.extensionsManagerModel(), "asked", [])
    monkeypatch.setattr(desktop.app.extensionsManagerModel(), "isReachable", True)
    qt.QSettings().clear()
    yield computer
    qt.QSettings().clear()


@pytest.fixture
def withExtension(computer, monkeypatch):
    """Slicer's PyTorch extension is there."""
    logic = types.SimpleNamespace(PyTorchUtilsLogic=lambda: types.SimpleNamespace(installTorch=computer.installTorch))
    monkeypatch.setitem(sys.modules, "PyTorchUtils", logic)
    monkeypatch.setattr(slicer.modules, "pytorchutils", logic, raising=False)


@pytest.fixture
def shown(monkeypatch):
    """What the user was told."""
    shown: list[str] = []
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **options: shown.append(text))
    monkeypatch.setattr(slicer.util, "showStatusMessage", lambda text, *_: shown.append(text))
    return shown


@pytest.fixture
def dependencies(computer, shown):
    dependencies = Dependencies(Notices())
    yield dependencies
    dependencies.close()


def question(name: str):
    """The open question of that name; None where there is none."""
    boxes = [widget for widget in qt.QApplication.topLevelWidgets() if widget.objectName == name and widget.visible]
    return boxes[-1] if boxes else None


def answer(name: str, yes: bool) -> None:
    question(name).button(qt.QMessageBox.Yes if yes else qt.QMessageBox.No).click()


def test_the_first_visit_asks_once_says_the_size_and_takes_no_for_an_answer(dependencies, computer, withExtension):
    dependencies.offerOnce()
    text = question("MemSegOfferPyTorch").text
    assert "200 MB" in text and "works right away" in text and "Nano" in text
    answer("MemSegOfferPyTorch", yes=False)
    assert computer.log == [] and question("MemSegOfferPyTorch") is None
    dependencies.offerOnce()
    assert question("MemSegOfferPyTorch") is None


def test_a_slicer_under_test_is_not_asked(dependencies, desktop, monkeypatch):
    monkeypatch.setattr(desktop.app, "_testing", True)
    dependencies.offerOnce()
    assert question("MemSegOfferPyTorch") is None


def test_nothing_is_asked_where_nothing_is_missing(dependencies, computer):
    computer.packages = {"torch", "safetensors"}
    dependencies.offerOnce()
    dependencies.offer()
    assert question("MemSegOfferPyTorch") is None and dependencies.missing == ()


def test_after_a_yes_both_packages_come_and_those_who_wait_are_told(dependencies, computer, withExtension, shown):
    told = []
    dependencies.installed.add(told.append)
    dependencies.offer()
    answer("MemSegOfferPyTorch", yes=True)
    assert computer.log == ["torch>=2.6", "safetensors>=0.4"]
    assert told == [("torch", "safetensors")] and shown == ["torch, safetensors is installed."]


def test_a_slicer_that_has_a_packaging_module_installs_by_it(dependencies, computer, withExtension, monkeypatch):
    asked = []

    def pip_ensure(requirements, prompt_install, requester):
        asked.append((requirements, prompt_install, requester))
        computer.packages.add("safetensors")

    packaging = types.ModuleType("slicer.packaging")
    packaging.pip_ensure = pip_ensure
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    computer.packages = {"torch"}
    dependencies.offer()
    assert "one small package" in question("MemSegOfferPyTorch").text
    answer("MemSegOfferPyTorch", yes=True)
    assert asked == [(["safetensors>=0.4"], False, "MemSegSlicer")]


def test_the_extension_comes_first_and_the_rest_after_a_restart(dependencies, computer, desktop, monkeypatch, request):
    dependencies.offerOnce()
    answer("MemSegOfferPyTorch", yes=True)
    assert desktop.app.extensionsManagerModel().asked == [("PyTorch", False, False)]
    assert desktop.app.extensionsManagerModel().interactive and computer.log == []
    restarts = []
    monkeypatch.setattr(slicer.util, "restart", lambda: restarts.append("now"))
    assert question("MemSegRestart") is not None
    answer("MemSegRestart", yes=False)
    assert restarts == []
    request.getfixturevalue("withExtension")  # the next start of Slicer
    Dependencies(Notices()).offerOnce()
    answer("MemSegOfferPyTorch", yes=True)
    assert computer.log == ["torch>=2.6", "safetensors>=0.4"]


def test_without_a_network_it_says_so_and_nothing_breaks(dependencies, desktop, monkeypatch, shown):
    monkeypatch.setattr(desktop.app.extensionsManagerModel(), "isReachable", False)
    dependencies.offer()
    answer("MemSegOfferPyTorch", yes=True)
    assert "check the network connection" in shown[-1] and question("MemSegRestart") is None


def test_a_failed_installation_is_told_with_its_details(dependencies, computer, withExtension, shown):
    computer.fails = True
    dependencies.offer()
    answer("MemSegOfferPyTorch", yes=True)
    assert shown == [
        "torch, safetensors could not be installed; the details say why. Restart Slicer and try again, or go on with "
        "the Geodesic model."
    ]


def test_the_panel_has_a_button_for_it_while_something_is_missing(computer, withExtension, shown, scene, blocks):
    from MemSegSlicerWidgets.Desk import Desk
    from MemSegSlicerWidgets.Panel import Panel

    parent = qt.QWidget()
    panel = Panel(parent, scene)
    parent.show()
    button = slicer.util.findChild(parent, "installButton")
    assert button.isVisibleTo(button.parentWidget())
    button.click()
    answer("MemSegOfferPyTorch", yes=True)
    assert computer.packages == {"torch", "safetensors"} and not button.isVisibleTo(button.parentWidget())
    assert Desk.shared().controller.state.model == "nano"
    panel.cleanup()
    parent.delete()
    Desk.closeShared()
