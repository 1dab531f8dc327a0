"""Data sets come from elsewhere: what is good is read, what is not is a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from memseg.errors import FileError
from memseg.evaluation import dataset as datasets
from memseg.evaluation.dataset import Selection


def write_image(path: Path, array_kji: np.ndarray) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(array_kji), str(path))


def entry(**changes: object) -> dict[str, object]:
    return {
        "id": "one",
        "image": "image.nii.gz",
        "label": "label.nii.gz",
        "labels": {"large": 1, "small": 2},
        "modality": "CT",
        "source": "github:some/where@abc:file",
        "subject": "patient-1",
        **changes,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One volume of 12 x 12 x 12 with an object of 216 voxels and one of 8."""
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[1:7, 1:7, 1:7] = 1
    labels[8:10, 8:10, 8:10] = 2
    write_image(tmp_path / "image.nii.gz", labels.astype(np.int16) * 50)
    write_image(tmp_path / "label.nii.gz", labels)
    (tmp_path / "manifest.json").write_text(json.dumps([entry()]))
    return tmp_path


def test_objects_come_with_their_volume_truth_and_source(folder):
    (found,) = datasets.read(folder).objects()  # the small one has fewer than 30 voxels
    assert (found.name, found.entry.source, found.entry.subject) == ("large", "github:some/where CT", "patient-1")
    assert found.box.start_kji == (1, 1, 1) and found.box.stop_kji == (7, 7, 7)
    assert found.truth.all()
    assert found.volume.shape_kji == (12, 12, 12)


def test_the_manifest_itself_can_be_given(folder):
    assert datasets.read(folder / "manifest.json") == datasets.read(folder)


def test_of_many_objects_those_at_even_ranks_of_size_are_taken(folder):
    labels = np.zeros((12, 12, 12), np.uint8)
    for value in range(1, 6):
        labels[2 * value - 1, :, : 4 + value] = value  # 60, 72, 84, 96, 108 voxels
    write_image(folder / "label.nii.gz", labels)
    (folder / "manifest.json").write_text(json.dumps([entry(labels={f"bar {n}": n for n in range(1, 6)})]))
    names = [found.name for found in datasets.read(folder).objects(most=3)]
    assert names == ["bar 1", "bar 3", "bar 5"]


def test_subjects_are_split_once_and_for_all(folder):
    records = [entry(), entry(id="two", subject="sts-002"), entry(id="three", subject="sts-001")]
    (folder / "manifest.json").write_text(json.dumps(records))
    dataset = datasets.read(folder)
    assert [each.identity for each in dataset.of_subjects("validation").entries] == ["two"]
    assert [each.identity for each in dataset.of_subjects("training").entries] == ["one", "three"]
    assert dataset.of_subjects("all") == dataset
    with pytest.raises(FileError, match="choose one of: validation, training, all"):
        dataset.of_subjects("test")


def test_a_selection_takes_objects_at_even_distances(folder):
    records = [entry(id=str(number), labels={"large": 1}) for number in range(5)]
    (folder / "manifest.json").write_text(json.dumps(records))
    dataset = datasets.read(folder)
    assert [found.entry.identity for found in Selection(dataset, limit=3).objects()] == ["0", "2", "4"]
    assert len(list(Selection(dataset).objects())) == len(list(Selection(dataset, limit=9).objects())) == 5


def test_a_selection_of_nothing_is_a_sentence(folder):
    with pytest.raises(FileError, match="ask for at least one object"):
        Selection(datasets.read(folder), limit=0)
    with pytest.raises(FileError, match="holds no validation subjects; ask for --subjects all"):
        datasets.select(folder, "validation")


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ({}, "no list of labelled volumes"),
        ([], "no list of labelled volumes"),
        (["one"], "Entry 1 of the manifest is not a record"),
        ([entry(id=None)], "no usable 'id'"),
        ([entry(), {"id": "two"}], "Entry 2 of the manifest has no usable 'image'"),
        ([entry(label=7)], "no usable 'label'"),
        ([entry(labels={})], "names no labels"),
        ([entry(labels=["liver"])], "names no labels"),
        ([entry(labels={"liver": "1"})], "not a positive whole number"),
        ([entry(labels={"liver": 0})], "not a positive whole number"),
        ([entry(labels={"liver": True})], "not a positive whole number"),
        ([entry(image="missing.nii.gz")], "does not exist"),
        ([entry(image="../outside.nii.gz")], "outside the data set's folder"),
        ([entry(image="/etc/passwd")], "outside the data set's folder"),
        ([entry(image="image\0.nii.gz")], "cannot be opened"),
        ([entry(), entry()], "the same id"),
    ],
)
def test_a_bad_manifest_is_a_sentence(folder, records, sentence):
    (folder / "manifest.json").write_text(json.dumps(records))
    with pytest.raises(FileError, match=sentence):
        datasets.read(folder)


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "image.nii.gz"
    write_image(elsewhere, np.zeros((2, 2, 2), np.uint8))
    (folder / "linked.nii.gz").symlink_to(elsewhere)
    (folder / "manifest.json").write_text(json.dumps([entry(image="linked.nii.gz")]))
    with pytest.raises(FileError, match="outside"):
        datasets.read(folder)


@pytest.mark.parametrize("text", ["", "[{", "\udcff", "[" * 100_000])
def test_a_manifest_that_is_no_json_is_a_sentence(folder, text):
    (folder / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(FileError, match="cannot be read as JSON"):
        datasets.read(folder)


def test_a_folder_without_a_manifest_is_a_sentence(tmp_path):
    with pytest.raises(FileError, match="There is no manifest.json"):
        datasets.read(tmp_path)


def test_a_label_that_is_not_in_the_file_is_a_sentence(folder):
    (folder / "manifest.json").write_text(json.dumps([entry(labels={"large": 1, "absent": 9})]))
    with pytest.raises(FileError, match="'absent' of 'one' is not in its label file"):
        list(datasets.read(folder).objects())


def test_a_label_file_of_another_shape_is_a_sentence(folder):
    write_image(folder / "label.nii.gz", np.ones((3, 4, 5), np.uint8))
    with pytest.raises(FileError, match="another shape"):
        list(datasets.read(folder).objects())


def test_a_label_file_that_is_no_image_is_a_sentence(folder):
    (folder / "label.nii.gz").write_text("not an image")
    with pytest.raises(FileError, match="cannot be read"):
        list(datasets.read(folder).objects())
