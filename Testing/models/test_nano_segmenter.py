"""The nano network as a segmenter: geometry, zooms, memory, devices, and volumes nobody would wish for."""

import gc
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import ellipsoid, turned_grid
from small_nano import ThresholdNano, small_config, small_network

from memseg import catalog
from memseg.build import _built, build
from memseg.errors import ModelError
from memseg.evaluation.metrics import dice
from memseg.geometry import Box, Grid
from memseg.memory.interaction import Interaction
from memseg.prompts import BoxPrompt, Click, Lasso, MaskPrompt, Scribble
from memseg.segmenters import nano_weights
from memseg.segmenters.base import Numbered, Prediction, Segmenter
from memseg.segmenters.geodesic import Geodesic
from memseg.segmenters.nano import NanoSegmenter, Zooming
from memseg.segmenters.nano_tensors import memory_batch
from memseg.segmenters.nano_view import View, extent_of_mask
from memseg.session import Session
from memseg.volume import Volume

SHAPE, CENTRE = (20, 60, 64), (9, 28, 33)
OBJECT = ellipsoid(SHAPE, CENTRE, (4.2, 13.0, 15.5))  # 10 x 12 x 11 mm on the turned grid
GRID = turned_grid(SHAPE)
LINES = [(9, 28, 20 + n) for n in range(26)]
ONE_OF_EACH = (
    Click(CENTRE),
    Scribble(LINES, True, 1.0),
    Lasso([(9, 20, 25), (9, 20, 40), (9, 36, 33)]),
    BoxPrompt((4, 14, 16), (15, 43, 50)),
)


def bright_object(grid: Grid = GRID, truth: np.ndarray = OBJECT) -> Volume:
    noise = np.random.default_rng(3).normal(0, 4, truth.shape)
    return Volume((truth * 100 + noise).astype(np.float32), grid)


def thresholding(reach: float = 2.0, zooming: Zooming | None = None) -> NanoSegmenter:
    network = ThresholdNano(small_config(region=32))
    network.reach = reach
    return NanoSegmenter(network, "cpu", zooming)


def random_segmenter(variant: str = "both") -> NanoSegmenter:
    return NanoSegmenter(small_network(variant), "cpu")


# -- geometry ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ONE_OF_EACH, ids=lambda prompt: prompt.kind)
def test_on_an_oblique_volume_of_thick_slices_every_prompt_finds_the_bright_ellipsoid(prompt):
    volume = bright_object()
    session = Session(volume, thresholding())
    session.add(prompt)
    expected = OBJECT.copy()
    if prompt.kind == "box":  # what lies outside the box is not the object
        expected &= np.pad(np.ones((11, 29, 34), bool), ((4, 5), (14, 17), (16, 14)))
    assert dice(expected, session.mask_kji) > 0.93


def test_the_direction_of_the_axes_does_not_matter_because_spacing_is_all_that_counts():
    spacing = Grid.from_spacing(SHAPE, GRID.spacing_kji_mm)
    masks = []
    for grid in (GRID, spacing):
        session = Session(bright_object(grid), thresholding())
        session.add(Click(CENTRE))
        masks.append(session.mask_kji)
    assert np.array_equal(*masks)


def test_an_object_larger_than_the_first_region_is_found_by_widening_it():
    shape = (90, 90, 90)
    truth = ellipsoid(shape, (45, 45, 45), (40, 38, 36))
    session = Session(
        bright_object(Grid.from_spacing(shape, (1, 1, 1)), truth), thresholding(zooming=Zooming(rooms=(0.4,)))
    )
    session.add(Click((45, 45, 45)))
    assert dice(truth, session.mask_kji) > 0.95


class Undecided:
    """A second opinion that has none: the network decides alone."""

    def predict(self, volume, prompts, mask_kji, memory):
        nothing = np.full(volume.shape_kji, 0.5, np.float32)
        return Prediction(volume.grid.box, nothing, np.zeros((1, 1), np.float32))


