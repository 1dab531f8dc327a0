"""MAIS as a segmenter: what it remembers in a session, and that it is SAM-Med3D where it remembers nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sam_scenes import CENTRE, GRID, OBJECT, SHAPE, bright
from small_sam import CELLS, EDGE, WIDTH, small_mais, small_sam

from memseg import catalog, load_session
from memseg.errors import ModelError
from memseg.memory.interaction import Interaction
from memseg.networks.sam_prompts import NEGATIVE, POSITIVE
from memseg.prompts import BoxPrompt, Click, MaskPrompt
from memseg.segmenters import sam_files
from memseg.segmenters.base import Numbered, Segmenter
from memseg.segmenters.canonical import Canonical
from memseg.segmenters.mais import MaisSegmenter
from memseg.segmenters.sam_before import FOLD, PLACE, answered_of, folded, unfolded
from memseg.segmenters.sam_med3d import SamMed3DSegmenter
from memseg.segmenters.sam_window import Window
from memseg.session import Session

CLICKS = (Click(CENTRE), Click((9, 28, 44)), Click((9, 40, 33), positive=False), Click((10, 20, 30)))


def pair(**changes) -> tuple[SamMed3DSegmenter, MaisSegmenter]:
    """The same weights without and with a memory."""
    mais = small_mais(**changes)
    sam = small_sam(**changes)
    sam.load_state_dict({name: mais.state_dict()[name] for name in sam.state_dict()})
    return SamMed3DSegmenter(sam, "cpu"), MaisSegmenter(mais, "cpu")


def clicked(segmenter, clicks=CLICKS, **changes) -> Session:
    session = Session(bright(), segmenter, **changes)
    for click in clicks:
        session.add(click)
    return session


# -- without a memory --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", [(), None])
def test_without_a_memory_it_answers_as_sam_med3d_to_the_bit(memory):
    prompts = tuple(Numbered(number, click) for number, click in enumerate(CLICKS, start=1))
    mask = OBJECT.astype(np.uint8)
    for count in range(1, len(prompts) + 1):
        sam, mais = (each.predict(bright(), prompts[:count], mask, memory) for each in pair())
        assert sam.box == mais.box and np.array_equal(sam.probability, mais.probability)
        assert np.array_equal(sam.sparse, mais.sparse) and mais.attention is None


def test_a_session_begins_as_one_of_sam_med3d_and_goes_on_otherwise():
    sam, mais = (clicked(each, CLICKS[:1]) for each in pair())
    assert np.array_equal(sam.mask_kji, mais.mask_kji)
    answers = [each._segmenter for each in (sam, mais)]
    prompts = (Numbered(1, CLICKS[0]), Numbered(2, CLICKS[1]))
    found = [
        each.predict(session.volume, prompts, session.mask_kji, tuple(session.memory))
        for each, session in zip(answers, (sam, mais))
    ]
    assert found[0].box != found[1].box or not np.array_equal(found[0].probability, found[1].probability)


def test_a_session_without_memory_is_one_of_sam_med3d():
    sam, mais = (clicked(each, memory=False) for each in pair())
    assert np.array_equal(sam.mask_kji, mais.mask_kji) and len(mais.memory) == 0


# -- what is remembered ------------------------------------------------------------------------------------------------


def test_it_keeps_the_protocol_of_segmenters():
    segmenter = MaisSegmenter(small_mais(), "cpu")
    assert isinstance(segmenter, Segmenter) and segmenter.card.name == "mais"


def test_it_remembers_what_the_prompt_encoder_made_of_click_and_mask_as_it_is():
    network = small_mais()
    session = clicked(MaisSegmenter(network, "cpu"), CLICKS[:1])
    entry = session.memory.entries[0]
    middle = torch.full((1, 1, 3), (EDGE - 1) / 2)
    tokens = network.prompt_encoder.sparse(middle, torch.tensor([[POSITIVE]]))[0]
    mask = network.prompt_encoder.dense(torch.zeros(1, 1, CELLS, CELLS, CELLS))[0]
    assert entry.sparse.shape == (1, WIDTH + PLACE) and entry.dense.shape == (WIDTH + FOLD**3, 4, 4, 4)
    assert np.allclose(entry.sparse[:, :WIDTH], tokens.numpy(), atol=1e-5)
    assert np.allclose(entry.dense[:WIDTH], mask.numpy(), atol=1e-5)
    assert not entry.sparse.flags.writeable and not entry.dense.flags.writeable


def test_behind_them_lie_the_logits_answered_which_the_next_click_is_told():
    sam, mais = (clicked(each, CLICKS[:1]).memory.entries[0] for each in pair())
    assert np.array_equal(answered_of(mais, CELLS), sam.dense[0])
    assert answered_of(mais, 2 * CELLS) is None and answered_of(Interaction(1, "mais", np.zeros((1, 3))), CELLS) is None


def test_cells_are_folded_into_the_channels_of_their_token_and_back():
    logits = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    channels = folded(logits)
    assert channels.shape == (64, 2, 2, 2)
    assert channels[1 * 16 + 2 * 4 + 3, 1, 0, 1] == logits[5, 2, 7]
    assert np.array_equal(unfolded(channels), logits)


def test_the_oldest_of_the_remembered_leaves_first():
    session = clicked(MaisSegmenter(small_mais(), "cpu"), (*CLICKS, Click((9, 30, 36))), capacity=3)
    assert [entry.number for entry in session.memory] == [3, 4, 5]


def test_a_negative_click_where_nothing_is_leaves_nothing_to_read():
    segmenter = MaisSegmenter(small_mais(), "cpu")
    session = clicked(segmenter, (Click((2, 5, 5), positive=False),))
    prompts = (*session.prompts, Numbered(2, Click(CENTRE)))
    with_it, without = (
        segmenter.predict(session.volume, prompts, session.mask_kji, memory) for memory in (tuple(session.memory), ())
    )
    assert np.array_equal(with_it.probability, without.probability) and with_it.attention is None


def test_a_memory_of_a_network_of_another_size_is_passed_over():
    segmenter = MaisSegmenter(small_mais(), "cpu")
    other = Interaction(1, "mais", np.zeros((1, 99)), np.zeros((99, 2, 2, 2)))
    prompts, mask = (Numbered(1, Click(CENTRE)), Numbered(2, Click((9, 28, 44)))), OBJECT.astype(np.uint8)
    with_it, without = (segmenter.predict(bright(), prompts, mask, memory) for memory in ((other,), None))
    assert np.array_equal(with_it.probability, without.probability)


def test_it_says_how_much_it_leaned_on_each():
    session = clicked(MaisSegmenter(small_mais(), "cpu"))
    prompts = (*session.prompts, Numbered(5, Click((9, 28, 36))))
    memory = tuple(session.memory)
    blank = Interaction(9, "mais", np.zeros((1, WIDTH + PLACE)))
    for given, silent in ((memory, []), ((blank, *memory, blank), [0, 5])):
        shares = session._segmenter.predict(session.volume, prompts, session.mask_kji, given).attention
        assert len(shares) == len(given) and float(shares.sum()) == pytest.approx(1, abs=1e-5)
        assert [place for place, share in enumerate(shares) if share == 0] == silent


def test_one_kind_of_memory_can_be_read_alone():
    network = small_mais()
    session = clicked(MaisSegmenter(network, "cpu"))
    prompts = (*session.prompts, Numbered(5, Click((9, 28, 36))))
    arguments = (session.volume, prompts, session.mask_kji)
    answers = {
        reads: MaisSegmenter(network, "cpu", reads=reads)._engine.answer(*asked(session), tuple(session.memory)).logits
        for reads in ("none", "sparse", "dense", "both")
    }
    for one in answers:
        assert all(one == other or not np.array_equal(answers[one], answers[other]) for other in answers)
    none = MaisSegmenter(network, "cpu", reads="none").predict(*arguments, tuple(session.memory))
    assert none.attention is None


def asked(session: Session):
    """An engine's arguments for a click in the middle of the scene."""
    from memseg.segmenters.sam_engine import Said

    window = Window(GRID, tuple(map(float, CENTRE)), EDGE, CELLS)
    return session.volume, window, Said(np.asarray([[9.0, 28, 36]]), (POSITIVE,)), np.zeros((CELLS,) * 3, np.float32)


