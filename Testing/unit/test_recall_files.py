"""The recall memory on the disk: whole or with a sentence, whatever the files say; and what ships with the program."""

import json
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from phantoms import axis_grid, chest, chest_parts
from recalled import entry_named, numbered

from memseg.errors import FileError, PromptError
from memseg.evaluation.dataset import validation_subjects
from memseg.geometry import Box
from memseg.memory import recall_files
from memseg.memory.recall import RecallEntry, RecallMemory
from memseg.memory.recall_files import (
    LARGEST_ENTRY,
    STARTER,
    RecallFolder,
    default_folder,
    everything,
    export,
    from_parts,
    read_archive,
    starter,
    to_tensors,
    to_words,
)
from memseg.text.naming import key_of
from memseg.text.remembering import remember

LIVER = entry_named("liver", identity=numbered(1), licence="CC0", note="first")
KIDNEY = entry_named("left kidney", identity=numbered(2), image=np.ones((2, 3, 4), np.int16), image_to_mm=np.eye(4))


@pytest.fixture
def folder(tmp_path) -> RecallFolder:
    """A folder with both."""
    made = RecallFolder(tmp_path / "recall")
    for entry in (LIVER, KIDNEY):
        made.add(entry)
    return made


def same(one: RecallEntry, other: RecallEntry) -> bool:
    arrays = one.arrays(), other.arrays()
    return (
        to_words(one) == to_words(other)
        and arrays[0].keys() == arrays[1].keys()
        and all(np.array_equal(arrays[0][name], arrays[1][name]) for name in arrays[0])
    )


def words_of(entry: RecallEntry = LIVER, **changed) -> bytes:
    return json.dumps({**json.loads(to_words(entry)), **changed}).encode()


def tensors_of(entry: RecallEntry = LIVER, **changed) -> bytes:
    arrays = {**entry.arrays(), **changed}
    return safetensors.numpy.save({name: array for name, array in arrays.items() if array is not None})


