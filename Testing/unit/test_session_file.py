"""Saved sessions come back whole; damaged or foreign ones are refused with a sentence."""

import io
import json

import numpy as np
import pytest
from fakes import BlockSegmenter, by_number, ramp_volume
from hypothesis import given, settings
from hypothesis import strategies as st

from memseg.errors import FileError, MemSegError, SessionError
from memseg.prompts import Click
from memseg.session import Session
from memseg.session_file import load_session, save_session
from memseg.volume import Volume

VOLUME = ramp_volume()


def worked_session() -> Session:
    """Three clicks, the last undone; the second leaned on the first."""
    session = Session(VOLUME, BlockSegmenter(attention=by_number))
    for point in ((3, 3, 3), (8, 8, 8), (12, 12, 12)):
        session.add(Click(point))
    session.undo()
    return session


SAVED = worked_session().to_bytes()


def altered(change) -> bytes:
    """The saved session with its description or arrays changed."""
    arrays = dict(np.load(io.BytesIO(SAVED)))
    description = json.loads(bytes(arrays["description"]))
    change(description, arrays)
    arrays["description"] = np.frombuffer(json.dumps(description).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def test_the_next_click_after_loading_gives_what_it_would_have_given():
    session, loaded = worked_session(), Session.from_bytes(SAVED, VOLUME, BlockSegmenter())
    for each in (session, loaded):
        each.redo()
        each.add(Click((5, 5, 5), positive=False))
    assert np.array_equal(session.mask_kji, loaded.mask_kji)
    assert [entry.number for entry in loaded.memory] == [1, 2, 3, 4]
    assert loaded.memory.entries[3].dense.tobytes() == session.memory.entries[3].dense.tobytes()


def test_what_the_masks_leaned_on_is_saved_with_every_step():
    loaded = Session.from_bytes(SAVED, VOLUME, BlockSegmenter())
    assert loaded.leaned == ((1, 1.0),)
    loaded.undo()
    assert loaded.leaned == ()
    loaded.redo()
    loaded.redo()
    assert dict(loaded.leaned) == pytest.approx({1: 1 / 3, 2: 2 / 3})


def test_a_file_from_before_that_was_saved_still_loads():
    def forget_the_field(description, _arrays):
        for state in description["states"]:
            del state["leaned"]

    loaded = Session.from_bytes(altered(forget_the_field), VOLUME, BlockSegmenter())
    assert loaded.leaned == () and len(loaded.prompts) == 2


def test_a_file_is_written_whole_and_read_back(tmp_path):
    session = Session(VOLUME, BlockSegmenter())
    session.add(Click((3, 3, 3)))
    save_session(session, tmp_path / "a.memseg")
    assert [path.name for path in tmp_path.iterdir()] == ["a.memseg"]
    with pytest.raises(MemSegError, match="no model called 'block'"):
        load_session(tmp_path / "a.memseg", VOLUME)
    session.change_model("geodesic")
    session.save(tmp_path / "a.memseg")
    loaded = load_session(tmp_path / "a.memseg", VOLUME)
    assert loaded.model == "geodesic" and np.array_equal(loaded.mask_kji, session.mask_kji)


def test_a_missing_file_and_an_impossible_place_are_sentences(tmp_path):
    with pytest.raises(FileError, match="cannot be read"):
        load_session(tmp_path / "none.memseg", VOLUME)
    with pytest.raises(FileError, match="cannot be written"):
        worked_session().save(tmp_path / "no" / "folder.memseg")


def test_a_session_of_another_image_is_refused():
    with pytest.raises(SessionError, match="another image"):
        Session.from_bytes(SAVED, Volume(VOLUME.array_kji + 1, VOLUME.grid), BlockSegmenter())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(SAVED) - 1), st.integers(1, 255))
def test_a_changed_byte_either_does_no_harm_or_is_a_sentence(position, flip):
    damaged = bytearray(SAVED)
    damaged[position] ^= flip
    try:
        loaded = Session.from_bytes(bytes(damaged), VOLUME, BlockSegmenter())
    except MemSegError:
        return
    assert np.array_equal(loaded.mask_kji, worked_session().mask_kji)


@pytest.mark.parametrize("size", [0, 10, len(SAVED) // 2, len(SAVED) - 1])
def test_a_file_cut_short_is_a_sentence(size):
    with pytest.raises(FileError, match="damaged"):
        Session.from_bytes(SAVED[:size], VOLUME, BlockSegmenter())


def set_to(*path):
    *where, last, value = path

    def change(description, _arrays):
        target = description
        for key in where:
            target = target[key]
        target[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        set_to("state", 99),
        set_to("prompts", 0, "kind", "spell"),
        set_to("prompts", 0, "number", None),
        set_to("mask", "stop", [99, 99, 99]),
        set_to("mask", "bits", "nothing"),
        set_to("done", 0, "change", []),
        set_to("done", 0, "before", "x"),
        set_to("capacity", 0),
        set_to("interactions", 0, "sparse", "description"),
        set_to("states", 0, "memory", [0] * 500),
        set_to("states", 1, "memory", [0, 0]),
        set_to("prompts", 0, "number", float("inf")),
        set_to("states", 0, "leaned", 7),
        set_to("states", 0, "leaned", None),
        set_to("states", 0, "leaned", [[1]]),
        set_to("states", 0, "leaned", [[9, 0.5]]),
        set_to("states", 0, "leaned", [[None, 0.5]]),
        set_to("states", 0, "leaned", [[float("inf"), 0.5]]),
        set_to("states", 0, "leaned", [[1, "much"]]),
        set_to("states", 0, "leaned", [[1, 1.5]]),
        set_to("states", 0, "leaned", [[1, -0.5]]),
        set_to("states", 0, "leaned", [[1, float("nan")]]),
        set_to("states", 0, "leaned", [[1, 10**400]]),
        set_to("states", 0, "leaned", [[1, 0.5], [1, 0.5]]),
        lambda description, _: description.pop("undone"),
        lambda description, arrays: arrays.update({description["mask"]["bits"]: np.zeros(3, np.uint8)}),
        lambda description, arrays: arrays.update({description["mask"]["bits"]: np.zeros(3)}),
    ],
)
def test_a_forged_session_is_a_sentence(change):
    with pytest.raises(FileError, match="damaged"):
        Session.from_bytes(altered(change), VOLUME, BlockSegmenter())


def test_a_session_of_a_later_version_says_so():
    with pytest.raises(FileError, match="another version"):
        Session.from_bytes(altered(set_to("format", "memseg-session-9")), VOLUME, BlockSegmenter())


def test_pickled_code_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    buffer = io.BytesIO()
    np.savez(buffer, description=np.array([Trap()], dtype=object))
    with pytest.raises(FileError):
        Session.from_bytes(buffer.getvalue(), VOLUME, BlockSegmenter())
    assert not (tmp_path / "sprung").exists()