# -- other windows -----------------------------------------------------------------------------------------------------


def test_a_point_of_another_window_is_encoded_where_it_lies_in_the_present_one():
    network = small_mais()
    segmenter = MaisSegmenter(network, "cpu")
    session = clicked(segmenter, (Click(CENTRE), Click((9, 28, 40), positive=False)))
    entry = session.memory.entries[1]
    away = Window(GRID, (9.0, 28.0, 33 + 5 * 1.5 / 0.7), EDGE, CELLS)  # five samples further along i
    read = segmenter._engine._entry(away, Canonical.of(GRID), entry)
    samples = np.array([0.0, 0.0, (40 - 33) * 0.7 / 1.5 - 5]) + (EDGE - 1) / 2
    turned = Canonical.of(GRID).points(samples[None], EDGE).astype(np.float32)
    expected = network.prompt_encoder.sparse(torch.from_numpy(turned)[None], torch.tensor([[NEGATIVE]]))
    assert read.dense is None and torch.allclose(read.sparse, expected, atol=1e-4)
    beyond = Window(GRID, (9.0, 28.0, 33 + 25 * 1.5 / 0.7), EDGE, CELLS)
    assert segmenter._engine._entry(beyond, Canonical.of(GRID), entry) is None


def test_in_its_own_window_what_was_remembered_is_read_as_it_is():
    segmenter = MaisSegmenter(small_mais(), "cpu")
    entry = clicked(segmenter, CLICKS[:1]).memory.entries[0]
    read = segmenter._engine._entry(Window(GRID, CENTRE, EDGE, CELLS), Canonical.of(GRID), entry)
    assert np.array_equal(read.sparse[0].numpy(), entry.sparse[:, :WIDTH])
    assert np.array_equal(read.dense[0].numpy(), entry.dense[:WIDTH])