def test_the_answer_of_a_coarse_region_is_refined_where_it_changed():
    shape = (64, 64, 64)
    truth = ellipsoid(shape, (32, 32, 32), (7, 7, 7))
    volume = bright_object(Grid.from_spacing(shape, (1, 1, 1)), truth)
    scores = []
    for refines in (False, True):
        segmenter = thresholding(zooming=Zooming(rooms=(112.0,), refines=refines))  # 112 mm round a click of 1 mm
        segmenter._geodesic = Undecided()
        session = Session(volume, segmenter)
        session.add(Click((32, 32, 32)))
        scores.append(dice(truth, session.mask_kji))
    assert scores[1] > scores[0] and scores[1] > 0.95


def test_voxels_nobody_changed_their_mind_on_stay_as_they_were_to_the_voxel():
    volume = bright_object()
    ragged = OBJECT & (np.indices(SHAPE).sum(axis=0) % 7 != 0)  # holes that no coarse region can see
    session = Session(volume, thresholding(reach=0.2))
    session.add(MaskPrompt.from_mask(ragged))
    asked = (*session.prompts, Numbered(2, Click((9, 28, 44), positive=False)))
    second_opinion = Geodesic().predict(volume, asked, session.mask_kji, ())
    change = session.add(asked[-1].prompt)
    away = np.ones(SHAPE, bool)
    away[change.box.slices] = False
    assert 0 < change.voxels_changed < ragged.sum() / 2
    assert np.array_equal(session.mask_kji[away], ragged[away])
    far = np.linalg.norm((np.indices(SHAPE).T - (9, 28, 44)) * GRID.spacing_kji_mm, axis=-1).T > 8
    far[second_opinion.box.slices] &= second_opinion.mask == ragged[second_opinion.box.slices]
    assert (far & ragged).sum() > 500
    assert np.array_equal(session.mask_kji[far], ragged[far])


def test_the_work_is_done_in_the_region_and_not_in_the_volume():
    huge = np.broadcast_to(np.arange(400, dtype=np.int16), (400, 400, 400))
    volume = Volume(huge, Grid.from_spacing(huge.shape, (1, 1, 1)))
    mask = np.zeros(huge.shape, np.uint8)
    prediction = thresholding(0.2).predict(volume, (Numbered(1, Click((200, 200, 200))),), mask, None)
    assert prediction.box.size < 100**3


def test_a_view_counts_in_samples_of_equal_mm_along_every_axis():
    view = View(GRID, (10, 30, 40), 2.0, 32)
    assert view.relative(np.array([10 + 32 / 2.5, 30 - 16 / 0.9, 40])).tolist() == pytest.approx([1, -0.5, 0], abs=1e-6)
    assert (view.first_kji - (10, 30, 40)).tolist() == pytest.approx([-31 / 2.5, -31 / 0.9, -31 / 0.7])


@pytest.mark.parametrize("spacing", [0.6, 1.3, 2.0, 5.0])
def test_a_ramp_is_sampled_and_written_back_exactly(spacing):
    ramp = np.indices((40, 60, 64)).transpose(1, 2, 3, 0) @ (1.0, 0.5, 0.25)
    view = View(turned_grid((40, 60, 64)), (20, 30, 32), spacing, 8)
    places = [view.first_kji[axis] + np.arange(8) * view.step_kji[axis] for axis in range(3)]
    expected = places[0][:, None, None] + 0.5 * places[1][None, :, None] + 0.25 * places[2][None, None, :]
    assert np.allclose(view.sample(ramp), expected, atol=0.51 * view.step_kji.max() * 0.3 + 1e-3)
    box = Box((20, 28, 30), (21, 32, 33))
    assert np.allclose(view.written(expected, box), ramp[box.slices], atol=1e-3)


# -- prompts are honoured ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prompt", [Click(CENTRE), Scribble(LINES, True, 1.0), ONE_OF_EACH[2]], ids=lambda each: each.kind
)
@pytest.mark.parametrize("positive", [True, False])
def test_what_was_clicked_or_painted_is_so_afterwards_whatever_the_network_says(prompt, positive):
    from dataclasses import replace

    from memseg.raster import rasterize

    given = replace(prompt, positive=positive)
    session = Session(bright_object(), random_segmenter())
    session.add(MaskPrompt.from_mask(OBJECT))
    session.add(given)
    box, covered = rasterize(given, GRID)
    assert (session.mask_kji[box.slices][covered > 0] == positive).all()


