"""The module as Slicer loads it: its classes, what it registers, and its own self-tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import slicer
from desktop import scripted_modules

pytestmark = pytest.mark.slicer
FOLDER = Path(__file__).resolve().parents[2] / "MemSegSlicer"


@pytest.fixture
def module(desktop, scene):
    """Loaded, and started up."""
    from MemSegSlicerWidgets.Desk import Desk

    loaded = scripted_modules.loadFolder(FOLDER)["MemSegSlicer"]
    desktop.app.startupCompleted.emit()
    yield loaded
    loaded.unload()
    Desk.closeShared()
    slicer.qSlicerSegmentEditorEffectFactory.instance().forget("MemSeg")
    slicer.modules.sampleDataSources.clear()
    desktop.app.disconnect("startupCompleted()")


def test_the_folder_holds_one_module_only():
    """Slicer takes every .py directly in the folder for a module."""
    assert [path.name for path in FOLDER.glob("*.py")] == ["MemSegSlicer.py"]


def test_the_module_describes_itself(module):
    assert (module.title, module.categories) == ("MemSegSlicer", ["Segmentation"])
    assert "no image leaves it" in module.helpText and module.acknowledgementText and module.contributors
    assert not module.icon.isNull()


def test_after_startup_the_effect_is_registered_once(module, desktop):
    desktop.app.startupCompleted.emit()
    names = [effect.name for effect in slicer.qSlicerSegmentEditorEffectFactory.instance().registeredEffects()]
    assert names == ["MemSeg"]


def test_the_sample_data_come_from_the_disk(module):
    (source,) = slicer.modules.sampleDataSources["MemSegSlicer"]
    node = source.customDownloader(source)
    assert (node.GetName(), node.GetImageData().GetDimensions()) == ("AbdomenCT", (122, 101, 112))
    assert Path(source.thumbnailFileName).is_file()
    (address,) = source.uris
    assert address.startswith("file://") and address.endswith(source.fileNames[0])


def test_loading_it_imports_no_torch_no_qt_of_ours_and_little_else():
    """Slicer loads every module when it starts, whether it is used or not."""
    code = (
        "import sys, types\n"
        "for name in ('slicer', 'slicer.i18n', 'slicer.ScriptedLoadableModule'):\n"
        "    sys.modules[name] = types.ModuleType(name)\n"
        "sys.modules['slicer.i18n'].tr = sys.modules['slicer.i18n'].translate = print\n"
        "for name in ('', 'Widget', 'Logic', 'Test'):\n"
        "    setattr(sys.modules['slicer.ScriptedLoadableModule'], 'ScriptedLoadableModule' + name, object)\n"
        "sys.modules['slicer'].vtkMRMLScalarVolumeNode = object\n"
        f"sys.path.insert(0, {str(FOLDER)!r})\n"
        "import MemSegSlicer\n"
        "heavy = ('torch', 'numpy', 'scipy', 'SimpleITK', 'memseg', 'MemSegSlicerLib', 'MemSegSlicerWidgets')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_slicer_without_any_further_package_segments_by_clicks_and_words():
    """It brings numpy, scipy and SimpleITK."""
    code = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "absent = {'torch', 'safetensors', 'typer', 'rich', 'click', 'transformers', 'skimage', 'trame'}\n"
        "find = PathFinder.find_spec\n"
        "PathFinder.find_spec = lambda name, path=None, target=None: (\n"
        "    None if name.partition('.')[0] in absent else find(name, path, target))\n"
        "import numpy as np, memseg, MemSegSlicerLib.Controller\n"
        "image = np.zeros((20, 20, 20), np.int16)\n"
        "image[5:15, 5:15, 5:15] = 400\n"
        "volume = memseg.Volume(image, memseg.Grid.from_spacing(image.shape, (1, 1, 1)))\n"
        "session = memseg.new_session(volume)\n"
        "session.add(memseg.Click((10, 10, 10)))\n"
        "found = bool(session.mask_kji[6:14, 6:14, 6:14].all())\n"
        "session.add(memseg.Text('everything brighter than 300'))\n"
        "print(found, int(session.mask_kji.sum()))"
    )
    environment = {**os.environ, "PYTHONPATH": f"{FOLDER}{os.pathsep}{FOLDER.parent / 'Logic'}"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=120)
    assert done.stdout.split() == ["True", "1000"], done.stderr


def test_scripts_get_at_the_controller(module):
    from MemSegSlicerWidgets.Desk import Desk

    module.widgetRepresentation()
    assert slicer.modules.MemSegSlicerWidget.logic.controller is Desk.shared().controller


def test_a_reload_leaves_one_panel_that_works(module, scene):
    widget = module.widgetRepresentation()
    widget.enter()
    before = _observers(scene)
    for _ in range(3):
        old, shown = slicer.modules.MemSegSlicerWidget, widget.findChildren(slicer.qMRMLWidget)
        slicer.util.reloadScriptedModule("MemSegSlicer")
        for child in shown:  # Slicer only hides them
            child.delete()
        widget.enter()
        assert slicer.modules.MemSegSlicerWidget is not old
    assert _observers(scene) == before


def _observers(scene) -> int:
    return str(scene).count("vtkObserver")


def test_the_self_tests_pass_without_torch_and_without_views(module, desktop, monkeypatch):
    """As in a Slicer without a main window."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(desktop.app, "_layoutManager", None)
    assert desktop.app.layoutManager() is None
    slicer.selfTests["MemSegSlicer"](msec=0)
