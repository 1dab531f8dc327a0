"""`memseg recall` as a user meets it: what it lists, keeps, forgets and exchanges, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from phantoms import axis_grid, chest, chest_parts, in_ellipsoid, ras_of
from recalled import entry_named, numbered
from typer.testing import CliRunner

from memseg import write_segmentation
from memseg.cli import app
from memseg.errors import MemSegError
from memseg.memory.recall import RecallMemory
from memseg.memory.recall_files import RecallFolder, export, read_archive, starter
from memseg.volume import Volume

GRID = axis_grid()


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch) -> RecallFolder:
    """The user's own memory, empty."""
    monkeypatch.setenv("MEMSEG_RECALL", str(tmp_path / "recall"))
    monkeypatch.setenv("COLUMNS", "200")
    return RecallFolder(tmp_path / "recall")


@pytest.fixture
def files(tmp_path) -> tuple[Path, Path]:
    """A chest, and a label map of it: 1 for the right lung, 2 for the left."""
    volume = chest(GRID)
    image = sitk.GetImageFromArray(volume.array_kji)
    image.SetSpacing((6.0, 6.0, 6.0))
    image.SetOrigin((GRID.ijk_to_ras[:3, 3] * (-1, -1, 1)).tolist())
    image.SetDirection((-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))
    sitk.WriteImage(image, str(tmp_path / "chest.nii.gz"))
    masks = {name: chest_parts(GRID)[name].astype(np.uint8) for name in ("right lung", "left lung")}
    write_segmentation(tmp_path / "lungs.nii.gz", masks, volume)
    return tmp_path / "chest.nii.gz", tmp_path / "lungs.nii.gz"


def recall(*arguments: object, refused: bool = False) -> str:
    """What the command says; on refusal what it says is wrong."""
    done = CliRunner().invoke(app, ["recall", *map(str, arguments)])
    assert (done.exit_code != 0) == refused, done.output
    assert done.exception is None or isinstance(done.exception, MemSegError)
    return " ".join((done.output if not refused else f"{done.output} {done.exception}").split())


def held(folder: RecallFolder) -> set[str]:
    return {entry.title for entry in folder.read()[0]}


# -- list ------------------------------------------------------------------------------------------------------------


def test_the_list_shows_what_ships_and_what_is_ones_own(mine):
    mine.add(entry_named("aorta", identity=numbered(1), licence="my licence"))
    said = recall("list", "AORTA")
    assert "yours" in said and "my licence" in said and "shipped" in said and "of 1 structure." in said
    said = recall("list", "--own")
    assert "shipped" not in said and "00000000" in said and "1 entry of 1 structure." in said
    assert f"{len(starter()) + 1} entries of" in recall("list")


def test_a_list_of_nothing_says_so():
    assert recall("list", "--own") == "Nothing is remembered yet."
    assert recall("list", "unicorn") == "Nothing is remembered under such a name."


def test_names_and_licences_from_elsewhere_are_shown_as_they_are(mine):
    """No markup, which would be an error, or colours, or a link."""
    mine.add(entry_named("[/red]aorta[bold]", identity=numbered(1), licence="[link=x]"))
    assert "[/red]aorta[bold]" in recall("list", "--own") and "[link=x]" in recall("list", "--own")
    assert "[/red]aorta[bold] is called liver" in recall("rename", numbered(1), "liver")
    mine.add(entry_named("[/red]aorta[bold]", identity=numbered(2)))
    assert "[/red]aorta[bold] (00000000) is forgotten." in recall("remove", numbered(2))


def test_entries_that_cannot_be_read_are_told_and_the_others_listed(mine):
    mine.add(entry_named("aorta", identity=numbered(1)))
    mine.add(entry_named("liver", identity=numbered(2)))
    (mine.path / f"{numbered(2)}.safetensors").write_bytes(b"")
    said = recall("list", "--own")
    assert "was left out" in said and "1 entry of 1 structure." in said


# -- add -------------------------------------------------------------------------------------------------------------


def test_a_structure_of_an_image_is_remembered_under_its_name(mine, files):
    said = recall(
        "add", *files, "lung left", "--value", 2, "--licence", "CC0", "--note", "a phantom", "--subject", "p1"
    )
    (entry,) = mine.read()[0]
    assert f"left lung in CT is remembered as {entry.identity[:8]}" in said
    assert (entry.key, entry.side, entry.licence, entry.note, entry.subject) == (
        "lung",
        "left",
        "CC0",
        "a phantom",
        "p1",
    )
    assert entry.volume_ml == pytest.approx(chest_parts(GRID)["left lung"].sum() * 0.216) and entry.image is None


def test_voxels_are_kept_when_asked_for(mine, files):
    recall("add", *files, "nodule", "--value", 2, "--keep-image")
    assert mine.read()[0].entries[0].image is not None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("{image}", "{mask}", "  "), "The name is empty"),
        (("{image}", "{mask}", "n" * 101), "longer than 100 characters"),
        (("{image}", "{mask}", "lung", "--value", 9), "no voxel of label 9"),
        (("{image}", "nowhere.nii.gz", "lung"), "nowhere.nii.gz"),
        (("nowhere.nii.gz", "{mask}", "lung"), "nowhere.nii.gz"),
        (("{image}", "{mask}", "lung", "--note", "n" * 501), "The note is longer than 500 characters"),
    ],
)
def test_what_cannot_be_remembered_is_refused(mine, files, arguments, sentence):
    named = [str(each).format(image=files[0], mask=files[1]) for each in arguments]
    assert sentence in recall("add", *named, refused=True)
    assert not mine.path.exists()


