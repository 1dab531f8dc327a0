"""What the MemSeg effect shows below the editor's tools, in step with the editor's node and with the session."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import box_mask
from pointing import GRID, SHAPE, A, block

from memseg import catalog
from memseg.geometry import Box, Grid

pytestmark = pytest.mark.slicer


def test_the_options_follow_the_node(stage):
    stage.host.setParameter("BrushMm", 7.5)
    stage.host.setParameter("Positive", 0)
    stage.host.setParameter("Axis", "j")
    stage.host.setParameter("First", 4)
    stage.host.setParameter("Last", 20)
    assert stage.widget("MemSegBrush").value == 7.5
    assert stage.widget("MemSegRemove").checked and not stage.widget("MemSegAdd").checked
    assert stage.widget("MemSegAxis").currentText == "Coronal"
    assert (stage.widget("MemSegFirst").value, stage.widget("MemSegLast").value) == (4, 20)


def test_the_node_follows_the_options(stage):
    stage.widget("MemSegBrush").value = 2.5
    stage.widget("MemSegRemove").click()
    stage.widget("MemSegAxis").currentIndex = 3
    stage.widget("MemSegLast").value = 12
    kept = {
        name: stage.node.GetAttribute(f"MemSeg.{name}") for name in ("BrushMm", "Positive", "Axis", "First", "Last")
    }
    assert kept == {"BrushMm": "2.5", "Positive": "0", "Axis": "i", "First": "-1", "Last": "12"}


def test_showing_what_the_node_says_is_no_edit(stage):
    edits = []
    setParameter = stage.host.setParameter
    stage.host.__dict__["setParameter"] = lambda *arguments: edits.append(arguments)
    for _ in range(3):
        stage.host.updateGUIFromMRML()
    del stage.host.__dict__["setParameter"]
    assert edits == [] and setParameter is not None


def test_the_axes_are_named_after_the_views_and_follow_the_volume(stage, addVolume):
    axis = stage.widget("MemSegAxis")
    names = [axis.itemText(row) for row in range(axis.count)]
    assert names == ["Axis of the view", "Axial", "Coronal", "Sagittal"]
    axis.currentIndex = 1
    assert stage.widget("MemSegLast").value == 29
    stage.editor.setSourceVolumeNode(addVolume(Grid.from_spacing((12, 20, 20), (1.0, 1.0, 1.0))))
    assert stage.widget("MemSegLast").maximum == 11


def test_the_axis_of_the_view_takes_the_whole_range(stage):
    assert stage.widget("MemSegAxis").currentIndex == 0
    assert not stage.widget("MemSegFirst").visible and not stage.widget("MemSegLast").visible


def test_it_says_what_there_is_and_what_to_do(stage):
    assert "Click inside the structure" in stage.text("MemSegStatus")
    stage.click(A)
    assert stage.text("MemSegStatus").startswith("125 voxels")
    assert "1 prompt" in stage.text("MemSegStatus")
    assert not stage.widget("MemSegBusy").visible


def test_models_are_offered_and_chosen(stage):
    model = stage.widget("MemSegModel")
    offered = [model.itemData(row) for row in range(model.count)]
    assert offered == [card.name for card in catalog.installed()]
    assert model.itemData(model.currentIndex) == "block"
    row = offered.index("geodesic")
    model.currentIndex = row
    model.activated.emit(row)
    stage.settle()
    assert stage.state.model == "geodesic"


def test_the_real_geodesic_model_segments_a_bright_cube(makeStage):
    cube = box_mask(SHAPE, Box((10, 10, 10), (20, 20, 20)))
    noise = np.random.default_rng(1).normal(0, 4, SHAPE)
    stage = makeStage(GRID, (100 * cube + noise).astype(np.int16))
    stage.desk.controller.setModel("geodesic")
    stage.begin()
    stage.click((15, 15, 15))
    mask = stage.mask()
    assert 2.0 * (mask & cube).sum() / (mask.sum() + cube.sum()) > 0.8
    stage.undo()
    assert not stage.mask().any() and stage.prompts == []


def test_leaving_hides_the_options_and_returning_shows_where_it_was(stage):
    stage.click(A)
    stage.editor.setActiveEffectByName("")
    assert not stage.host.optionsFrame().visible
    stage.begin()
    assert stage.host.optionsFrame().visible and "1 prompt" in stage.text("MemSegStatus")
    assert np.array_equal(stage.mask(), block(A))


def test_a_picture_of_the_options_shows_them_all(stage, screenshot):
    from PIL import Image

    stage.click(A)
    picture = np.asarray(Image.open(screenshot(stage.host.optionsFrame(), "options.png")).convert("L"))
    assert picture.shape[0] > 150 and picture.shape[1] > 250 and picture.std() > 10
