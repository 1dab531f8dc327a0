"""Typing in a session: the mask appears as one step, alternatives are one choice away, and failures leave no trace."""

import numpy as np
import pytest
from fakes import BlockSegmenter, BlockSlices, box_mask
from phantoms import axis_grid, chest, chest_parts, overlap, spot, spots

import memseg
from memseg.errors import PromptError, SessionError
from memseg.geometry import Box
from memseg.memory.recall import RecallMemory
from memseg.prompts import Click, MaskPrompt, Text
from memseg.segmenters.base import ModelCard, Prediction
from memseg.session import Session
from memseg.volume import Volume

GRID = axis_grid()
CHEST = chest(GRID)
SPOTS = spots(GRID)
PARTS = chest_parts(GRID)


def session_on(volume: Volume = CHEST, **options) -> Session:
    return Session(volume, BlockSegmenter(), recall=RecallMemory(), **options)


class Answering(BlockSegmenter):
    """A model that takes text, and answers it with one voxel at the origin."""

    card = ModelCard("answering", "Answering", "For tests.", frozenset({"click", "text"}), "Apache-2.0", "")

    def predict(self, volume, prompts, mask_kji, memory):
        if prompts[-1].prompt.kind != "text":
            return super().predict(volume, prompts, mask_kji, memory)
        return Prediction(Box((0, 0, 0), (1, 1, 1)), np.ones((1, 1, 1), np.float32), np.zeros((1, 1)))


def test_words_become_a_mask_that_says_where_it_comes_from():
    session = session_on()
    change = session.add(Text("right lung"))
    assert overlap(session.mask_kji > 0, PARTS["right lung"]) > 0.85
    assert change.after.any()
    (entry,) = session.prompts
    assert isinstance(entry.prompt, MaskPrompt) and entry.prompt.origin == "right lung"
    assert session.understood.name == "right lung" and session.understood.side == "right"


def test_words_replace_the_mask_and_an_undo_brings_it_back():
    session = session_on()
    session.add(Click((5, 5, 5)))
    before = session.mask_kji.copy()
    session.add(Text("left lung"))
    assert session.mask_kji[5, 5, 5] == 0
    session.undo()
    assert np.array_equal(session.mask_kji, before) and session.understood is None
    session.redo()
    assert overlap(session.mask_kji > 0, PARTS["left lung"]) > 0.85 and session.understood is not None


def test_a_click_after_words_corrects_their_mask_and_ends_what_was_understood():
    session = session_on()
    session.add(Text("left lung"))
    size = int(session.mask_kji.sum())
    session.add(Click((2, 2, 2)))
    assert session.mask_kji.sum() == size + 125
    assert session.understood is None


def test_taking_the_words_out_again_leaves_the_clicks():
    session = session_on()
    session.add(Text("left lung"))
    session.add(Click((5, 5, 5)))
    session.remove(0)
    assert session.mask_kji.sum() == 125


def test_another_of_what_was_found_can_be_chosen_and_taken_back():
    session = session_on(SPOTS)
    session.add(Text("bright round structure"))
    first, others = session.mask_kji.copy(), session.understood.found[1:]
    assert len(others) >= 2
    session.choose(1)
    assert session.mask_kji[others[0].box.slices].sum() == others[0].voxels == session.mask_kji.sum()
    assert session.understood is not None
    session.choose(2)
    session.undo()
    session.undo()
    assert np.array_equal(session.mask_kji, first)
    assert session.understood is not None


def test_choosing_needs_words_and_a_number_that_was_found():
    session = session_on(SPOTS)
    with pytest.raises(SessionError, match="type what to segment"):
        session.choose(0)
    session.add(Text("bright round structure"))
    with pytest.raises(SessionError, match="There is no alternative 99"):
        session.choose(99)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("liver", "The liver was not found"),
        ("left right kidney", "contradict"),
        ("grow by 2 mm", "The mask is empty"),
        ("near the click", "no click"),
        ("\U0001f600\U0001f600", r"\w"),
        ("Леберкнёдель", r"\w"),
        ("'; DROP TABLE masks; --", r"\w"),
        ("lung" * 200, r"\w"),
        ("", "empty"),
        ("   ", "empty"),
        ("liver " * 2_000, "characters"),
        ("כליה", "Latin letters"),
        ("upper lower lung", "contradict"),
    ],
)
def test_what_cannot_be_understood_or_found_changes_nothing(words, message):
    session = session_on()
    with pytest.raises(PromptError, match=message) as raised:
        session.add(Text(words))
    assert str(raised.value).endswith(".")
    assert not session.can_undo and session.mask_kji.sum() == 0 and session.understood is None


