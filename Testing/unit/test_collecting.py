"""Finished segmentations become subjects of a data set, one for each image, and never half of one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import box_mask, turned_grid
from typer.testing import CliRunner

from memseg import files
from memseg.automatic import collecting
from memseg.automatic.collecting import Crop, collect, listed
from memseg.automatic.folder import FILE, AutoFolders, choose, folders
from memseg.cli import app
from memseg.errors import FileError, MemSegError
from memseg.evaluation import dataset
from memseg.files import write_segmentation, write_volume
from memseg.geometry import Box
from memseg.training.auto_subjects import Subject, find, read
from memseg.volume import Volume

GRID = turned_grid((6, 8, 10))
LIVER, SPLEEN, TUMOUR = Box((1, 1, 1), (5, 4, 6)), Box((1, 5, 7), (3, 8, 10)), Box((2, 2, 2), (4, 3, 4))


def volume(seed: int = 0, dtype: str = "<i2") -> Volume:
    values = np.random.default_rng(seed).integers(-1000, 1000, GRID.shape_kji).astype(dtype)
    return Volume(values, GRID, "Doe^Jane")


def drawn(**boxes: Box) -> dict[str, Crop]:
    return {name: (box, np.ones(box.shape_kji, np.uint8)) for name, box in boxes.items()}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEMSEG_AUTO", str(tmp_path / "own"))
    return tmp_path / "own"


def test_the_training_reads_what_was_collected(tmp_path: Path):
    collect(tmp_path / "set", volume(0), drawn(liver=LIVER, spleen=SPLEEN))
    done = collect(tmp_path / "set", volume(1), drawn(liver=LIVER))
    assert done.subjects == 2 and not done.replaced
    one, other = map(read, find(tmp_path / "set"))
    assert np.array_equal(one.volume.array_kji, volume(0).array_kji)
    assert one.volume.grid.same_as(GRID, 0.01)
    assert np.array_equal(one.masks["liver"], box_mask(GRID.shape_kji, LIVER))
    assert np.array_equal(one.masks["spleen"], box_mask(GRID.shape_kji, SPLEEN))
    assert other.masks.keys() == {"liver"}


@pytest.mark.parametrize("dtype", ["?", "u1", "<i2", ">i2", "<u4", "<i8", "<f2", "<f4", "<f8"])
def test_images_of_all_types_come_back_as_they_were(tmp_path: Path, dtype: str):
    values = np.random.default_rng(0).integers(0, 2 if dtype == "?" else 200, GRID.shape_kji).astype(dtype)
    write_volume(tmp_path / "image.nii.gz", Volume(values, GRID))
    assert np.array_equal(files.read_volume(tmp_path / "image.nii.gz").array_kji, values.astype(float))


def test_the_same_image_takes_its_own_place_whatever_its_numbers_are_kept_as(tmp_path: Path):
    first = collect(tmp_path, volume(0), drawn(liver=LIVER))
    collect(tmp_path, volume(1), drawn(liver=LIVER))
    again = collect(tmp_path, volume(0, "<f4"), drawn(liver=SPLEEN, tumour=TUMOUR))
    assert again.replaced and again.identity == first.identity and again.subjects == 2
    redrawn, _ = map(read, find(tmp_path))
    assert np.array_equal(redrawn.masks["liver"], box_mask(GRID.shape_kji, SPLEEN))
    assert len(list((tmp_path / "images").iterdir())) == len(list((tmp_path / "labels").iterdir())) == 2


def test_what_was_said_of_the_kind_of_image_stays_until_something_else_is_said(tmp_path: Path):
    for said, kept in (("CT", "CT"), ("unknown", "CT"), ("MR", "MR")):
        collect(tmp_path, volume(), drawn(liver=LIVER), said)
        assert [each["modality"] for each in json.loads((tmp_path / "manifest.json").read_text())] == [kept]


def test_nothing_written_says_whose_image_it_is(tmp_path: Path):
    collect(tmp_path, volume(), drawn(liver=LIVER))
    assert all(b"Doe" not in held and "Doe" not in name for name, held in contents(tmp_path).items())
    assert str(tmp_path) not in (tmp_path / "manifest.json").read_text()


def test_entries_of_others_stay_word_by_word(tmp_path: Path):
    collect(tmp_path, volume(1), drawn(liver=LIVER))
    theirs = json.loads((tmp_path / "manifest.json").read_text())[0] | {"id": "theirs", "licence": "CC BY 4.0"}
    (tmp_path / "manifest.json").write_text(json.dumps([theirs]))
    collect(tmp_path, volume(0), drawn(liver=LIVER))
    assert json.loads((tmp_path / "manifest.json").read_text())[0] == theirs
    assert len(dataset.read(tmp_path).entries) == 2


@pytest.mark.parametrize(
    ("broken", "seed"),
    [("write_volume", 1), ("write_labels", 1), ("write_labels", 0), ("replacing", 1), ("replacing", 0)],
)
@pytest.mark.parametrize("error", [FileError("The disk is full; free some space."), KeyboardInterrupt()])
def test_what_is_broken_off_leaves_the_data_set_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, seed: int, error: BaseException
):
    collect(tmp_path, volume(0), drawn(liver=LIVER))
    before = contents(tmp_path)

    def fails(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(collecting, broken, fails)
    with pytest.raises(type(error)):
        collect(tmp_path, volume(seed), drawn(liver=SPLEEN))
    assert contents(tmp_path) == before


def test_where_structures_overlap_the_smaller_one_is_on_top_and_that_is_said(tmp_path: Path):
    done = collect(tmp_path, volume(), drawn(tumour=TUMOUR, liver=LIVER))
    assert done.overlapping == (("liver", "tumour"),)
    held = read(Subject("", "", *_files(tmp_path), (("tumour", 1), ("liver", 2)), "unknown"))
    tumour = box_mask(GRID.shape_kji, TUMOUR)
    assert np.array_equal(held.masks["tumour"], tumour)
    assert np.array_equal(held.masks["liver"], box_mask(GRID.shape_kji, LIVER) & ~tumour & 1)
    assert "Where liver and tumour overlap, tumour counts" in done.sentence(AutoFolders(Path("m"), Path("d")))


def _files(folder: Path) -> tuple[Path, Path]:
    return next((folder / "images").iterdir()), next((folder / "labels").iterdir())


def test_a_structure_that_would_vanish_under_another_is_refused(tmp_path: Path):
    with pytest.raises(FileError, match="Nothing of liver can be seen under also liver"):
        collect(tmp_path / "set", volume(), {**drawn(liver=LIVER), **drawn(**{"also liver": LIVER})})
    assert not (tmp_path / "set").exists()


def test_empty_structures_are_left_out_and_nothing_at_all_is_refused(tmp_path: Path):
    nothing = (LIVER, np.zeros(LIVER.shape_kji))
    done = collect(tmp_path, volume(), {**drawn(liver=LIVER), "spleen": nothing})
    assert done.names == ("liver",) and done.empty == ("spleen",)
    assert "Left out, as there is nothing of it: spleen." in done.sentence(AutoFolders(Path("m"), Path("d")))
    with pytest.raises(FileError, match="no segment to learn from"):
        collect(tmp_path, volume(1), {"spleen": nothing})


def test_a_folder_whose_segmentations_would_no_longer_be_learnt_from_is_refused(tmp_path: Path):
    write_segmentation(tmp_path / "case.seg.nrrd", {"liver": box_mask(GRID.shape_kji, LIVER)}, volume())
    with pytest.raises(FileError, match="choose an empty folder"):
        collect(tmp_path, volume(), drawn(liver=LIVER))
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize("words", ["{", "{}", "[1]"])
def test_a_broken_manifest_is_left_alone(tmp_path: Path, words: str):
    (tmp_path / "manifest.json").write_text(words)
    with pytest.raises(FileError, match="manifest"):
        collect(tmp_path, volume(), drawn(liver=LIVER))
    assert (tmp_path / "manifest.json").read_text() == words


def test_a_file_where_the_folder_should_be_is_a_sentence(tmp_path: Path):
    (tmp_path / "set").write_text("")
    with pytest.raises(FileError, match="choose another place"):
        collect(tmp_path / "set", volume(), drawn(liver=LIVER))


class TestSentences:
    def test_one_image_is_too_few_and_two_can_be_trained_on(self, tmp_path: Path):
        where = AutoFolders(tmp_path / "my model", tmp_path / "set")
        first = collect(tmp_path / "set", volume(0), drawn(liver=LIVER)).sentence(where)
        assert first.startswith("liver: added.") and "two at least" in first
        second = collect(tmp_path / "set", volume(1), drawn(liver=LIVER)).sentence(where)
        assert f'2 images. Train with: memseg train auto {tmp_path / "set"} --out "{tmp_path / "my model"}"' in second

    def test_long_lists_are_cut(self):
        assert [listed(list("abc")[:count]) for count in range(4)] == ["", "a", "a and b", "a, b and c"]
        assert listed(list("abcdefghijk")) == "a, b, c, d, e, f, g, h and 3 more"


class TestFolders:
    def test_those_chosen_are_remembered(self, own: Path):
        assert folders() == AutoFolders(own / "model", own / "data")
        choose(AutoFolders(Path("there"), own / "data"))
        assert folders().model == Path("there")

    def test_what_was_kept_wrongly_is_passed_over(self, own: Path):
        own.mkdir()
        for words in ("[", "[]", '{"model": 1, "data": null}'):
            (own / "folders.json").write_text(words)
            assert folders().model == own / "model"

    def test_a_folder_without_a_model_says_how_to_train_one(self, own: Path):
        assert f"Train one with: memseg train auto {own / 'data'}" in folders().problem
        (own / "model").mkdir(parents=True)
        (own / "model" / FILE).write_bytes(b"")
        assert folders().problem == ""
        choose(AutoFolders(own / "model" / FILE, own / "data"))
        assert folders().problem == ""


class TestCommand:
    def test_a_segmentation_of_slicer_goes_into_the_users_own_data_set(self, tmp_path: Path, own: Path):
        write_volume(tmp_path / "image.nii.gz", volume())
        masks = {"liver": box_mask(GRID.shape_kji, LIVER), "tumour": box_mask(GRID.shape_kji, TUMOUR)}
        write_segmentation(tmp_path / "image.seg.nrrd", masks, volume())
        done = CliRunner().invoke(app, ["collect", str(tmp_path / "image.nii.gz"), str(tmp_path / "image.seg.nrrd")])
        assert done.exit_code == 0 and "liver and tumour: added." in done.output
        entry = dataset.read(own / "data").entries[0]
        assert [name for name, _ in entry.labels] == ["liver", "tumour"]

    def test_another_folder_can_be_named(self, tmp_path: Path, own: Path):
        write_volume(tmp_path / "image.nii.gz", volume())
        write_segmentation(tmp_path / "image.seg.nrrd", {"liver": box_mask(GRID.shape_kji, LIVER)}, volume())
        words = ["collect", tmp_path / "image.nii.gz", tmp_path / "image.seg.nrrd", "--into", tmp_path / "set"]
        assert CliRunner().invoke(app, [*map(str, words), "--modality", "CT"]).exit_code == 0
        assert dataset.read(tmp_path / "set").entries[0].modality == "CT"
        assert not own.exists()

    def test_a_segmentation_that_is_none_is_a_sentence(self, tmp_path: Path, own: Path):
        write_volume(tmp_path / "image.nii.gz", volume())
        done = CliRunner().invoke(app, ["collect", str(tmp_path / "image.nii.gz"), str(tmp_path / "image.nii.gz")])
        assert isinstance(done.exception, MemSegError) and "names no segments" in str(done.exception)
