"""Slice work is saved with a session, and recorded in its journal: reopened tomorrow it goes on as if nothing had
been."""

import io
import json

import numpy as np
import pytest
from bars import BAR, VOLUME, drawn
from fakes import BlockSegmenter, BlockSlices
from hypothesis import given, settings
from hypothesis import strategies as st

import memseg
from memseg.errors import FileError, MemSegError
from memseg.geometry import Box
from memseg.journal import Journal, read_lines
from memseg.prompts import Click, MaskPrompt, from_record, to_record
from memseg.session import Session


def begun(**options) -> Session:
    session = Session(VOLUME, BlockSegmenter(reach=1), slices=BlockSlices({7: 0.4}), **options)
    session.add(drawn(5))
    return session


def worked_session() -> Session:
    """Propagated, a slice agreed, one pinned, a click in another, the last step undone."""
    session = begun()
    list(session.propagate(reference=5, policy="recent"))
    session.agree("k", 6)
    session.pin_slice("k", 8)
    session.add(Click((7, 3, 3), positive=False))
    session.agree("j", 3)
    session.undo()
    return session


def loaded_from(data: bytes) -> Session:
    return Session.from_bytes(data, VOLUME, BlockSegmenter(reach=1), slices=BlockSlices({7: 0.4}))


def whole(session: Session) -> tuple:
    return (
        session.mask_kji.tobytes(),
        [(entry.number, entry.prompt, getattr(entry.prompt, "origin", None)) for entry in session.prompts],
        [session.marks(axis) for axis in "kji"],
        [
            (entry.key, entry.place_mm, entry.model, entry.confidence, entry.prominence, entry.agreed, entry.pinned,
             entry.reference, entry.features.keys.tobytes(), entry.features.values.tobytes(), entry.features.window_mm)
            for entry in (*session.slices, *session.slices.recent)
        ],
        (session.slices.policy, session.slices.capacity, session.slices.recent_capacity, session.slices.tau_mm),
    )  # fmt: skip


SAVED = worked_session().to_bytes()


def altered(change) -> bytes:
    arrays = dict(np.load(io.BytesIO(SAVED)))
    description = json.loads(bytes(arrays["description"]))
    change(description, arrays)
    arrays["description"] = np.frombuffer(json.dumps(description).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


# -- the file ----------------------------------------------------------------------------------------------------------


def test_a_loaded_session_is_the_saved_one_at_every_step_of_its_history():
    session, loaded = worked_session(), loaded_from(SAVED)
    assert whole(loaded) == whole(session) and loaded.to_bytes() == SAVED
    session.redo(), loaded.redo()
    assert whole(loaded) == whole(session)
    while session.can_undo:
        session.undo(), loaded.undo()
        assert whole(loaded) == whole(session)


def test_a_loaded_session_goes_on_as_the_saved_one_would_have():
    session, loaded = worked_session(), loaded_from(SAVED)
    for each in (session, loaded):
        list(each.propagate())
        each.remove(1)
    assert whole(loaded) == whole(session)


def test_a_file_from_before_slices_were_remembered_still_loads():
    def forget_the_fields(description, _arrays):
        for name in ("slice_model", "slice_features", "slice_entries", "slice_memories", "slice_marks"):
            del description[name]
        for state in description["states"]:
            for name in ("slices", "marks", "axis"):
                del state[name]

    loaded = loaded_from(altered(forget_the_fields))
    assert loaded.marks("k") == {} and len(loaded.slices) == 0 and len(loaded.prompts) == 3
    list(loaded.propagate(reference=5))


def test_a_session_goes_on_with_the_slice_model_it_was_saved_with():
    session = Session(VOLUME, BlockSegmenter())
    session.change_slice_model("slice-geodesic")
    loaded = Session.from_bytes(session.to_bytes(), VOLUME, BlockSegmenter())
    assert loaded.slice_model == "slice-geodesic"


def test_a_session_saved_with_a_slice_model_that_is_not_here_takes_the_default():
    loaded = Session.from_bytes(SAVED, VOLUME, BlockSegmenter())
    assert loaded.slice_model == memseg.catalog.default_slices()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(SAVED) - 1), st.integers(1, 255))
def test_a_changed_byte_either_does_no_harm_or_is_a_sentence(position, flip):
    damaged = bytearray(SAVED)
    damaged[position] ^= flip
    try:
        loaded = loaded_from(bytes(damaged))
    except MemSegError:
        return
    assert whole(loaded) == whole(worked_session())


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
        set_to("states", 0, "slices", 99),
        set_to("states", 0, "marks", None),
        set_to("states", 0, "axis", "x"),
        set_to("slice_marks", -1, "marks", 0, 0, "t"),
        set_to("slice_marks", -1, "marks", 0, 1, 12),
        set_to("slice_marks", -1, "marks", 0, 1, -1),
        set_to("slice_marks", -1, "marks", 0, 1, 1.5),
        set_to("slice_marks", -1, "marks", 0, 2, "confidence", float("nan")),
        set_to("slice_marks", -1, "marks", 0, 2, "confidence", "much"),
        set_to("slice_marks", -1, "marks", 0, 2, "by", -1),
        set_to("slice_marks", -1, "marks", 0, 2, "sure", True),
        set_to("slice_entries", 0, "axis", "t"),
        set_to("slice_entries", 0, "index", 400),
        set_to("slice_entries", 0, "place_mm", float("inf")),
        set_to("slice_entries", 0, "prominence", 0),
        set_to("slice_entries", 0, "features", 99),
        set_to("slice_features", 0, "window_mm", [1, 2]),
        set_to("slice_features", 0, "keys", "description"),
        set_to("slice_features", 0, "values", "nothing"),
        set_to("slice_memories", -1, "capacity", 0),
        set_to("slice_memories", -1, "policy", "best"),
        set_to("slice_memories", -1, "entries", [0, 0]),
        set_to("slice_memories", -1, "tau_mm", None),
        set_to("done", []),
    ],
)
def test_forged_slices_are_a_sentence(change):
    with pytest.raises(FileError, match="damaged"):
        loaded_from(altered(change))


