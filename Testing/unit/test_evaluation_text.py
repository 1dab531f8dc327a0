"""Measuring text prompts: queries are checked, truths made of labels, subjects left out, runs go on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from phantoms import axis_grid, chest, chest_parts
from rich.console import Console

from memseg.errors import FileError
from memseg.evaluation import dataset as datasets
from memseg.evaluation.text.cases import Selection, read
from memseg.evaluation.text.command import Options, Record, run
from memseg.evaluation.text.memories import memory_of, subjects_of, without
from memseg.evaluation.text.truths import piece_of
from memseg.geometry import Box, Grid
from memseg.memory.recall import RecallEntry, new_identity
from memseg.text.recalling import remember
from memseg.text.terminology import of_name
from memseg.volume import Volume

NAMES = {"lung_right": "right lung", "lung_left": "left lung", "aorta": "spine"}


def write_chests(folder: Path, subjects: int = 2) -> Path:
    """One chest a subject, each shifted by 6 mm from the one before, as NIfTI with a manifest."""
    records = []
    for number in range(subjects):
        grid = axis_grid()
        matrix = grid.ijk_to_ras.copy()
        matrix[0, 3] += 6 * number
        grid = Grid(grid.shape_kji, matrix)
        labels = np.zeros(grid.shape_kji, np.uint8)
        for value, name in enumerate(NAMES.values(), start=1):
            labels[chest_parts(grid)[name]] = value
        for kind, array in (("image", chest(grid).array_kji), ("label", labels)):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((6.0, 6.0, 6.0))
            image.SetOrigin((-matrix[0, 3], -matrix[1, 3], matrix[2, 3]))
            image.SetDirection((-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))  # files count L, P, S
            sitk.WriteImage(image, str(folder / f"{kind}{number}.nii.gz"))
        records.append(
            {"id": f"chest{number}", "image": f"image{number}.nii.gz", "label": f"label{number}.nii.gz",
             "labels": {name: value for value, name in enumerate(NAMES, start=1)}, "modality": "CT",
             "source": "place@x", "subject": f"subject-{number}"}
        )  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(records))
    return folder


def query(**changed) -> dict:
    return {"id": "one", "words": "left lung", "family": "anatomy", "volume": "chest0", "truth": "lung_left", **changed}


def write_queries(folder: Path, *records: dict) -> Path:
    path = folder / "queries.json"
    path.write_text(json.dumps(list(records)))
    return path


@pytest.fixture(scope="module")
def entry() -> RecallEntry:
    """Something remembered."""
    grid = axis_grid((12, 12, 12), (4.0, 4.0, 4.0))
    image = np.zeros(grid.shape_kji, np.int16)
    image[3:9, 3:9, 3:9] = 100
    return remember(Volume(image, grid), Box((3, 3, 3), (9, 9, 9)), image[3:9, 3:9, 3:9], "left lung")


@pytest.fixture
def quick_recall(monkeypatch, entry):
    """Remembering takes no time, and recalls nothing: physics alone answers. test_talking.py shows that recall does."""

    def remembered(volume, box, values, name, modality, subject) -> RecallEntry:
        term, side = of_name(name)
        return replace(entry, name=name, key=term.key, side=side or "", subject=subject, identity=new_identity())

    monkeypatch.setattr("memseg.evaluation.text.memories.remember", remembered)
    monkeypatch.setattr("memseg.text.sources.recall", lambda *_, **__: None)


@pytest.fixture(scope="module")
def chests(tmp_path_factory) -> Path:
    return write_chests(tmp_path_factory.mktemp("chests"))


def evaluated(folder: Path, tmp_path: Path, *records: dict, **options) -> Record:
    queries = write_queries(tmp_path, *records)
    asked = Options(folder, queries, model="geodesic", **options)
    return run(asked, Console(quiet=True))


# -- queries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"truht": "lung_left"}, "the key 'truht', which means nothing"),
        ({"words": ""}, "no usable 'words'"),
        ({"family": "poetry"}, "is of the family 'poetry'"),
        ({"volume": "knee"}, "for the volume 'knee', which the data set lacks"),
        ({"truth": "liver"}, "the label 'liver', which its volume lacks"),
        ({"truth": {"sum": ["aorta"]}}, "no expression of labels"),
        ({"truth": {"part": "upwards", "of": "aorta"}}, "the part 'upwards'"),
        ({"truth": {"all": "aorta"}}, "'all' without a list"),
        ({"truth": {"above": "bright"}}, "'above' without a number"),
        ({"refused": "not found"}, "either a truth or the words"),
        ({"asked": {"term": "no such term"}}, "an 'asked' that is no query"),
    ],
)
def test_a_query_that_cannot_be_used_is_told(chests, tmp_path, changed, message):
    with pytest.raises(FileError, match=message):
        read(write_queries(tmp_path, query(**changed)), datasets.read(chests))


def test_queries_are_chosen_by_subject_and_number(chests, tmp_path):
    records = [query(id=str(number), volume=f"chest{number % 2}") for number in range(8)]
    path, dataset = write_queries(tmp_path, *records), datasets.read(chests)
    assert [case.identity for case in Selection.read(dataset, path, "all", 4).cases] == ["0", "2", "4", "6"]
    assert len(Selection.read(dataset, path, "training", None).cases) == 8
    with pytest.raises(FileError, match="no queries for validation subjects"):
        Selection.read(dataset, path, "validation", None)


def test_words_without_a_volume_are_only_to_be_understood(chests, tmp_path, quick_recall):
    only = query(id="two", words="lungs", volume=None, truth=None, asked={"term": "lung", "every": True})
    wrong = query(id="three", words="lungs", volume=None, truth=None, asked="left lung")
    record = evaluated(chests, tmp_path, query(), only, wrong, curve=False)
    assert {score.identity: score.understood for score in record.scores} == {"one": True, "two": True, "three": False}
    assert [score.entry for score in record.scores] == ["chest0", "", ""]
    with pytest.raises(FileError, match="neither a volume nor what it asks for"):
        read(write_queries(tmp_path, query(volume=None, truth=None)), datasets.read(chests))


def test_two_queries_of_the_same_id_are_told(chests, tmp_path):
    with pytest.raises(FileError, match="the same id"):
        read(write_queries(tmp_path, query(), query()), datasets.read(chests))


# -- truths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        ("cube", 64),
        ({"all": ["cube", "bar"]}, 64 + 12),
        ({"both": ["cube", {"grown": 1, "of": "cube"}]}, 64),
        ({"of": {"grown": 1, "of": "cube"}, "less": "cube"}, 96),
        ({"part": "superior", "of": "cube"}, 32),
        ({"part": "left", "share": 0.25, "of": "bar"}, 3),
        ({"largest": 1, "of": {"all": ["cube", "bar"]}}, 64),
        ({"smallest": 1, "of": {"all": ["cube", "bar"]}}, 12),
        ({"above": 50}, 64),
        ({"above": 20, "below": 50, "in": "bar"}, 12),
        ({"filled": {"of": "cube", "less": {"grown": -1, "of": "cube"}}}, 64),
    ],
)
def test_a_truth_is_made_of_labels(expression, count):
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[4:8, 4:8, 4:8], labels[12, 12, 3:15] = 1, 2
    volume = Volume(np.array([0, 100, 30])[labels].astype(np.int16), Grid.from_spacing(labels.shape, (1, 1, 1)))
    assert piece_of(expression, volume, labels, {"cube": 1, "bar": 2}).voxels == count


def test_a_truth_without_voxels_is_told():
    labels = np.zeros((5, 5, 5), np.uint8)
    labels[2, 2, 2] = 1
    volume = Volume(labels.astype(np.int16), Grid.from_spacing(labels.shape, (1, 1, 1)))
    with pytest.raises(FileError, match="holds no voxel"):
        piece_of({"of": "dot", "less": "dot"}, volume, labels, {"dot": 1})
    with pytest.raises(FileError, match="asks for piece 2 of 1"):
        piece_of({"largest": 2, "of": "dot"}, volume, labels, {"dot": 1})


# -- subjects --------------------------------------------------------------------------------------------------------


def test_of_its_own_subject_a_query_remembers_nothing(tmp_path, quick_recall):
    dataset = datasets.read(write_chests(tmp_path, subjects=4))
    memory = memory_of(dataset)
    assert len(memory) == 12
    assert {entry.subject for entry in without(memory, dataset, "subject-1")} == {"subject-0", "subject-2", "subject-3"}
    assert {entry.subject for entry in without(memory, dataset, "subject-1", 1)} == {"subject-2"}
    assert {entry.subject for entry in without(memory, dataset, "subject-3", 2)} == {"subject-0", "subject-1"}
    assert subjects_of(memory, "lung") == 4 and subjects_of(memory, "liver") == 0


# -- a run -----------------------------------------------------------------------------------------------------------


def test_a_run_measures_what_is_found_and_what_is_refused(chests, tmp_path, quick_recall):
    refused = {
        key: value for key, value in query(id="three", words="liver", family="refused").items() if key != "truth"
    }
    record = evaluated(
        chests,
        tmp_path,
        query(asked="left lung"),
        query(id="two", words="right lung"),  # found, but not what the query is for
        {**refused, "refused": "was not found"},
        query(id="four", asked="right lung"),
        query(id="five", words="grow by 6 mm", family="command", mask="aorta", truth={"grown": 6, "of": "aorta"}),
        query(
            id="six",
            words="upper half of the aorta",
            family="position",
            segments={"aorta": "aorta"},
            truth={"part": "superior", "of": "aorta"},
        ),
        curve=False,
    )
    one, two, three, four, five, six = record.scores
    assert one.understood and one.is_found and one.dice > 0.85 and one.dice_after > 0.5 and one.subjects == 1
    assert two.understood and not two.is_found and two.dice < 0.05
    assert three.is_found and "liver was not found" in three.trouble
    assert four.is_found and not four.understood
    assert five.overlap == 1 and five.link == "mask"
    assert six.aided and six.is_found and not one.aided
    assert record.curve == {}


def test_a_run_goes_on_where_it_stopped_and_writes_its_report(chests, tmp_path, quick_recall):
    options = {"parts": tmp_path / "parts", "output": tmp_path / "RESULTS.md", "json": tmp_path / "all.json"}
    record = evaluated(chests, tmp_path, query(), query(id="two", volume="chest1"), curve=False, **options)
    files = sorted((tmp_path / "parts").iterdir())
    assert len(files) == 2
    changed = json.loads(files[0].read_text())
    changed["objects"][0]["dice"] = 0.123
    files[0].write_text(json.dumps(changed))
    again = evaluated(chests, tmp_path, query(), query(id="two", volume="chest1"), curve=False, **options)
    assert sorted(score.dice for score in again.scores)[0] == 0.123
    assert max(score.dice for score in again.scores) in [score.dice for score in record.scores]
    report = (tmp_path / "RESULTS.md").read_text()
    assert "| anatomy | 2 | 100% | 100% |" in report and "memseg evaluate text" in report
    assert str(tmp_path) not in report
    assert json.loads((tmp_path / "all.json").read_text())["goals"][1]["measured"] == "100%"


def test_the_curve_leaves_all_but_so_many_subjects_out(tmp_path, quick_recall):
    folder = write_chests(tmp_path, subjects=11)
    record = evaluated(folder, tmp_path, query(), curve=True)
    assert list(record.curve) == ["1 subject", "3 subjects", "10 subjects", "all others"]
    assert all(len(scores) == 1 for scores in record.curve.values())