def test_a_negative_box_empties_itself_and_a_positive_one_bounds_the_object():
    session = Session(bright_object(), random_segmenter())
    session.add(MaskPrompt.from_mask(OBJECT))
    session.add(BoxPrompt((0, 0, 0), (20, 60, 30), positive=False))
    assert session.mask_kji[:, :, :30].sum() == 0
    session.add(BoxPrompt((5, 20, 30), (12, 40, 50)))
    outside = session.mask_kji.copy()
    outside[5:12, 20:40, 30:50] = 0
    assert outside.sum() == 0


def test_a_flat_box_bounds_its_own_slice_only():
    session = Session(bright_object(), thresholding())
    session.add(BoxPrompt((9, 20, 25), (10, 36, 40)))
    assert session.mask_kji[9].sum() == 16 * 15
    assert session.mask_kji[8].sum() > 16 * 15


def two_pieces() -> tuple[Volume, np.ndarray, np.ndarray]:
    """A volume with two bright ellipsoids 30 voxels apart in a row, and each one's mask."""
    shape = (24, 24, 64)
    pieces = [ellipsoid(shape, (12, 12, 16), (6, 6, 6)), ellipsoid(shape, (12, 12, 46), (6, 6, 6))]
    grid = Grid.from_spacing(shape, (1.0, 1.0, 1.0))
    return bright_object(grid, pieces[0] | pieces[1]), *pieces


def test_a_click_finds_what_it_is_in_and_not_what_the_network_sees_elsewhere():
    volume, own, _ = two_pieces()
    session = Session(volume, thresholding(8.0, Zooming(rooms=(4.5,))))  # sees both pieces
    session.add(Click((12, 12, 16)))
    assert dice(session.mask_kji, own) > 0.8


class ContraryNano(ThresholdNano):
    """Gives every correction the opposite of the mask it met."""

    def answer(self, features, prompt, memory=None, reads="both"):
        made = super().answer(features, prompt, memory, reads)
        return replace(made, logits=torch.where(prompt.mask > 0.5, -9.0, 9.0))


@pytest.mark.parametrize("positive", [True, False])
def test_a_positive_click_takes_nothing_away_and_a_negative_one_adds_nothing(positive):
    volume, own, _ = two_pieces()
    session = Session(volume, NanoSegmenter(ContraryNano(small_config(region=32)), "cpu"))
    session.add(MaskPrompt.from_mask(own))
    session.add(Click((12, 12, 10), positive))
    after = session.mask_kji > 0
    assert (after >= own).all() if positive else (after <= own).all()


class BlindNano(ThresholdNano):
    """Sees no object anywhere."""

    def answer(self, features, prompt, memory=None, reads="both"):
        made = super().answer(features, prompt, memory, reads)
        return replace(made, logits=torch.full_like(made.logits, -9.0))


def test_where_the_network_sees_nothing_at_a_first_click_the_second_opinion_stands():
    volume, own, _ = two_pieces()
    sessions = [
        Session(volume, each) for each in (NanoSegmenter(BlindNano(small_config(region=32)), "cpu"), Geodesic())
    ]
    for session in sessions:
        session.add(Click((12, 12, 16)))
    assert np.array_equal(*(session.mask_kji for session in sessions)) and (sessions[0].mask_kji * own).sum() > 500


def test_the_log_odds_of_network_and_second_opinion_add_up():
    volume, own, _ = two_pieces()
    segmenter = NanoSegmenter(ContraryNano(small_config(region=32)), "cpu")
    asked = (Numbered(1, MaskPrompt.from_mask(own)), Numbered(2, Click((12, 12, 10), False)))
    answer = segmenter.predict(volume, asked, own.astype(np.uint8), ())
    fronts = Geodesic().predict(volume, asked, own.astype(np.uint8), None)
    place = (
        12,
        12,
        20,
    )  # the network's log odds are -9; the fronts answer beside it, so they are for what the mask was
    assert not fronts.box.holds(place)
    expected = 1 / (1 + np.exp(9 / 6 - 4))
    assert answer.probability[tuple(np.subtract(place, answer.box.start_kji))] == pytest.approx(expected, abs=1e-3)


# -- memory ------------------------------------------------------------------------------------------------------------