def test_a_mask_of_another_grid_is_refused(mine, files, tmp_path):
    grid = axis_grid((10, 10, 10))
    ball = in_ellipsoid(ras_of(grid), (0, 0, 0), (20, 20, 20)).astype(np.uint8)
    write_segmentation(tmp_path / "other.nii.gz", {"ball": ball}, Volume(ball, grid))
    assert "grid" in recall("add", files[0], tmp_path / "other.nii.gz", "lung", refused=True)
    assert not mine.path.exists()


# -- remove and rename -----------------------------------------------------------------------------------------------


def three(folder: RecallFolder) -> None:
    for identity, name in (("a1" + "0" * 30, "liver"), ("a2" + "0" * 30, "spleen"), ("bb0f" + "b" * 28, "aorta")):
        folder.add(entry_named(name, identity=identity))


def test_entries_are_named_by_their_first_digits(mine):
    three(mine)
    assert recall("remove", "B", "a1") == "aorta (bb0fbbbb) is forgotten. liver (a1000000) is forgotten."
    assert held(mine) == {"spleen"}


@pytest.mark.parametrize(
    ("digits", "sentence"),
    [
        (("b", "a"), "2 entries begin with 'a'; give more digits."),
        (("b", "c"), "No entry that can be used here begins with 'c'"),
        (("b", ""), "No entry that can be used here begins with ''"),
        (("b", "../x"), "No entry that can be used here begins with '../x'"),
    ],
)
def test_where_one_of_them_is_unclear_none_is_forgotten(mine, digits, sentence):
    three(mine)
    assert sentence in recall("remove", *digits, refused=True)
    assert held(mine) == {"liver", "spleen", "aorta"}


def test_the_same_entry_named_twice_is_forgotten_once(mine):
    three(mine)
    assert recall("remove", "b", "bb") == "aorta (bb0fbbbb) is forgotten."


def test_what_ships_can_be_neither_forgotten_nor_renamed():
    shipped = starter().entries[0].identity
    assert "No entry that can be used here" in recall("remove", shipped, refused=True)
    assert "No entry that can be used here" in recall("rename", shipped, "liver", refused=True)


def test_a_new_name_is_understood_as_one_that_is_typed(mine):
    three(mine)
    assert recall("rename", "b", "Right Kidney") == "aorta is called right kidney from now on."
    (entry,) = mine.read()[0].named("kidney", "right")
    assert entry.name == "Right Kidney"
    assert "The name is empty" in recall("rename", "b", " ", refused=True)
    assert held(mine) == {"liver", "spleen", "right kidney"}


# -- export and import -----------------------------------------------------------------------------------------------


def test_what_one_exports_another_imports(mine, tmp_path, monkeypatch):
    three(mine)
    assert recall("export", tmp_path / "mine.zip").endswith("mine.zip: 3 entries")
    monkeypatch.setenv("MEMSEG_RECALL", str(tmp_path / "yours"))
    assert recall("import", tmp_path / "mine.zip") == "3 entries added."
    assert held(RecallFolder(tmp_path / "yours")) == {"liver", "spleen", "aorta"}
    said = recall("import", tmp_path / "mine.zip")
    assert "'liver' is here already and stays as it is." in said and said.endswith("0 entries added.")


def test_single_entries_are_exported_even_of_what_ships(mine, tmp_path):
    three(mine)
    shipped = starter().entries[0]
    recall("export", tmp_path / "two.zip", "bb0f", shipped.identity)
    memory = read_archive(tmp_path / "two.zip")[0]
    assert {entry.title for entry in memory} == {"aorta", shipped.title} and isinstance(memory, RecallMemory)


def test_without_entries_of_ones_own_nothing_is_exported(tmp_path):
    assert "nothing of your own to export" in recall("export", tmp_path / "a.zip", refused=True)
    assert "No entry" in recall("export", tmp_path / "a.zip", "zz", refused=True)
    assert not (tmp_path / "a.zip").exists()


def test_what_holds_no_entries_is_not_imported(mine, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no archive")
    assert "a.zip cannot be read as a .zip file" in recall("import", tmp_path / "a.zip", refused=True)
    assert "cannot be read" in recall("import", tmp_path / "none.zip", refused=True)
    (tmp_path / "empty").mkdir()
    assert "holds no remembered structures" in recall("import", tmp_path / "empty", refused=True)
    assert not mine.path.exists()


def test_of_a_file_with_wrong_entries_the_others_are_imported(mine, tmp_path):
    folder = RecallFolder(tmp_path / "theirs")
    three(folder)
    (folder.path / f"bb0f{'b' * 28}.json").write_text("{}")
    said = recall("import", folder.path)
    assert "was left out: it was written by an unknown version" in said and said.endswith("2 entries added.")
    assert held(mine) == {"liver", "spleen"}


def test_an_export_goes_to_a_folder_too(mine, tmp_path):
    three(mine)
    recall("export", tmp_path / "shared", "bb0f")
    assert held(RecallFolder(tmp_path / "shared")) == {"aorta"}
    export(list(mine.read()[0]), tmp_path / "shared")
    assert held(RecallFolder(tmp_path / "shared")) == {"liver", "spleen", "aorta"}
