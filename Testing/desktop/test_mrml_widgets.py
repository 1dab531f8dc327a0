"""Stand-ins for Slicer's widgets follow the real scene."""

from __future__ import annotations

import pytest
import slicer

from memseg.geometry import Grid
from MemSegSlicerLib import SceneBridge

pytestmark = pytest.mark.slicer
GRID = Grid.from_spacing((4, 5, 6), (1, 1, 1))


@pytest.fixture
def selector(scene):
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    yield selector
    selector.delete()


def test_a_selector_without_none_shows_the_first_node_and_then_the_next(selector, scene, addVolume):
    selector.setMRMLScene(scene)
    told = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", told.append)
    first, second = addVolume(GRID, name="first"), addVolume(GRID, name="second")
    assert selector.currentNode() is first
    scene.RemoveNode(first)
    assert selector.currentNode() is second and told == [first, second]


def test_a_selector_with_none_waits_for_the_user(selector, scene, addVolume):
    selector.noneEnabled = True
    selector.setMRMLScene(scene)
    node = addVolume(GRID)
    assert selector.currentNode() is None and selector.nodeCount() == 1
    selector.setCurrentNode(node)
    assert selector.currentNodeID == node.GetID()
    scene.Clear(False)
    assert selector.currentNode() is None and selector.currentNodeID == ""


def test_a_selector_lists_no_helper_nodes_and_no_other_classes(selector, scene, addVolume):
    selector.setMRMLScene(scene)
    hidden = scene.CreateNodeByClass("vtkMRMLScalarVolumeNode")
    hidden.UnRegister(None)
    hidden.SetHideFromEditors(True)
    scene.AddNode(hidden)
    scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert selector.nodeCount() == 0


def test_a_deleted_selector_no_longer_listens(scene, addVolume):
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(scene)
    selector.delete()
    addVolume(GRID)  # would be an error in the deleted widget


def test_the_table_of_segments_follows_names_and_selection(scene, addVolume):
    segmentation = SceneBridge.newSegmentation(scene, addVolume(GRID))
    liver = SceneBridge.addSegment(segmentation, "liver", (1.0, 0.0, 0.0))
    table = slicer.qMRMLSegmentsTableView()
    told = []
    table.connect("selectionChanged(QItemSelection,QItemSelection)", lambda: told.append(table.selectedSegmentIDs()))
    table.setSegmentationNode(segmentation)
    spleen = SceneBridge.addSegment(segmentation, "spleen", (0.0, 1.0, 0.0))
    assert table.segmentCount() == 2
    table.setSelectedSegmentIDs([spleen])
    assert table.selectedSegmentIDs() == (spleen,) and told[-1] == (spleen,)
    segmentation.GetSegmentation().GetSegment(liver).SetName("liver, right")
    assert table.tableWidget().item(0, 2).text() == "liver, right"
    table.tableWidget().item(1, 2).setText("milt")
    assert segmentation.GetSegmentation().GetSegment(spleen).GetName() == "milt"
    table.delete()


def test_the_selector_of_segments_goes_on_to_another_when_one_is_removed(scene, addVolume):
    segmentation = SceneBridge.newSegmentation(scene, addVolume(GRID))
    selector = slicer.qMRMLSegmentSelectorWidget()
    selector.setMRMLScene(scene)
    first = SceneBridge.addSegment(segmentation, "a", (1.0, 0.0, 0.0))
    second = SceneBridge.addSegment(segmentation, "b", (0.0, 1.0, 0.0))
    assert (selector.currentNode(), selector.currentSegmentID()) == (segmentation, first)
    segmentation.GetSegmentation().RemoveSegment(first)
    assert selector.currentSegmentID() == second
    selector.delete()