def test_the_memory_changes_later_answers_and_off_is_the_same_as_empty():
    volume, segmenter = bright_object(), random_segmenter()
    mask = np.zeros(SHAPE, np.uint8)
    first = segmenter.predict(volume, (Numbered(1, Click(CENTRE)),), mask, ())
    off = segmenter.predict(volume, (Numbered(1, Click(CENTRE)),), mask, None)
    assert first.box == off.box and np.array_equal(first.probability, off.probability)
    entry = Interaction(1, "nano", first.sparse, first.dense)
    later = (Numbered(2, Click((9, 20, 40), False)),)
    remembered, forgotten = (segmenter.predict(volume, later, OBJECT.view(np.uint8), each) for each in ((entry,), ()))
    assert remembered.box != forgotten.box or not np.array_equal(remembered.probability, forgotten.probability)


def test_equal_arguments_give_equal_predictions_whatever_was_asked_in_between():
    volume, segmenter = bright_object(), random_segmenter()
    mask = np.zeros(SHAPE, np.uint8)
    asked = (Numbered(1, Click(CENTRE)),)
    first = segmenter.predict(volume, asked, mask, None)
    segmenter.predict(volume, (Numbered(1, Click((3, 4, 5))),), mask, None)
    again = segmenter.predict(volume, asked, mask, None)
    fresh = random_segmenter().predict(volume, asked, mask, None)
    for other in (again, fresh):
        assert other.box == first.box and np.array_equal(other.probability, first.probability)


def test_attention_tells_how_much_each_memory_counted():
    volume, segmenter = bright_object(), random_segmenter()
    session = Session(volume, segmenter)
    for point in (CENTRE, (9, 20, 40), (4, 40, 20)):
        session.add(Click(point))
    asked, memory = session.prompts, session.memory.of_model("nano")
    weights = segmenter.predict(volume, asked, session.mask_kji, memory).attention
    assert weights.shape == (3,) and weights.sum() == pytest.approx(1, abs=1e-4)
    foreign = Interaction(9, "nano", np.ones((2, 5)), np.ones((5, 4, 4, 4)))
    among = segmenter.predict(volume, asked, session.mask_kji, (memory[0], foreign, *memory[1:])).attention
    assert among.tolist() == pytest.approx([weights[0], 0, weights[1], weights[2]])
    assert segmenter.predict(volume, asked, session.mask_kji, None).attention is None


def test_a_memory_says_where_it_was_made_in_mm():
    prediction = random_segmenter().predict(
        bright_object(), (Numbered(1, Click((5, 30, 40), False)),), np.zeros(SHAPE, np.uint8), None
    )
    assert prediction.sparse.shape == (1, 16 + 4)
    assert prediction.sparse[0, 16:].tolist() == pytest.approx([5 * 2.5, 30 * 0.9, 40 * 0.7, -1])
    assert prediction.dense.shape == (16 + 4, 2, 2, 2)
    assert prediction.dense[16:19, 0, 0, 0].tolist() == pytest.approx([12.5, 27.0, 28.0])


def test_memories_are_told_to_the_network_by_their_age_and_their_place_in_its_region():
    def entry(number: int, place_mm: tuple[float, ...], points: int) -> Interaction:
        sparse = np.zeros((points, 20), np.float32)
        sparse[:, 16:19], sparse[:, 19] = place_mm, -1
        dense = np.ones((20, 2, 2, 2), np.float32)
        dense[16:19], dense[19] = np.reshape(place_mm, (3, 1, 1, 1)), 64
        return Interaction(number, "nano", sparse, dense)

    view = View(GRID, (10, 30, 40), 2.0, 32)  # centre at 25, 27, 28 mm, faces 32 mm from it
    batch = memory_batch([entry(4, (25, 27, 28), 1), entry(7, (57, 27, 12), 2)], [view], small_config())
    assert batch.age.tolist() == [[2, 1]]
    assert batch.points[0, 0, 0].tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    assert batch.points[0, 1, 1].tolist() == pytest.approx([1, 0, -0.5], abs=1e-6)
    assert batch.centre[0, 1].tolist() == pytest.approx([1, 0, -0.5], abs=1e-6)
    assert batch.scale.tolist() == [[2, 2]] and batch.polarity[0, 1].tolist() == [-1, -1]
    assert batch.valid.tolist() == [[[True, False], [True, True]]]


