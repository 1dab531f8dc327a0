"""BiomedParse in the chain that grounds words: with it, words go to it first, whatever model answers to clicks."""

from __future__ import annotations

import numpy as np
import pytest
from bright_biomedparse import bright_segmenter, network_of
from fakes import BlockSegmenter
from phantoms import axis_grid, chest, chest_parts, overlap

from memseg import catalog, talking
from memseg.errors import ModelError, PromptError
from memseg.geometry import Grid
from memseg.memory.recall import RecallMemory
from memseg.prompts import Click, Text
from memseg.session import Session
from memseg.text.parse import parse
from memseg.volume import Volume

GRID = axis_grid()
CHEST, PARTS = chest(GRID), chest_parts(GRID)
SPINE = PARTS["spine"]  # all that is bright in the window of the lung


@pytest.fixture
def reader(monkeypatch):
    """BiomedParse as if a user had added it, answering that everything bright is what was named."""
    segmenter, here = bright_segmenter(), catalog.can_be_built
    monkeypatch.setattr(catalog, "can_be_built", lambda card: card.name == "biomedparse" or here(card))
    monkeypatch.setattr(talking, "build", lambda name, device: {"biomedparse": segmenter}[name])
    return segmenter


def session_on(volume: Volume = CHEST, segmenter=None) -> Session:
    return Session(volume, segmenter or BlockSegmenter(), "cpu", recall=RecallMemory())


def test_words_go_to_it_first_and_clicks_to_the_sessions_own_model(reader):
    session = session_on()
    session.add(Text("heart"))
    assert session.understood.found[0].link == "model" and session.mask_kji.any()
    assert "Model: BiomedParse finds the heart." in session.understood.links
    before = session.mask_kji.copy()
    session.add(Click((2, 2, 2)))
    assert session.mask_kji[2, 2, 2] == 1 and np.array_equal(session.mask_kji[6:], before[6:])
    session.undo()
    session.undo()
    assert not session.mask_kji.any()


def test_without_it_the_chain_is_what_it_was():
    session = session_on()
    session.add(Text("left lung"))
    assert session.understood.found[0].link == "physics" and catalog.default_for_text() == ""


def test_what_others_find_for_the_same_words_is_offered_beside_it(reader):
    session = session_on()
    session.add(Text("left lung"))
    first, second = session.understood.found[:2]
    assert (first.link, second.link) == ("model", "physics") and second.confidence <= first.confidence
    session.choose(1)
    assert overlap(session.mask_kji > 0, PARTS["left lung"]) > 0.8


def test_what_it_does_not_find_is_looked_for_by_others(reader):
    network_of(reader).knows = ("heart",)
    session = session_on()
    session.add(Text("left lung"))
    assert session.understood.found[0].link == "physics"
    assert any("BiomedParse finds no left lung here" in link for link in session.understood.links)


def test_what_nobody_finds_is_said_with_what_the_model_had_to_say(reader):
    network_of(reader).knows = ("heart",)
    session = session_on()
    with pytest.raises(PromptError, match="spleen was not found: .* BiomedParse finds no spleen here: it is 0% sure"):
        session.add(Text("spleen"))
    assert not session.mask_kji.any() and not session.prompts


def test_an_image_of_unknown_kind_is_asked_about(reader):
    array = np.zeros((6, 20, 20), np.float32)
    array[2:4, 5:15, 5:15] = 80
    array[0] = -160
    with pytest.raises(PromptError, match="such as 'spleen in CT'"):
        session_on(Volume(array, Grid.from_spacing(array.shape, (5, 2, 2)))).add(Text("spleen"))


def test_words_of_which_the_grammar_makes_nothing_are_given_to_it_as_they_are(reader):
    session = session_on()
    words = "zygomorphic quux visible in CT"
    with pytest.raises(PromptError):
        parse(words)
    session.add(Text(words))
    assert session.mask_kji.any() and session.understood is None
    assert session.prompts[0].prompt.origin == words
    network_of(reader).knows = ("heart",)
    with pytest.raises(PromptError, match="BiomedParse finds no zygomorphic gribble in CT here"):
        session.add(Text("zygomorphic gribble in CT"))
    assert len(session.prompts) == 1


def test_commands_change_the_mask_even_where_the_sessions_model_takes_words():
    session = session_on(segmenter=bright_segmenter())
    session.add(Text("heart in CT"))
    before = int(session.mask_kji.sum())
    asked = len(network_of(session._segmenter).asked)
    session.add(Text("grow by 6 mm"))
    assert session.mask_kji.sum() > before and len(network_of(session._segmenter).asked) == asked


def test_a_file_that_has_changed_is_said_when_words_need_it(monkeypatch):
    def changed(name: str, device: str):
        raise ModelError("The weights have changed since they were added; add it again.")

    monkeypatch.setattr(catalog, "default_for_text", lambda: "biomedparse")
    monkeypatch.setattr(talking, "build", changed)
    session = session_on()
    with pytest.raises(ModelError, match="add it again"):
        session.add(Text("left lung"))
    assert not session.prompts