def test_where_a_mask_comes_from_is_kept_in_its_record_but_makes_no_other_prompt():
    mask = MaskPrompt.within(
        (2, 2, 2), Box((0, 0, 0), (2, 2, 2)), np.ones((2, 2, 2)), "propagated along k from slice 0"
    )
    again = from_record(json.loads(json.dumps(to_record(mask))))
    assert again.origin == mask.origin and again == MaskPrompt.from_mask(np.ones((2, 2, 2)))
    assert "origin" not in to_record(MaskPrompt.from_mask(np.ones((2, 2, 2))))


# -- the journal -------------------------------------------------------------------------------------------------------


@pytest.fixture
def journalled(tmp_path, monkeypatch):
    """A new session that keeps a journal, and a function that resumes it."""
    monkeypatch.setattr("memseg.build.build", lambda name, device: BlockSegmenter(reach=1))
    monkeypatch.setattr("memseg.slicing.build_slices", lambda name, device: BlockSlices({7: 0.4}))
    session = Session(VOLUME, BlockSegmenter(reach=1), slices=BlockSlices({7: 0.4}))
    session.keep_journal(Journal.begin(tmp_path / "j", VOLUME, "block", True))
    return session, lambda: memseg.resume_session(tmp_path / "j", VOLUME)


def test_all_slice_work_is_resumed_from_the_journal(journalled):
    session, resumed = journalled
    session.add(drawn(5))
    steps = session.propagate(reference=5, policy="recent", last=8)
    for _ in range(4):
        next(steps)
    steps.close()
    assert whole(resumed()) == whole(session)
    session.agree("k", 6)
    session.release("k", 5)
    session.pin_slice("k", 7)
    session.drop_slice("k", 4)
    session.add(Click((7, 3, 3), positive=False))
    assert whole(resumed()) == whole(session)
    list(session.propagate())
    session.undo()
    session.make_consistent("k")
    session.remove(2)
    session.clear_slices()
    again = resumed()
    assert whole(again) == whole(session)
    while session.can_undo:
        session.undo(), again.undo()
        assert whole(again) == whole(session)


def test_a_propagation_in_time_is_resumed_without_the_other_session(journalled):
    then, resumed = journalled
    now = begun()
    list(now.propagate(reference=5))
    steps = now.propagate("t", into=then)
    for _ in range(4):
        next(steps)
    steps.close()
    again = resumed()
    assert whole(again) == whole(then) and again.mask_kji.any() and len(again.slices) == 4
    again.undo()
    assert not again.mask_kji.any()


def test_a_journal_begun_in_the_middle_of_slice_work_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("memseg.build.build", lambda name, device: BlockSegmenter(reach=1))
    monkeypatch.setattr("memseg.slicing.build_slices", lambda name, device: BlockSlices({7: 0.4}))
    session = worked_session()
    session.keep_journal(Journal.begin(tmp_path / "j", VOLUME, "block", True))
    session.redo()
    list(session.propagate())
    resumed = memseg.resume_session(tmp_path / "j", VOLUME)
    assert whole(resumed) == whole(session)


@pytest.mark.parametrize(
    "line",
    [
        {"do": "propagate"},
        {"do": "propagate", "axis": "k", "reference": [5], "first": 0, "last": 11, "direction": "both", "policy": None,
         "patience": 2, "model": "block-slices", "steps": 99},
        {"do": "propagate", "axis": "k", "reference": [5], "first": 0, "last": 11, "direction": "both", "policy": None,
         "patience": 2, "model": "block-slices", "steps": "many"},
        {"do": "propagate", "axis": "k", "reference": [1], "first": 0, "last": 11, "direction": "both", "policy": None,
         "patience": 2, "model": "block-slices", "steps": 1},
        {"do": "follow", "policy": None, "model": "block-slices", "prompt": {"kind": "click", "point_kji": [1, 1, 1]},
         "marks": []},
        {"do": "follow", "policy": None, "model": "block-slices", "prompt": to_record(MaskPrompt.from_mask(BAR)),
         "marks": [[40, 0.5, True]]},
        {"do": "agree", "axis": "k", "index": 40, "model": None},
        {"do": "release", "axis": "k", "index": 3},
        {"do": "pin_slice", "axis": "k", "index": 3, "on": 1},
        {"do": "change_slice_model", "name": 7},
    ],
)  # fmt: skip
def test_slice_work_that_cannot_be_taken_again_is_a_sentence(journalled, tmp_path, line):
    session, resumed = journalled
    session.add(drawn(5))
    with open(tmp_path / "j", "ab") as file:
        file.write(json.dumps(line).encode() + b"\n")
    with pytest.raises(FileError, match="cannot be replayed"):
        resumed()


def test_a_propagation_is_one_line_of_the_journal_however_long(journalled, tmp_path):
    session, _ = journalled
    session.add(drawn(5))
    session.propagate(reference=5).close()
    taken = len(list(session.propagate(reference=5)))
    line = read_lines(tmp_path / "j")[0][-1]
    assert line["do"] == "propagate" and line["steps"] == taken and line["reference"] == [5]
    assert len(read_lines(tmp_path / "j")[0]) == 3 and (tmp_path / "j").stat().st_size < 2000