def test_memories_that_other_weights_wrote_are_not_read():
    volume, segmenter = bright_object(), random_segmenter()
    mask = np.zeros(SHAPE, np.uint8)
    asked = (Numbered(1, Click(CENTRE)),)
    foreign = Interaction(1, "nano", np.ones((2, 5)), np.ones((5, 4, 4, 4)))
    first, second = (segmenter.predict(volume, asked, mask, memory) for memory in (None, (foreign,)))
    assert np.array_equal(first.probability, second.probability)


def test_two_hundred_clicks_in_a_row_stay_bounded():
    volume, segmenter = bright_object(), NanoSegmenter(small_network(), "cpu", Zooming(widenings=0, refines=False))
    session = Session(volume, segmenter)
    places = np.random.default_rng(5).integers((2, 10, 10), (18, 50, 50), (200, 3))
    for number, place in enumerate(places):
        session.add(Click(tuple(place), bool(number % 3)))
    assert len(session.memory) == 60 and session.memory.size_bytes < 1_000_000
    assert session.memory.entries[0].number == 141
    kept = segmenter._engine._kept[volume]
    assert len(kept.features) <= 6


def test_what_is_kept_of_a_volume_goes_with_the_volume():
    segmenter = random_segmenter()
    volume = bright_object()
    segmenter.predict(volume, (Numbered(1, Click(CENTRE)),), np.zeros(SHAPE, np.uint8), None)
    assert len(segmenter._engine._kept) == 1
    del volume
    gc.collect()
    assert len(segmenter._engine._kept) == 0


def test_clicks_that_see_the_same_region_encode_its_image_once():
    segmenter = thresholding(reach=0.1, zooming=Zooming(refines=False))
    segmenter._geodesic = Undecided()
    session = Session(bright_object(), segmenter)
    session.add(MaskPrompt.from_mask(OBJECT))
    for place in ((9, 28, 38), (9, 28, 28), (9, 24, 33)):
        session.add(Click(place, positive=False))
    assert segmenter._engine.network.encoded == 1


# -- volumes and objects nobody would wish for -------------------------------------------------------------------------


def test_an_object_of_one_voxel_is_found():
    shape = (40, 40, 40)
    array = np.zeros(shape, np.int16)
    array[20, 21, 22] = 900
    session = Session(Volume(array, Grid.from_spacing(shape, (1, 1, 1))), thresholding())
    session.add(Click((20, 21, 22)))
    assert session.mask_kji[20, 21, 22] == 1 and session.mask_kji.sum() <= 27


def test_a_region_of_constant_intensity_is_answered():
    array = np.zeros((60, 60, 60), np.int16)
    array[0, 0, 0] = 1  # a volume must not be constant; what the network sees is
    session = Session(Volume(array, Grid.from_spacing(array.shape, (1, 1, 1))), random_segmenter())
    session.add(Click((45, 45, 45)))
    session.add(Click((45, 45, 50), positive=False))
    assert session.mask_kji[45, 45, 45] == 1 and session.mask_kji[45, 45, 50] == 0


@pytest.mark.parametrize("shape", [(1, 50, 50), (3, 3, 3), (1, 1, 9)])
def test_volumes_thinner_than_a_region_are_answered_at_their_corners(shape):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    for place in ((0, 0, 0), tuple(size - 1 for size in shape)):
        session = Session(Volume(array, Grid.from_spacing(shape, (5, 0.5, 0.5))), random_segmenter())
        session.add(Click(place))
        assert session.mask_kji[place] == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64, bool])
def test_any_number_type_is_taken(dtype):
    volume = Volume((OBJECT * 100).astype(dtype), GRID)
    session = Session(volume, thresholding())
    session.add(Click(CENTRE))
    assert dice(OBJECT, session.mask_kji) > 0.93


# -- devices and files -------------------------------------------------------------------------------------------------


