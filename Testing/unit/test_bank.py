"""What is kept of the images round remembered structures: on the disk, and gone when it is to be gone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fakes import turned_grid
from recalled import entry_named, numbered

from memseg.errors import FileError
from memseg.geometry import Box, Grid
from memseg.memory.bank import FOLDER, LARGEST_BYTES, Bank, Remembered, Surroundings
from memseg.memory.recall_files import RecallFolder
from memseg.segmenters.surroundings import EDGE, SPACING_MM, surroundings_of
from memseg.volume import Volume

FIRST, SECOND = numbered(1), numbered(2)
ONE, OTHER = "1" * 16, "2" * 16  # networks


@pytest.fixture
def bank(tmp_path) -> Bank:
    return Bank(tmp_path / "recall")


def around(identity: str = FIRST) -> Surroundings:
    return Surroundings(identity, np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.diag([1.5, 1.5, 1.5, 1]))


def left(identity: str = FIRST) -> Remembered:
    keys = np.arange(24).reshape(2, 4, 3)
    return Remembered(identity, keys, -keys, np.arange(6) / 4)


def names(bank: Bank) -> list[str]:
    return sorted(path.name for path in bank.path.iterdir())


# -- on the disk -------------------------------------------------------------------------------------------------------


def test_surroundings_come_back_as_they_were_kept(bank):
    bank.keep(around())
    found = bank.surroundings(FIRST)
    assert np.array_equal(found.image, np.arange(60).reshape(3, 4, 5)) and found.image.dtype == np.int16
    assert np.array_equal(found.image_to_mm, np.diag([1.5, 1.5, 1.5, 1])) and found.identity == FIRST
    assert bank.surroundings(SECOND) is None and names(bank) == [f"{FIRST}.safetensors"]


def test_what_a_network_made_of_them_comes_back_to_that_network_only(bank):
    bank.prepare(left(), ONE)
    found = bank.prepared(FIRST, ONE)
    assert np.array_equal(found.keys, np.arange(24).reshape(2, 4, 3)) and np.array_equal(found.values, -found.keys)
    assert found.found_by.tolist() == [0, 0.25, 0.5, 0.75, 1, 1.25] and found.size_bytes == 2 * 48 + 24
    assert bank.prepared(FIRST, OTHER) is None and bank.prepared(SECOND, ONE) is None


def test_the_identities_are_in_the_order_in_which_they_were_kept(bank):
    assert bank.identities() == ()
    for number in (7, 3, 5):
        bank.keep(around(numbered(number)))
    bank.prepare(left(numbered(9)), ONE)
    assert bank.identities() == (numbered(7), numbered(3), numbered(5))


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\xff" * 8 + b"x" * 100])
def test_a_damaged_file_counts_as_none(bank, content):
    bank.keep(around())
    bank.prepare(left(), ONE)
    for path in bank.path.iterdir():
        path.write_bytes(content)
    assert bank.surroundings(FIRST) is None and bank.prepared(FIRST, ONE) is None


def test_a_file_that_is_too_large_counts_as_none(bank):
    bank.keep(around())
    with open(bank.path / f"{FIRST}.safetensors", "r+b") as file:
        file.truncate(LARGEST_BYTES + 1)
    assert bank.surroundings(FIRST) is None


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="MEMSEG_RECALL"):
        Bank(tmp_path / "file").keep(around())


@pytest.mark.parametrize("identity", ["", "../../x", "A" * 32, "1" * 31])
def test_only_identities_are_places(bank, identity):
    with pytest.raises(ValueError):
        bank.surroundings(identity)
    with pytest.raises(ValueError):
        around(identity)
    bank.forget(identity)  # of which there is nothing


@pytest.mark.parametrize(
    "changes",
    [
        {"image": np.zeros((3, 4))},
        {"image": np.zeros((3, 4, 0))},
        {"image": np.full((3, 4, 5), np.nan)},
        {"image": np.zeros((3, 4, 5), complex)},
        {"image_to_mm": np.eye(3)},
        {"image_to_mm": np.zeros((4, 4))},
        {"image_to_mm": np.full((4, 4), np.inf)},
    ],
)
def test_surroundings_that_cannot_be_are_refused(changes):
    with pytest.raises(ValueError):
        Surroundings(**{"identity": FIRST, "image": around().image, "image_to_mm": np.eye(4), **changes})


@pytest.mark.parametrize(
    "changes",
    [{"keys": np.zeros((2, 4, 5))}, {"values": np.full((2, 4, 3), 1e6)}, {"found_by": np.zeros((2, 2))}],
)
def test_keys_and_values_that_cannot_be_are_refused(changes):
    kept = {"identity": FIRST, "keys": left().keys, "values": left().values, "found_by": np.zeros(6), **changes}
    with pytest.raises(ValueError), np.errstate(over="ignore"):
        Remembered(**kept)


# -- gone when it is to be gone ----------------------------------------------------------------------------------------


def test_what_is_kept_of_an_image_goes_with_the_remembered_structure(tmp_path, bank):
    folder = RecallFolder(tmp_path / "recall")
    for identity in (FIRST, SECOND):
        folder.add(entry_named(identity=identity))
        bank.keep(around(identity))
        bank.prepare(left(identity), ONE)
    folder.remove(FIRST)
    assert bank.identities() == (SECOND,) and bank.prepared(FIRST, ONE) is None
    assert len(folder.read()[0]) == 1 and folder.read()[1] == ()


def test_tidying_deletes_what_belongs_to_nothing_and_what_other_weights_made(tmp_path, bank):
    RecallFolder(tmp_path / "recall").add(entry_named(identity=FIRST))
    for identity in (FIRST, SECOND):
        bank.keep(around(identity))
        bank.prepare(left(identity), ONE)
        bank.prepare(left(identity), OTHER)
    bank.tidy(ONE)
    assert names(bank) == [f"{FIRST}-{ONE}.safetensors", f"{FIRST}.safetensors"]
    assert bank.size_bytes() == sum(path.stat().st_size for path in bank.path.iterdir())


def test_a_structure_that_this_version_cannot_read_keeps_what_is_its_own(tmp_path, bank):
    RecallFolder(tmp_path / "recall").add(entry_named(identity=FIRST))
    words = tmp_path / "recall" / f"{FIRST}.json"
    words.write_text(json.dumps({**json.loads(words.read_text()), "version": 99}))
    bank.keep(around())
    bank.tidy(ONE)
    assert bank.identities() == (FIRST,)


def test_the_recall_memory_does_not_take_the_bank_for_entries(tmp_path, bank):
    folder = RecallFolder(tmp_path / "recall")
    folder.add(entry_named(identity=FIRST))
    bank.keep(around())
    memory, problems = folder.read()
    assert len(memory) == 1 and problems == () and (tmp_path / "recall" / FOLDER).is_dir()


# -- what lies round a structure ---------------------------------------------------------------------------------------


def ramp(grid: Grid) -> Volume:
    """Values that say where a voxel is along S, in mm, and 500 more."""
    where = np.moveaxis(np.indices(grid.shape_kji), 0, -1)
    return Volume((grid.ras_from_kji(where)[..., 2] + 500).astype(np.float32), grid)


def test_nineteen_centimetres_round_the_structure_are_kept_at_one_and_a_half_millimetres():
    grid = turned_grid((90, 120, 140))
    volume, box = ramp(grid), Box((40, 50, 60), (51, 61, 71))
    found = surroundings_of(volume, box, np.ones(box.shape_kji, np.uint8), FIRST)
    assert (EDGE, SPACING_MM) == (128, 1.5) and found.image.shape == (128, 128, 128)
    centre_s = grid.ras_from_kji((45, 55, 65))[2]
    for k, j, i in ((64, 64, 64), (60, 70, 63), (64, 40, 80)):
        s_mm = (found.image_to_mm @ [i, j, k, 1])[2]
        assert found.image[k, j, i] == pytest.approx(centre_s + s_mm + 500, abs=0.01)
    steps = np.linalg.norm(found.image_to_mm[:3, :3], axis=0)
    assert steps == pytest.approx([1.5, 1.5, 1.5])
    middle = found.image_to_mm @ [63.5, 63.5, 63.5, 1]
    assert middle[:3] == pytest.approx([0, 0, 0], abs=1e-6)


def test_beside_the_volume_there_is_nothing():
    volume = ramp(Grid.from_spacing((20, 20, 20), (1.5, 1.5, 1.5)))
    found = surroundings_of(volume, Box((9, 9, 9), (11, 11, 11)), np.ones((2, 2, 2)), FIRST)
    assert np.count_nonzero(found.image) == 20**3 and found.image[64, 64, 64] > 500


@pytest.mark.parametrize(("kind", "kept"), [(np.int16, np.int16), (np.uint8, np.int16), (np.float32, np.float32)])
def test_whole_numbers_are_kept_as_such(kind, kept):
    array = np.random.default_rng(0).integers(0, 200, (20, 20, 20)).astype(kind)
    volume = Volume(array, Grid.from_spacing((20, 20, 20), (1.5, 1.5, 1.5)))
    found = surroundings_of(volume, Box((9, 9, 9), (11, 11, 11)), np.ones((2, 2, 2)), FIRST)
    assert found.image.dtype == kept
    assert np.array_equal(found.image[54:74, 54:74, 54:74], array)


def test_numbers_too_large_for_two_bytes_are_kept_all_the_same():
    array = np.full((20, 20, 20), 70_000)
    array[10] = 0
    volume = Volume(array, Grid.from_spacing((20, 20, 20), (1.5, 1.5, 1.5)))
    found = surroundings_of(volume, Box((9, 9, 9), (11, 11, 11)), np.ones((2, 2, 2)), FIRST)
    assert found.image.max() == 70_000