def test_hounsfield_words_on_mr_say_that_there_are_none():
    with pytest.raises(PromptError, match="its values are not HU"):
        session_on(SPOTS).add(Text("everything brighter than 300 HU"))


def test_a_model_that_takes_text_answers_itself():
    session = Session(CHEST, Answering(), recall=RecallMemory())
    session.add(Text("anything"))
    assert session.mask_kji.sum() == 1 and session.understood is None
    assert session.prompts[0].prompt == Text("anything")


def test_commands_change_the_mask_and_grow_in_mm():
    session = session_on()
    session.add(MaskPrompt.from_mask(box_mask(GRID.shape_kji, Box((10, 10, 10), (20, 20, 20)))))
    session.add(Text("grow by 6 mm"))
    assert session.mask_kji.sum() == 10**3 + 6 * 10**2  # voxels of 6 mm: one layer on each face, none at the edges
    session.undo()
    assert session.mask_kji.sum() == 10**3


def test_what_is_added_joins_the_mask_and_what_is_taken_leaves_it():
    session = session_on()
    session.add(Text("right lung"))
    session.add(Text("also the left lung"))
    assert overlap(session.mask_kji > 0, PARTS["right lung"] | PARTS["left lung"]) > 0.85
    session.add(Text("remove the right lung"))
    assert overlap(session.mask_kji > 0, PARTS["left lung"]) > 0.85


def test_other_segments_of_the_volume_can_be_referred_to_by_name():
    session = session_on(SPOTS)
    ball = spot("left", GRID)
    whole = box_mask(GRID.shape_kji, Box((5, 5, 2), (35, 35, 30)))  # the left half and the ball in it
    session.segments = {"Liver": (GRID.box, whole), "Tumor": (GRID.box, ball.astype(np.uint8))}
    session.add(Text("liver without the tumor"))
    assert np.array_equal(session.mask_kji > 0, (whole > 0) & ~ball)


def test_segments_that_do_not_fit_the_volume_are_a_mistake():
    with pytest.raises(ValueError, match="does not fit"):
        session_on().segments = {"Liver": (Box((0, 0, 0), (2, 2, 2)), np.zeros((3, 3, 3)))}


def test_agreed_slices_stay_as_they_are():
    session = session_on(slices=BlockSlices())
    session.add(MaskPrompt.from_mask(box_mask(GRID.shape_kji, Box((20, 10, 10), (21, 20, 20)))))
    session.agree("k", 20)
    session.add(Text("right lung"))
    assert session.mask_kji[20].sum() == 100
    assert session.mask_kji[18].sum() > 200
    assert [index for index, mark in session.marks("k").items() if mark.agreed] == [20]
    session.undo()
    assert session.mask_kji.sum() == 100


def test_words_are_in_the_journal_and_in_a_saved_session(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMSEG_RECALL", str(tmp_path / "recall"))
    session = memseg.new_session(CHEST, "geodesic", journal=tmp_path / "j", recall=RecallMemory())
    session.add(Text("right lung"))
    session.add(Text("grow by 6 mm"))
    resumed = memseg.resume_session(tmp_path / "j", CHEST)
    assert np.array_equal(resumed.mask_kji, session.mask_kji)
    assert [entry.prompt.origin for entry in resumed.prompts] == ["right lung", "grow by 6 mm"]
    session.save(tmp_path / "s")
    loaded = memseg.load_session(tmp_path / "s", CHEST)
    assert np.array_equal(loaded.mask_kji, session.mask_kji) and loaded.understood is None
    loaded.undo()
    assert overlap(loaded.mask_kji > 0, PARTS["right lung"]) > 0.85


def test_what_is_remembered_goes_into_the_recall_folder_and_is_found_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMSEG_RECALL", str(tmp_path / "recall"))
    session = session_on()
    with pytest.raises(SessionError, match="The mask is empty"):
        session.remember("my nodule")
    session.add(MaskPrompt.from_mask(PARTS["nodule"]))
    entry = session.remember("thingummy", licence="CC0")
    assert session.recall.entries == (entry,) and "thingummy" in session.recall.names()
    assert any((tmp_path / "recall").iterdir())
    again = session_on()
    again.recall = session.recall
    again.add(Text("thingummy"))
    assert overlap(again.mask_kji > 0, PARTS["nodule"]) > 0.3
    assert again.understood.found[0].link == "recall"