def archive(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


# -- a folder --------------------------------------------------------------------------------------------------------


def test_what_is_added_is_read_back_in_the_order_it_was_made(folder):
    memory, problems = folder.read()
    assert problems == () and [entry.name for entry in memory] == ["liver", "left kidney"]
    assert same(memory.entries[0], LIVER) and same(memory.entries[1], KIDNEY)


def test_an_entry_is_a_safetensors_and_a_json_file_named_by_its_identity(folder):
    assert files_in(folder.path) == {f"{numbered(n)}{ending}" for n in (1, 2) for ending in (".json", ".safetensors")}
    arrays = safetensors.numpy.load_file(folder.path / f"{numbered(1)}.safetensors")
    assert arrays["keys"].shape == (2, 130)
    assert json.loads((folder.path / f"{numbered(1)}.json").read_text(encoding="utf-8"))["licence"] == "CC0"


def test_a_folder_that_is_not_there_is_an_empty_memory(tmp_path):
    assert RecallFolder(tmp_path / "none").read()[0].entries == () and not (tmp_path / "none").exists()


def test_adding_the_same_identity_again_takes_its_place(folder):
    folder.add(entry_named("hepar", identity=numbered(1)))
    assert [entry.name for entry in folder.read()[0]] == ["hepar", "left kidney"]


def test_names_of_any_kind_are_words_and_never_paths(folder, tmp_path):
    before = files_in(tmp_path)
    for number, name in enumerate(("../../liver", "a/b\\c", "C:\\liver", "nul", "leber 肝 🫀"), start=10):
        folder.add(entry_named(name, identity=numbered(number)))
    assert {each.rsplit(".")[0] for each in files_in(tmp_path) - before} == set(map(numbered, range(10, 15)))
    assert {entry.name for entry in folder.read()[0]} > {"../../liver", "leber 肝 🫀"}


def test_an_entry_can_be_renamed_and_removed(folder):
    renamed = folder.rename(numbered(1), "my spleen", "spleen")
    assert (renamed.title, renamed.note) == ("spleen", "first")
    assert {entry.name for entry in folder.read()[0]} == {"my spleen", "left kidney"}
    folder.remove(numbered(1))
    assert [entry.name for entry in folder.read()[0]] == ["left kidney"]
    assert files_in(folder.path) == {f"{numbered(2)}.json", f"{numbered(2)}.safetensors"}


@pytest.mark.parametrize("identity", [numbered(9), "../" + numbered(1), "", "*"])
def test_what_is_not_there_cannot_be_renamed_removed_or_exported(folder, tmp_path, identity):
    for refused in (
        lambda: folder.rename(identity, "spleen", "spleen"),
        lambda: folder.remove(identity),
        lambda: folder.export([identity], tmp_path / "out.zip"),
    ):
        with pytest.raises(FileError, match="no remembered structure"):
            refused()
    assert len(folder.read()[0]) == 2 and not (tmp_path / "out.zip").exists()


def test_a_name_that_is_none_leaves_the_entry_as_it_was(folder):
    with pytest.raises(PromptError):
        folder.rename(numbered(1), "  ", "spleen")
    assert folder.read()[0].get(numbered(1)).name == "liver"


def test_an_entry_too_large_with_its_image_is_not_written(tmp_path):
    folder = RecallFolder(tmp_path / "recall")
    image = np.zeros((300, 200, 200), np.int16)
    with pytest.raises(FileError, match="remember it without"):
        folder.add(entry_named(image=image, image_to_mm=np.eye(4)))
    assert not folder.path.exists()


def test_a_folder_that_cannot_be_made_or_read_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be made"):
        RecallFolder(tmp_path / "file" / "recall").add(LIVER)
    with pytest.raises(FileError, match="cannot be read"):
        RecallFolder(tmp_path / "file").read()


# -- entries that are wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (b"", "its words are no JSON"),
        (b"\xff\xfe", "its words are no JSON"),
        (b"[" * 60_000, "its words are no JSON"),
        (b"[]", "its words are no record"),
        (words_of(version=2), "written by a newer version"),
        (words_of(version=0), "an unknown version"),
        (words_of(version="1"), "an unknown version"),
        (words_of(version=True), "an unknown version"),
        (words_of(version=None), "an unknown version"),
        (words_of(name=""), "do not make sense"),
        (words_of(name=["liver"] * 30), "do not make sense"),
        (words_of(key=None), "do not make sense"),
        (words_of(identity="../../x"), "do not make sense"),
        (words_of(mask_shape_kji=[10**30, 10**30, 10**30]), "do not make sense"),
        (words_of(mask_shape_kji=5), "do not make sense"),
        (words_of(size_mm=["a", "b", "c"]), "do not make sense"),
        (words_of(volume_ml=float("nan")), "do not make sense"),
        (words_of(volume_ml="1"), "do not make sense"),
        (words_of(made=20260101), "do not make sense"),
        (b"{}", "an unknown version"),
    ],
)
def test_words_that_make_no_sense_are_told(words, sentence):
    with pytest.raises(FileError, match=sentence):
        from_parts(words, tensors_of())


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        (b"", "cut short"),
        (tensors_of()[:-1], "cut short"),
        (tensors_of(keys=None), "do not make sense"),
        (tensors_of(keys=np.full((2, 130), np.nan, np.float32)), "do not make sense"),
        (tensors_of(near_index=np.zeros((5, 3), np.int16)), "do not make sense"),
        (tensors_of(weights=np.zeros(3, np.float32)), "arrays of another kind of file"),
        (struct.pack("<Q", 2**60) + b"{}", "cut short"),
    ],
)
def test_arrays_that_make_no_sense_are_told(tensors, sentence):
    with pytest.raises(FileError, match=sentence):
        from_parts(words_of(), tensors)


def test_words_from_a_later_program_that_are_not_known_are_left_alone():
    assert from_parts(words_of(mood="good"), tensors_of()).name == "liver"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (f"{numbered(1)}.json", b"{", "its words are no JSON"),
        (f"{numbered(1)}.json", words_of(identity=numbered(7)), "another entry's name"),
        (f"{numbered(1)}.json", b" " * 70_000, "too large to be one"),
        (f"{numbered(1)}.safetensors", b"x" * 40, "cut short"),
        (f"{numbered(1)}.safetensors", b"\0" * (LARGEST_ENTRY + 1), "too large to be one"),
        (f"{numbered(1)}.safetensors", None, "one of its two files is missing"),
    ],
)
def test_a_wrong_entry_is_a_sentence_and_the_others_are_read(folder, name, content, sentence):
    path = folder.path / name
    path.unlink() if content is None else path.write_bytes(content)
    memory, (problem,) = folder.read()
    assert sentence in problem and numbered(1) in problem and problem.endswith("remove or replace it.")
    assert [entry.name for entry in memory] == ["left kidney"]


