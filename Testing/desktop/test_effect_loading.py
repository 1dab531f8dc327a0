"""Slicer's loader finds the MemSeg effect: file, class and folder are named as it wants them, and clones are whole."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest
import qSlicerSegmentationsEditorEffectsPythonQt as effects
import slicer
from effect_stage import FOLDER, SOURCE

pytestmark = pytest.mark.slicer
TAKEN_KEYS = {"q", "w", "z", "y", "Escape", "space", "i", "Left", "Right", "Up", "Down", *"1234567890"}


def load(source: Path) -> type:
    """What `qSlicerSegmentEditorScriptedEffect::setPythonSource` does to find a class: the folder names the module, the
    file the class; where the module is imported already and has the class, that one is taken."""
    moduleName, className = source.parent.name, source.stem
    assert className.endswith("Effect")
    return getattr(sys.modules[moduleName], className)


def test_the_class_is_named_like_the_file_and_exported_by_its_folder(effectClass):
    cls = load(SOURCE)
    assert (
        cls.__name__ == SOURCE.stem and cls is importlib.import_module("SegmentEditorMemSegLib").__dict__[SOURCE.stem]
    )
    assert type(effectClass.self()) is cls


def test_the_package_is_the_one_that_was_imported_after_the_loader_was_there(effectClass):
    """The loader puts the effect that it made last into `slicer`, under the folder's name, and must not replace the
    package, or its other modules could not be imported any more."""
    package = sys.modules["SegmentEditorMemSegLib"]
    assert Path(package.__file__) == SOURCE.parent / "__init__.py"
    assert slicer.SegmentEditorMemSegLib is effectClass.self()


def test_the_folder_holds_one_effect_and_no_other_file_ends_as_one():
    files = sorted(path.name for path in SOURCE.parent.glob("*.py"))
    assert [name for name in files if name.endswith("Effect.py")] == ["SegmentEditorMemSegEffect.py"]
    assert not (FOLDER / "SegmentEditorMemSegEffect.py").exists()  # there Slicer would take it for a module


def test_a_clone_is_another_effect_of_the_same_class(effectClass):
    clone = effectClass.clone()
    assert isinstance(clone, effects.qSlicerSegmentEditorScriptedEffect)
    assert clone.self() is not effectClass.self() and type(clone.self()) is type(effectClass.self())
    assert (clone.name, clone.title, clone.perSegment, clone.requireSegments) == ("MemSeg", "MemSeg", True, True)


def test_each_editor_has_its_own(effectClass, makeEditor):
    first, second = (makeEditor().effectByName("MemSeg") for _ in range(2))
    assert first is not second and first.self() is not second.self()
    assert first.optionsFrame() is not second.optionsFrame()


def test_it_has_an_icon_of_its_own_and_says_how_it_is_used(effectClass):
    assert not effectClass.icon().isNull()
    assert effectClass.icon().pixmap(32, 32).width() == 32
    words = re.sub("<[^>]*>", " ", effectClass.helpText())
    for name in ("Left-click", "Ctrl", "drag", "In words", "Propagate", "Undo"):
        assert name in words


def test_defaults_are_given_and_choices_kept(stage):
    given = {name: stage.node.GetAttribute(f"MemSeg.{name}") for name in ("Positive", "BrushMm", "First", "Last")}
    assert given == {"Positive": "1", "BrushMm": "3.0", "First": "-1", "Last": "-1"}
    stage.host.setParameter("BrushMm", 5.5)
    stage.editor.setActiveEffectByName("")
    stage.host.call("setMRMLDefaults")
    assert stage.node.GetAttribute("MemSeg.BrushMm") == "5.5"


def test_nothing_is_made_before_the_effect_is_used(effectClass, makeEditor, scene):
    from MemSegSlicerWidgets.Desk import Desk

    makeEditor()
    assert Desk._shared is None
    assert scene.GetSingletonNode("MemSegSlicer", "vtkMRMLScriptedModuleNode") is None