def test_boxes_are_remembered_by_their_corners():
    network = small_mais(boxes=True)
    segmenter = MaisSegmenter(network, "cpu")
    session = clicked(segmenter, (BoxPrompt((5, 16, 18), (14, 42, 50)), Click((9, 28, 40))))
    entry = session.memory.entries[0]
    assert entry.sparse.shape == (2, WIDTH + PLACE) and session.memory.entries[1].sparse.shape[0] == 1
    near = Window(GRID, (9.0, 28.0, 33.5 + 1.5 / 0.7), EDGE, CELLS)
    again = segmenter._engine._entry(near, Canonical.of(GRID), entry)
    assert again.sparse.shape == (1, 2, WIDTH) and not np.allclose(again.sparse[0], entry.sparse[:, :WIDTH])


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_undo_puts_the_memory_back_and_the_same_click_gives_the_same_mask():
    session = clicked(MaisSegmenter(small_mais(), "cpu"), CLICKS[:3])
    before, after = tuple(session.memory), session.mask_kji.copy()
    session.undo()
    assert tuple(session.memory) == before[:2]
    session.add(CLICKS[2])
    assert np.array_equal(session.mask_kji, after)
    assert np.array_equal(session.memory.entries[2].dense, before[2].dense)


def test_a_forgotten_click_is_no_longer_leaned_on_and_a_cleared_memory_is_none():
    network = small_mais()
    session = clicked(MaisSegmenter(network, "cpu"), CLICKS[:3])
    asked = (session.volume, (*session.prompts, Numbered(4, CLICKS[3])), session.mask_kji)
    answer = lambda: session._segmenter.predict(*asked, tuple(session.memory))  # noqa: E731
    whole = answer()
    session.forget(1)
    assert [entry.number for entry in session.memory] == [2, 3]
    assert len(answer().attention) == 2 and not np.array_equal(answer().attention, whole.attention[1:])
    session.clear_memory()
    assert np.array_equal(answer().probability, session._segmenter.predict(*asked, None).probability)
    session.undo()
    session.undo()
    assert np.array_equal(answer().probability, whole.probability) and answer().box == whole.box


def test_a_saved_session_goes_on_as_if_it_had_not_been_closed(tmp_path, monkeypatch):
    session = clicked(MaisSegmenter(small_mais(), "cpu"), CLICKS[:3])
    session.save(tmp_path / "session.memseg")
    monkeypatch.setattr("memseg.build.build", lambda *_: MaisSegmenter(small_mais(), "cpu"))
    again = load_session(tmp_path / "session.memseg", session.volume)
    for each in (session, again):
        each.add(CLICKS[3])
    assert len(again.memory) == 4 and np.array_equal(session.mask_kji, again.mask_kji)


@pytest.mark.parametrize("positive", [True, False])
def test_the_clicked_voxel_is_as_it_was_clicked_whatever_the_memory_says(positive):
    session = Session(bright(), MaisSegmenter(small_mais(), "cpu"))
    session.add(MaskPrompt.from_mask(OBJECT))
    for point in ((9, 28, 33), (2, 5, 60), (19, 59, 0)):
        session.add(Click(point, positive))
        assert session.mask_kji[point] == positive
    assert session.mask_kji.shape == SHAPE


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_file_gives_back_the_weights_to_the_bit_and_what_they_are(tmp_path):
    network = small_mais("sparse")
    sam_files.save(tmp_path / "mais.safetensors", network, "a note")
    back = MaisSegmenter.from_file(tmp_path / "mais.safetensors", "cpu")._engine.network
    assert back.config == network.config and back.memory_config == network.memory_config
    assert all(torch.equal(value, back.state_dict()[name]) for name, value in network.state_dict().items())


def test_a_file_of_another_model_is_refused(tmp_path):
    sam_files.save(tmp_path / "sam.safetensors", small_sam())
    with pytest.raises(ModelError, match="put the file of the mais model"):
        MaisSegmenter.from_file(tmp_path / "sam.safetensors")
    with pytest.raises(ModelError, match="missing"):
        MaisSegmenter.from_file(tmp_path / "none.safetensors")


def test_a_sam_med3d_trained_here_says_its_size_itself(tmp_path):
    network = small_sam()
    sam_files.save(tmp_path / "sam.safetensors", network)
    back = SamMed3DSegmenter.from_file(tmp_path / "sam.safetensors", "cpu")._engine.network
    assert back.config == network.config
    assert all(torch.equal(value, back.state_dict()[name]) for name, value in network.state_dict().items())


def test_the_model_list_says_how_to_come_by_weights_that_nobody_publishes():
    card = catalog.card("mais")
    assert catalog.lacks_weights(card)
    assert "train them with memseg train mais" in catalog.how_to_add(card)
    with pytest.raises(ModelError, match="memseg train mais .* then run: memseg models add mais FILE"):
        from memseg.build import build

        build("mais", "cpu")