def test_neither_links_nor_pipes_nor_other_files_are_read(folder, tmp_path):
    (tmp_path / "secret.json").write_bytes(words_of())
    (folder.path / f"{numbered(3)}.json").symlink_to(tmp_path / "secret.json")
    os.mkfifo(folder.path / f"{numbered(4)}.json")
    (folder.path / f"{numbered(5)}.json").mkdir()
    (folder.path / "notes.txt").write_text("mine")
    memory, problems = folder.read()
    assert len(memory) == 2 and len(problems) == 2 and all("missing" in problem for problem in problems)


def test_an_entry_that_cannot_be_read_can_still_be_removed(folder):
    (folder.path / f"{numbered(1)}.safetensors").write_bytes(b"")
    with pytest.raises(FileError, match="cannot be read"):
        folder.rename(numbered(1), "spleen", "spleen")
    folder.remove(numbered(1))
    assert folder.read()[1] == ()


def test_a_full_disk_leaves_what_was_there(folder, monkeypatch):
    def full(_self: Path, _content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FileError, match="No space left"):
        folder.add(entry_named("hepar", identity=numbered(1)))
    with pytest.raises(FileError, match="No space left"):
        folder.add(entry_named("spleen", identity=numbered(3)))
    monkeypatch.undo()
    memory, problems = folder.read()
    assert problems == () and [entry.name for entry in memory] == ["liver", "left kidney"]
    assert len(files_in(folder.path)) == 4


def test_where_the_words_cannot_be_written_no_arrays_are_left(folder, monkeypatch):
    write = Path.write_bytes

    def no_words(self: Path, content: bytes) -> int:
        if self.suffix == ".json":
            raise OSError(28, "No space left on device")
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", no_words)
    with pytest.raises(FileError):
        folder.add(entry_named("spleen", identity=numbered(3)))
    assert len(files_in(folder.path)) == 4


# -- exchange --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["shared.zip", "shared", "shared.ZIP"])
def test_what_is_exported_is_imported_as_it_was(folder, tmp_path, target):
    assert folder.export([numbered(2), numbered(1)], tmp_path / target) == 2
    other = RecallFolder(tmp_path / "other")
    added, problems = other.import_(tmp_path / target)
    assert problems == () and {entry.name for entry in added} == {"liver", "left kidney"}
    for entry in (LIVER, KIDNEY):
        assert same(other.read()[0].get(entry.identity), entry)


