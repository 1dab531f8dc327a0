"""Names of segments and what they mean: compared with the terminology file that Slicer and trame-slicer ship."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import slicer
from fakes import box_mask, turned_grid

from memseg.geometry import Box
from memseg.text import terminology
from memseg.text.terminology import Side
from memseg.volume import MaskChange
from MemSegSlicerLib import SampleData, SceneBridge, Terminology

pytestmark = pytest.mark.slicer

GRID = turned_grid()


@pytest.fixture(scope="module")
def lists(slicerApp) -> dict[str, dict]:
    """The lists of terms by their names."""
    folder = Path(slicerApp.share_directory) / "terminologies"
    contents = [
        json.loads((folder / f"SegmentationCategoryTypeModifier-{name}.term.json").read_text(encoding="utf-8"))
        for name in ("SlicerGeneralAnatomy", "DICOM-Master")
    ]
    return {content["SegmentationCategoryTypeContextName"]: content for content in contents}


CODE = ("CodingSchemeDesignator", "CodeValue", "CodeMeaning")
CODED = [(term, side) for term in terminology.TERMS for side in (None, *(Side if term.paired else ()))]


@pytest.fixture(scope="module")
def types(lists) -> dict[tuple[str, str, str], dict]:
    """Every type of the lists by the list's name and the codes of its category and its own, as in a segment's tag."""
    return {
        (context, *("^".join(each[field] for field in CODE) for each in (category, kind))): kind
        for context, content in lists.items()
        for category in content["SegmentationCodes"]["Category"]
        for kind in category["Type"]
    }


@pytest.fixture(scope="module")
def regions(slicerApp) -> dict[str, str]:
    """Meanings of the regions of Slicer's list by their codes."""
    path = Path(slicerApp.share_directory) / "terminologies" / "AnatomicRegionAndModifier-DICOM-Master.term.json"
    listed = json.loads(path.read_text(encoding="utf-8"))["AnatomicCodes"]["AnatomicRegion"]
    return {region["CodeValue"]: region["CodeMeaning"] for region in listed}


def test_codes_and_colours_are_those_of_the_lists(types, regions, slicerApp):
    parsed = slicer.vtkSlicerTerminologyEntry()
    for term, side in CODED:
        entry = Terminology.entryForTerm(term, side)
        if entry is None:
            continue
        context, category, kind, modifier, _, region, _ = entry.tag.split("~")
        listed = types[context, category, kind]
        modifiers = {each["CodeValue"]: each for each in listed.get("Modifier", [])}
        assert modifier == "^^" or modifier.split("^")[1] in modifiers, entry
        holders = [listed, *modifiers.values()]
        recommended = [each["recommendedDisplayRGBValue"] for each in holders if "recommendedDisplayRGBValue" in each]
        if recommended and term.listed:  # a left and a right one have a colour each in the lists, and one here
            assert list(np.round(np.array(entry.color) * 255)) in recommended, term.name
        assert region == "^^" or region.split("^")[1] in regions
        assert slicerApp.terminologies_logic.DeserializeTerminologyEntry(entry.tag, parsed)
        assert parsed.GetTypeObject().GetCodeValue() == kind.split("^")[1]


def test_most_names_have_codes_and_all_have_a_colour():
    coded = [Terminology.entryForTerm(term) is not None for term in terminology.TERMS]
    assert len(coded) > 500 and np.mean(coded) > 0.85
    assert all(term.rgb is not None for term in terminology.TERMS)


def test_the_bundled_volumes_structures_mean_what_its_description_says():
    text = (Path(SampleData.__file__).parents[1] / "Resources" / "SampleData" / "AbdomenCT.json").read_text("utf-8")
    described = {segment["display_name"]: segment["terminology"] for segment in json.loads(text)["segments"].values()}
    known = {name: Terminology.entryForName(name) for name in described}
    assert sum(entry is not None for entry in known.values()) >= 20
    for name, entry in known.items():
        assert entry is None or entry.tag == described[name]


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("Liver", "SCT^10200004^Liver~^^"),
        ("kidney_right", "SCT^64033007^Kidney~SCT^24028007^Right"),
        ("Left lung", "SCT^39607008^Lung~SCT^7771000^Left"),
        ("lung", "SCT^39607008^Lung~^^"),
        ("Urinary bladder", "SCT^89837001^Bladder~^^"),
        ("left ventricle", "SCT^87878005^Left Ventricle~^^"),
        ("tumour", "SCT^4147007^Mass~^^"),
        ("vertebrae_L3", "SCT^51282000^Vertebra~^^"),
        ("femur_left", "SCT^71341001^Femur~SCT^7771000^Left"),
        ("right lung lower lobe", "SCT^90572001^Lower lobe of lung~SCT^24028007^Right"),
        ("rib_left_7", "SCT^113197003^Rib~SCT^7771000^Left"),
        ("gluteus_maximus_left", "SCT^71616004^Muscle~^^"),
    ],
)
def test_names_are_understood_as_people_and_data_sets_write_them(name, codes):
    assert f"~{codes}~" in Terminology.entryForName(name).tag


@pytest.mark.parametrize("name", ["", "Segment_1", "left right kidney", "left liver", "kidneys"])
def test_names_that_mean_nothing_here_get_no_codes(name):
    assert Terminology.entryForName(name) is None


def test_a_lesion_s_code_goes_with_that_of_where_it_lies():
    tag = Terminology.entryForName("left kidney cyst").tag
    assert "~SCT^367643001^Cyst~^^~" in tag and tag.endswith("~SCT^64033007^Kidney~SCT^7771000^Left")


def test_a_named_segment_has_codes_and_colour_and_an_unnamed_one_a_colour_of_its_own(scene, addVolume):
    node = SceneBridge.newSegmentation(scene, addVolume(GRID))
    segmentation = node.GetSegmentation()
    liver, first, second, red = (
        segmentation.GetSegment(SceneBridge.addSegment(node, name, color))
        for name, color in (("liver", None), ("Segment 1", None), ("Segment 2", None), ("spleen", (1.0, 0.0, 0.0)))
    )
    assert np.allclose(np.array(liver.GetColor()) * 255, (221, 130, 101))
    assert first.GetColor() != second.GetColor()
    assert red.GetColor() == (1.0, 0.0, 0.0) and "78961009" in red.GetTerminology()
    assert liver.GetName() == "liver"


def test_the_segmentation_file_slicer_writes_holds_the_codes(scene, addVolume, tmp_path):
    volumeNode = addVolume(GRID)
    node = SceneBridge.newSegmentation(scene, volumeNode)
    segmentId = SceneBridge.addSegment(node, "right kidney")
    mask = box_mask(GRID.shape_kji, Box((2, 2, 2), (9, 9, 9)))
    SceneBridge.writeChange(node, segmentId, volumeNode, MaskChange.between(mask * 0, Box.of_shape(mask.shape), mask))
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(tmp_path / "kidney.seg.nrrd"))
    assert storage.WriteData(node)
    header = (tmp_path / "kidney.seg.nrrd").read_bytes().split(b"\n\n")[0].decode()
    tag = "TerminologyEntry:Segmentation category and type - 3D Slicer General Anatomy list"
    assert f"{tag}~SCT^123037004^Anatomical Structure~SCT^64033007^Kidney~SCT^24028007^Right~" in header
    assert "Segment0_Name:=right kidney" in header