class FullDevice(torch.nn.Module):
    """Stands for a network on a device whose memory is full: fails until it is moved to the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.real = small_network()
        self.config, self.full = self.real.config, True

    def to(self, device: torch.device) -> "FullDevice":
        self.full = torch.device(device).type != "cpu"
        return self

    def encode(self, *arguments):
        if self.full:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return self.real.encode(*arguments)

    def answer(self, *arguments):
        return self.real.answer(*arguments)


def test_a_device_that_runs_out_of_memory_is_replaced_by_the_cpu_with_one_sentence(caplog):
    segmenter = NanoSegmenter(FullDevice(), "cpu")
    segmenter._engine._placed.device, segmenter._engine.network.full = torch.device("meta"), True
    session = Session(bright_object(), segmenter)
    with caplog.at_level(logging.WARNING):
        session.add(Click(CENTRE))
    assert [record.getMessage() for record in caplog.records] == [
        "The device ran out of memory, so the nano model goes on with the CPU."
    ]
    assert session.note == caplog.records[0].getMessage()
    assert session.mask_kji[CENTRE] == 1 and len(session.prompts) == 1
    session.add(Click((9, 28, 44)))
    assert len(caplog.records) == 1 and session.note == ""


def test_other_failures_of_the_network_are_not_swallowed_and_leave_the_session_as_it_was():
    segmenter = random_segmenter()
    segmenter._engine.network.answer = lambda *arguments: 1 / 0
    session = Session(bright_object(), segmenter)
    with pytest.raises(ZeroDivisionError):
        session.add(Click(CENTRE))
    assert not session.prompts and not session.mask_kji.any() and len(session.memory) == 0


def test_a_device_that_does_not_exist_is_a_sentence():
    with pytest.raises(ModelError, match="choose cpu or auto"):
        NanoSegmenter(small_network(), "cuda:7")


def test_the_card_is_hidden_and_cannot_be_built_while_its_weights_are_absent(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "_MODELS", tmp_path)
    _built.cache_clear()
    assert "nano" not in [card.name for card in catalog.installed()] and catalog.default() == "geodesic"
    with pytest.raises(ModelError, match="nano.safetensors"):
        build("nano")


def test_with_its_weights_in_place_it_is_installed_and_built(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "_MODELS", tmp_path)
    _built.cache_clear()
    nano_weights.save(tmp_path / "nano.safetensors", small_network())
    assert "nano" in [card.name for card in catalog.installed()] and catalog.default() == "nano"
    segmenter = build(None, "cpu")
    assert isinstance(segmenter, Segmenter) and segmenter.card.name == "nano"
    session = Session(bright_object(), segmenter)
    session.add(Click(CENTRE))
    assert session.mask_kji[CENTRE] == 1
    _built.cache_clear()


def test_without_torch_the_model_to_start_with_is_geodesic(monkeypatch):
    monkeypatch.setattr(catalog, "find_spec", lambda name: None if name == "torch" else object())
    assert catalog.default() == "geodesic" and build().card.name == "geodesic"


def test_a_network_of_both_memories_can_read_one_of_them():
    volume, session = bright_object(), Session(bright_object(), random_segmenter())
    for place in (CENTRE, (9, 20, 40)):
        session.add(Click(place))
    asked, memory = (*session.prompts, Numbered(3, Click((9, 35, 30)))), session.memory.of_model("nano")
    answers = {}
    for kinds in ("both", "sparse", "dense"):
        segmenter = NanoSegmenter(small_network(), "cpu", reads=kinds)
        answers[kinds] = segmenter.predict(volume, asked, np.zeros(SHAPE, np.uint8), memory)
        assert answers[kinds].attention.sum() == pytest.approx(1, abs=1e-4)
    for kinds in ("sparse", "dense"):
        assert not np.allclose(answers[kinds].attention, answers["both"].attention)


def test_a_kind_of_memory_that_does_not_exist_is_a_sentence():
    with pytest.raises(ModelError, match="sparse, dense or both"):
        build("nano", "cpu", "thick")


def test_a_session_with_its_memory_is_saved_and_comes_back_to_go_on_alike():
    volume = bright_object()
    session = Session(volume, random_segmenter())
    for place in (CENTRE, (9, 20, 40)):
        session.add(Click(place))
    back = Session.from_bytes(session.to_bytes(), volume, random_segmenter())
    for each in (session, back):
        each.add(Click((5, 35, 30), positive=False))
    assert np.array_equal(back.mask_kji, session.mask_kji) and len(back.memory) == 3


def test_the_extent_of_the_mask_is_found_from_any_prompt_in_it():
    near = Box((9, 28, 33), (10, 29, 34))
    assert extent_of_mask(OBJECT, near, np.array([1, 1, 1])) == Box.of_mask(OBJECT)
    assert extent_of_mask(np.zeros(SHAPE, np.uint8), near, np.array([1, 1, 1])).is_empty