def test_the_same_entries_make_the_same_file(tmp_path):
    for name in ("a.zip", "b.zip"):
        export([LIVER], tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_what_is_here_already_stays_as_it_is(folder, tmp_path):
    others = entry_named("theirs", identity=numbered(1)), entry_named("spleen", identity=numbered(3))
    export(others, tmp_path / "theirs.zip")
    added, (problem,) = folder.import_(tmp_path / "theirs.zip")
    assert [entry.name for entry in added] == ["spleen"] and problem == "'theirs' is here already and stays as it is."
    assert folder.read()[0].get(numbered(1)).name == "liver"


def test_nothing_is_no_export(folder, tmp_path):
    with pytest.raises(FileError, match="nothing to export"):
        folder.export([], tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


def test_where_an_export_cannot_be_written_the_old_file_stays(tmp_path):
    with pytest.raises(FileError, match="cannot be written"):
        export([LIVER], tmp_path / "none" / "out.zip")
    (tmp_path / "out.zip").mkdir()
    with pytest.raises(FileError, match="cannot be written"):
        export([LIVER], tmp_path / "out.zip")


def test_an_import_that_the_disk_refuses_midway_leaves_nothing(folder, tmp_path, monkeypatch):
    export(
        [entry_named("spleen", identity=numbered(3)), entry_named("aorta", identity=numbered(4))], tmp_path / "a.zip"
    )
    add = RecallFolder.add

    def refused(self: RecallFolder, entry: RecallEntry) -> None:
        if entry.name == "aorta":
            raise FileError("The disk is full.")
        add(self, entry)

    monkeypatch.setattr(RecallFolder, "add", refused)
    with pytest.raises(FileError, match="full"):
        folder.import_(tmp_path / "a.zip")
    assert [entry.name for entry in folder.read()[0]] == ["liver", "left kidney"] and len(files_in(folder.path)) == 4


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04" + b"\0" * 60])
def test_what_is_no_archive_is_told(folder, tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(FileError, match=r"a\.zip cannot be read as a \.zip file"):
        folder.import_(tmp_path / "a.zip")


def test_an_archive_that_is_not_there_or_holds_nothing_is_told(folder, tmp_path):
    with pytest.raises(FileError, match="cannot be read"):
        folder.import_(tmp_path / "none.zip")
    with pytest.raises(FileError, match="holds no remembered structures"):
        folder.import_(archive(tmp_path / "photos.zip", ("photo.jpg", b"jpg")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="holds no remembered structures"):
        folder.import_(tmp_path / "empty")


def test_paths_in_an_archive_lead_nowhere(folder, tmp_path):
    """Whatever members are called, files are named by the identities that the entries themselves have."""
    members = []
    for number, place in enumerate(("../../../evil", "/etc/evil", "a/b/evil", "..\\evil", "")):
        entry = entry_named("evil", identity=numbered(20 + number))
        name = place or "evil"
        members += [(f"{name}.json", to_words(entry).encode()), (f"{name}.safetensors", to_tensors(entry))]
    outside = files_in(tmp_path)
    added, problems = folder.import_(archive(tmp_path / "evil.zip", *members))
    assert len(added) == 5 and problems == ()
    assert {name.rsplit(".")[0] for name in files_in(tmp_path) - outside - {"evil.zip"}} == {
        numbered(20 + number) for number in range(5)
    }


def test_a_bomb_is_unpacked_no_further_than_an_entry_may_be(tmp_path):
    bomb = archive(
        tmp_path / "bomb.zip",
        ("a.json", words_of()), ("a.safetensors", b"\0" * (4 * LARGEST_ENTRY)),
        ("b.json", b" " * 20_000_000), ("b.safetensors", b""),
        ("liver.json", words_of()), ("liver.safetensors", tensors_of()),
    )  # fmt: skip
    assert bomb.stat().st_size < 200_000
    memory, problems = read_archive(bomb)
    assert [entry.name for entry in memory] == ["liver"]
    assert len(problems) == 2 and all("too large to be one" in problem for problem in problems)


def test_a_bomb_of_many_members_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(recall_files, "LARGEST_ARCHIVE", 3 * 2**20)
    members = []
    for number in range(6):
        members += [(f"{number}.json", words_of()), (f"{number}.safetensors", b"\0" * 2**20)]
    members += [("liver.json", words_of()), ("liver.safetensors", tensors_of())]
    memory, problems = read_archive(archive(tmp_path / "bomb.zip", *members))
    assert len(memory) == 0 and len(problems) == 4 and "more than 3 MB; the rest was left out" in problems[-1]


def test_an_archive_that_lies_about_its_sizes_gives_a_sentence(tmp_path):
    path = archive(tmp_path / "a.zip", ("a.json", words_of()), ("a.safetensors", tensors_of()))
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 10)  # the last member's size in the directory
    path.write_bytes(content)
    memory, problems = read_archive(path)
    assert len(memory) == 0 and len(problems) == 1 and "was left out" in problems[0]


def test_a_damaged_member_is_told_and_the_others_are_read(tmp_path):
    path = archive(
        tmp_path / "a.zip", ("a.json", words_of()), ("a.safetensors", tensors_of()),
        ("b.json", words_of(KIDNEY)), ("b.safetensors", tensors_of(KIDNEY)), ("c.json", words_of()),
    )  # fmt: skip
    with zipfile.ZipFile(path) as file:
        at = file.getinfo("a.safetensors").header_offset + 30 + len("a.safetensors")
    content = bytearray(path.read_bytes())
    content[at + 20 : at + 30] = b"\xff" * 10
    path.write_bytes(content)
    memory, problems = read_archive(path)
    assert [entry.name for entry in memory] == ["left kidney"]
    assert "damaged" in problems[0] and "missing" in problems[1]


def test_only_so_many_entries_are_read(folder, tmp_path, monkeypatch):
    folder.export([numbered(1), numbered(2)], tmp_path / "a.zip")
    monkeypatch.setattr(recall_files, "MOST_ENTRIES", 1)
    for memory, problems in (folder.read(), read_archive(tmp_path / "a.zip")):
        assert len(memory) == 1 and "more than 1 entries" in problems[0]


# -- whose they are --------------------------------------------------------------------------------------------------


def test_the_users_folder_is_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMSEG_RECALL", str(tmp_path / "mine"))
    assert default_folder() == tmp_path / "mine"
    monkeypatch.setenv("MEMSEG_RECALL", " ")
    assert default_folder().name == "recall" and "memseg" in default_folder().parts


def test_everything_is_what_ships_and_the_users_own(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MEMSEG_RECALL", str(tmp_path))
    shipped = starter().entries[0]
    RecallFolder(tmp_path).add(entry_named("mine", identity=shipped.identity))
    RecallFolder(tmp_path).add(LIVER)
    (tmp_path / f"{numbered(1)}.safetensors").write_bytes(b"")
    memory = everything()
    assert len(memory) == len(starter()) and memory.get(shipped.identity).name == "mine"
    assert "was left out" in caplog.text


def test_a_project_without_a_starter_memory_remembers_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(recall_files, "STARTER", tmp_path)
    assert len(recall_files.starter.__wrapped__()) == 0


# -- what ships ------------------------------------------------------------------------------------------------------


def test_the_names_of_the_first_day_are_in_the_starter_memory():
    """Those that the README promises."""
    names = ("liver", "spleen", "left kidney", "aorta", "L3", "mandible", "left parotid")
    held = {(entry.key, entry.side) for entry in starter()}
    assert [name for name in names if key_of(name) not in held] == []


def test_the_starter_memory_is_whole_small_and_under_permissive_licences():
    (path,) = STARTER.glob("*.zip")
    memory, problems = read_archive(path)
    assert problems == () and path.stat().st_size <= 5_000_000
    assert {entry.licence.split()[0] for entry in memory} <= {"Apache-2.0", "MIT", "CC0-1.0", "CC-BY-3.0"}
    assert {entry.modality for entry in memory} == {"CT", "MR", "PET"}
    repositories = {entry.note.removeprefix("github:").split("@")[0] for entry in memory}
    licences = {path.name for path in STARTER.glob("LICENSE-*.txt")}
    assert {f"LICENSE-{repository.replace('/', '__')}.txt" for repository in repositories} == licences


def test_no_entry_of_the_starter_memory_is_of_a_subject_that_models_are_validated_on_but_the_only_abdomen():
    assert {entry.subject for entry in starter()} & set(validation_subjects()) == {"ts-A"}


def test_the_starter_memory_holds_no_voxels_but_a_thumbnail():
    for entry in starter():
        assert entry.image is None and entry.image_to_mm is None and entry.thumbnail.shape == (64, 64)


# -- what is kept of an image ----------------------------------------------------------------------------------------


def test_without_being_asked_no_voxels_are_kept_beyond_the_thumbnail():
    """Voxels with a value of their own: nothing that is kept has as many different values, or any of theirs."""
    volume = chest(axis_grid(), noise=200.0)
    mask = chest_parts(volume.grid)["right lung"]
    box = Box.of_mask(mask)
    entry = remember(volume, box, mask[box.slices], "right lung")
    assert entry.image is None and entry.image_to_mm is None
    kept = {name: array for name, array in entry.arrays().items() if name not in ("near_index", "values", "mask")}
    assert set(kept) == {"keys", "near_keys", "cut", "histograms", "embedding", "thumbnail"}
    for name, array in kept.items():
        assert array.dtype == np.uint8 or np.abs(array).max() <= 3, name  # no HU: all are parts of a range
    assert kept["thumbnail"].shape == (64, 64) and entry.size_bytes < 60_000


def test_when_asked_the_voxels_round_it_are_kept_with_their_place():
    volume = chest()
    mask = chest_parts(volume.grid)["nodule"]
    box = Box.of_mask(mask)
    entry = remember(volume, box, mask[box.slices], "nodule", keep_image=True)
    around = box.grown(2)  # 10 mm of voxels of 6 mm
    assert np.array_equal(entry.image, volume.array_kji[around.slices])
    first = (entry.image_to_mm @ [0, 0, 0, 1])[:3] + volume.grid.ras_from_kji(np.argwhere(mask)).mean(axis=0)
    assert np.allclose(first, volume.grid.ras_from_kji(around.start_kji), atol=1e-3)
    last = np.append(np.array(entry.image.shape[::-1]) - 1, 1)
    there = (entry.image_to_mm @ last)[:3] - (entry.image_to_mm @ [0, 0, 0, 1])[:3]
    assert np.allclose(there, (np.array(around.shape_kji[::-1]) - 1) * 6.0, atol=1e-3)


def test_the_memory_of_a_folder_and_of_an_archive_are_the_same(folder, tmp_path):
    folder.export([numbered(1), numbered(2)], tmp_path / "a.zip")
    assert isinstance(folder.read()[0], RecallMemory)
    assert all(same(a, b) for a, b in zip(folder.read()[0], read_archive(tmp_path / "a.zip")[0]))
