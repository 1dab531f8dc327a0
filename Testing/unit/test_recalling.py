"""A name typed in another volume: where its structure is found, by whom, how surely, and with what part of a model."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import BlockSegmenter
from grids import GRIDS, covering
from phantoms import axis_grid, chest, chest_parts, in_ellipsoid, overlap, ras_of
from recalled import entry_named

from memseg.errors import PromptError
from memseg.geometry import Box, Grid
from memseg.memory.recall import RecallEntry, RecallMemory
from memseg.text.evidence import Evidence
from memseg.text.matching import match, signed_distance
from memseg.text.places import landscape
from memseg.text.recalling import Recollection, agreeing, inverse_distances, local_answer, onto_volume, recall, remember
from memseg.volume import Volume

STRAIGHT = axis_grid()
CHEST = chest(STRAIGHT)


def kept(volume: Volume, mask: np.ndarray, name: str, **more) -> RecallEntry:
    box = Box.of_mask(mask)
    return remember(volume, box, mask[box.slices], name, **more)


def whole(answer: Recollection | None, volume: Volume) -> np.ndarray:
    """Bool (K, J, I), the answer in the volume."""
    mask = np.zeros(volume.shape_kji, bool)
    if answer is not None:
        mask[answer.box.slices] = answer.mask > 0
    return mask


@pytest.fixture(scope="module")
def lungs() -> RecallMemory:
    parts = chest_parts(STRAIGHT)
    return RecallMemory(tuple(kept(CHEST, parts[name], name) for name in ("right lung", "left lung")))


# -- the patient's sides ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(GRIDS))
def test_left_is_the_patients_left_however_the_volume_is_stored(lungs, name):
    volume = chest(GRIDS[name])
    parts = chest_parts(volume.grid)
    for side, other in (("left", "right"), ("right", "left")):
        found = whole(recall(volume, "lung", side, lungs), volume)
        assert overlap(found, parts[f"{side} lung"]) > 0.75
        assert overlap(found, parts[f"{other} lung"]) == 0


def twins(grid: Grid) -> tuple[Volume, dict[str, np.ndarray]]:
    """A body whose halves are each other's mirror image."""
    ras = ras_of(grid)
    image = np.full(grid.shape_kji, -1000, np.float32)
    image[np.square(ras[..., :2] / (150, 100)).sum(axis=-1) <= 1] = 45
    image[np.square((ras[..., :2] - (0, -65)) / 18).sum(axis=-1) <= 1] = 700
    parts = {side: in_ellipsoid(ras, (sign * 75, -20, 10), (30, 35, 55)) for side, sign in (("left", -1), ("right", 1))}
    for part in parts.values():
        image[part] = 190
    image += np.random.default_rng(5).normal(0, 6, grid.shape_kji)
    return Volume(np.rint(image).astype(np.int16), grid), parts


@pytest.mark.parametrize("name", ["along R, A, S", "mirrored", "oblique"])
def test_of_two_that_look_alike_the_one_on_the_side_that_was_remembered_is_found(name):
    """Of the left and the right only one was ever remembered, and the other tempts."""
    remembered, parts = twins(STRAIGHT)
    volume, now = twins(GRIDS[name])
    for side, other in (("left", "right"), ("right", "left")):
        memory = RecallMemory((kept(remembered, parts[side], f"{side} kidney"),))
        found = whole(recall(volume, "kidney", side, memory), volume)
        assert overlap(found, now[side]) > 0.7 and overlap(found, now[other]) == 0


# -- who answers -----------------------------------------------------------------------------------------------------


def test_without_an_entry_of_that_name_side_and_kind_of_image_nothing_is_recalled(lungs):
    assert recall(CHEST, "lung", "", lungs) is None
    assert recall(CHEST, "liver", "", lungs) is None
    of_mr = RecallMemory(tuple(replace(entry, modality="MR") for entry in lungs))
    assert recall(CHEST, "lung", "left", of_mr) is None
    of_any = RecallMemory(tuple(replace(entry, modality="") for entry in lungs))
    assert recall(CHEST, "lung", "left", of_any) is not None


def test_those_that_answer_are_told_with_their_weights_and_no_more_than_k(lungs):
    left = lungs.named("lung", "left")[0]
    other = replace(left, identity="f" * 32, near_keys=255 - np.minimum(left.near_keys, 250))
    memory = RecallMemory((other, left))
    answer = recall(CHEST, "lung", "left", memory, k=2)
    assert answer.used[0][0] is left and sum(weight for _, weight in answer.used) == pytest.approx(1)
    assert [entry for entry, _ in recall(CHEST, "lung", "left", memory, k=1).used] == [left]


def test_weights_are_in_proportion_to_one_over_the_distance():
    assert inverse_distances([1.0, 2.0, 4.0]) == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    assert inverse_distances([0.5]) == pytest.approx([1.0])
    assert inverse_distances([0.0, 3.0, 0.0]) == pytest.approx([0.5, 0.0, 0.5])


def test_who_lies_apart_from_the_others_does_not_answer(lungs):
    entry = lungs.named("lung", "left")[0]
    (first,) = [match(entry, np.array([-75.0, 5, 0]), landscape(CHEST))]
    near = replace(first, distance=first.distance * 1.2)
    far = replace(first, centre_ras=first.centre_ras + (200, 0, 0), distance=first.distance * 0.9)
    assert agreeing([far, first, near]) == [first, near]
    assert agreeing([far]) == [far]


@pytest.mark.parametrize("wrong", [{"k": 0}, {"ratio": -0.1}, {"ratio": 1.1}])
def test_what_cannot_be_asked_is_an_error(lungs, wrong):
    with pytest.raises(ValueError, match="k is at least 1"):
        recall(CHEST, "lung", "left", lungs, **wrong)


# -- a model's part --------------------------------------------------------------------------------------------------


class Half(BlockSegmenter):
    """As sure of its block as a coin."""

    def predict(self, *arguments):
        answer = super().predict(*arguments)
        return replace(answer, probability=answer.probability * np.float32(0.6))


def test_with_a_ratio_of_1_the_answer_is_just_the_models(lungs):
    for segmenter in (BlockSegmenter(4), Half(3), BlockSegmenter(6, threshold=-900)):
        answer = recall(CHEST, "lung", "left", lungs, ratio=1.0, segmenter=segmenter)
        box, local = local_answer(CHEST, segmenter, answer.clicks)
        model = np.zeros(CHEST.shape_kji, np.float32)
        model[box.slices] = local
        mixed = np.zeros(CHEST.shape_kji, np.float32)
        mixed[answer.box.slices] = answer.probability
        assert local.max() > 0.5 and np.array_equal(mixed, model)


def test_the_models_answer_is_that_to_the_clicks_one_after_the_other(lungs):
    segmenter = BlockSegmenter(2)
    clicks = recall(CHEST, "lung", "left", lungs).clicks
    box, local = local_answer(CHEST, segmenter, clicks)
    union = np.zeros(CHEST.shape_kji, bool)
    for click in clicks:
        union[Box(click.point_kji, tuple(np.add(click.point_kji, 1))).grown(2).clipped(CHEST.shape_kji).slices] = True
    mask = np.zeros(CHEST.shape_kji, bool)
    mask[box.slices] = local > 0.5
    assert np.array_equal(mask, union) and segmenter.recalled == [None] * len(clicks)


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.7])
def test_between_0_and_1_both_have_their_part(lungs, ratio):
    segmenter = BlockSegmenter(3)
    alone = recall(CHEST, "lung", "left", lungs)
    both = recall(CHEST, "lung", "left", lungs, ratio=ratio, segmenter=segmenter)
    box, local = local_answer(CHEST, segmenter, alone.clicks)
    expected = np.zeros(CHEST.shape_kji)
    expected[alone.box.slices] += (1 - ratio) * alone.probability
    expected[box.slices] += ratio * local
    mixed = np.zeros(CHEST.shape_kji)
    mixed[both.box.slices] = both.probability
    assert np.allclose(mixed, expected, atol=1e-6) and both.used == alone.used and both.clicks == alone.clicks


def test_clicks_lie_deep_inside_and_apart_from_each_other(lungs):
    answer = recall(CHEST, "lung", "left", lungs)
    inside = chest_parts(STRAIGHT)["left lung"]
    points = [click.point_kji for click in answer.clicks]
    assert 1 <= len(points) <= 3 and all(click.positive and inside[click.point_kji] for click in answer.clicks)
    assert all(np.linalg.norm(np.subtract(a, b)) > 3 for i, a in enumerate(points) for b in points[:i])


# -- how surely ------------------------------------------------------------------------------------------------------


def test_a_chance_is_a_logistic_function_of_what_was_measured(monkeypatch):
    monkeypatch.setattr("memseg.text.evidence.WEIGHTS", np.array([1.0, -2.0, -10.0, -3.0, 4.0]))
    evidence = Evidence(scan=0.5, near=0.1, size=-0.2, looks=0.75)
    assert evidence.chance == pytest.approx(1 / (1 + np.exp(-(1 - 1 - 1 - 0.6 + 3))))
    assert Evidence(scan=0.5, near=0.1, size=0.2, looks=0.75).chance == evidence.chance


def test_the_chance_falls_with_all_that_speaks_against_it():
    best = Evidence(scan=0.0, near=0.02, size=0.0, looks=1.0)
    assert best.chance > 0.95
    for worse in ({"scan": 1.2}, {"near": 0.15}, {"size": 1.5}, {"size": -1.5}, {"looks": 0.2}):
        assert replace(best, **worse).chance < best.chance
    assert Evidence(scan=1.2, near=0.15, size=-1.5, looks=0.3).chance < 0.05


def test_what_speaks_for_an_answer_is_measured(lungs):
    """In the very volume that it was remembered from."""
    answer = recall(CHEST, "lung", "left", lungs)
    true = chest_parts(STRAIGHT)["left lung"]
    assert answer.evidence.scan == pytest.approx(0, abs=0.01) and answer.evidence.near < 0.02
    assert answer.evidence.size == pytest.approx(np.log(answer.mask.sum() / true.sum()), abs=1e-6)
    assert answer.evidence.looks > 0.8 and answer.confidence == answer.evidence.chance > 0.9


def test_where_it_is_not_the_answer_is_not_believed(lungs):
    """A body without lungs, and one that ends below them."""
    solid = Volume(np.where(chest_parts(STRAIGHT)["body"], 45, -1000).astype(np.int16), STRAIGHT)
    assert recall(solid, "lung", "left", lungs).confidence < 0.1
    other = twins(STRAIGHT)[0]
    assert recall(other, "lung", "left", lungs).confidence < 0.1


def test_nothing_is_believed_of_what_would_lie_outside_the_volume(lungs):
    nowhere = Recollection(STRAIGHT, Box.empty(), np.zeros((0, 0, 0), np.float32), None, ())
    assert nowhere.confidence == 0 and nowhere.clicks == () and nowhere.mask.size == 0


# -- other patients, fewer slices ------------------------------------------------------------------------------------


def moved(by_mm: tuple[float, ...], larger: float) -> tuple[Volume, np.ndarray]:
    """A chest of another size elsewhere in the world; its left lung."""
    matrix = STRAIGHT.ijk_to_ras.copy()
    matrix[:3, :3] *= larger
    matrix[:3, 3] = matrix[:3, 3] * larger + by_mm
    return Volume(CHEST.array_kji, Grid(STRAIGHT.shape_kji, matrix)), chest_parts(STRAIGHT)["left lung"]


@pytest.mark.parametrize(("by_mm", "larger"), [((500.0, -300, 900), 1.0), ((0.0, 0, 0), 1.1), ((40.0, 0, 0), 0.9)])
def test_it_is_found_in_a_body_of_another_size_and_place(lungs, by_mm, larger):
    volume, lung = moved(by_mm, larger)
    assert overlap(whole(recall(volume, "lung", "left", lungs), volume), lung) > 0.7


def test_a_part_of_it_is_found_where_the_volume_ends_within_it(lungs):
    grid = covering(np.eye(3), (6.0, 6.0, 6.0), np.array([360.0, 240, 120]))
    volume = chest(grid)
    assert overlap(whole(recall(volume, "lung", "left", lungs), volume), chest_parts(grid)["left lung"]) > 0.6


@pytest.mark.parametrize("slices", [1, 2, 3])
@pytest.mark.parametrize("thick", [1.0, 5.0])
def test_what_was_remembered_from_a_few_slices_is_found_in_a_few(slices, thick):
    """A volume of 1 mm was no volume of its own once: no place in it was known."""
    grid = covering(np.eye(3), (2.0, 2.0, thick), np.array([360.0, 240, slices * thick]))
    volume, lung = chest(grid), chest_parts(grid)["left lung"]
    memory = RecallMemory((kept(volume, lung, "left lung"),))
    answer = recall(volume, "lung", "left", memory)
    assert overlap(whole(answer, volume), lung) > 0.8


def test_what_was_remembered_from_a_few_slices_is_found_in_a_whole_volume():
    grid = covering(np.eye(3), (2.0, 2.0, 5.0), np.array([360.0, 240, 15]))
    memory = RecallMemory((kept(chest(grid), chest_parts(grid)["left lung"], "left lung"),))
    answer = recall(CHEST, "lung", "left", memory)  # it may lie higher or lower, but on its side
    found, lung = whole(answer, CHEST), chest_parts(STRAIGHT)["left lung"]
    assert np.count_nonzero(found & lung) > 0.8 * np.count_nonzero(found) > 0


def test_an_entry_of_the_fewest_places_is_compared_without_harm():
    memory = RecallMemory((entry_named("left lung"),))
    answer = recall(CHEST, "lung", "left", memory)
    assert 0 <= answer.confidence < 0.5


# -- remembering -----------------------------------------------------------------------------------------------------


def test_what_is_remembered_is_measured_along_the_patients_axes():
    for name in ("mirrored", "sagittal", "thick slices"):
        volume = chest(GRIDS[name])
        entry = kept(volume, chest_parts(volume.grid)["left lung"], "Left lung", subject="p1")
        assert (entry.key, entry.side, entry.modality, entry.subject) == ("lung", "left", "CT", "p1")
        assert entry.size_mm == pytest.approx((90, 116, 200), abs=14)
        assert entry.volume_ml == pytest.approx(4 / 3 * np.pi * 4.5 * 5.8 * 10, rel=0.05)
        assert entry.mask_kji.sum() * entry.mask_spacing_mm**3 / 1000 == pytest.approx(entry.volume_ml, rel=0.03)
        inside = entry.values[:, 0] == 1
        assert inside.sum() == 12 and (entry.values[inside, 1] > 0).all() and (entry.values[~inside, 1] < 0).all()
        assert not entry.cut.any()


def test_where_the_volume_ends_within_it_is_noted_on_the_patients_sides():
    """R-, R+, A-, A+, S-, S+: a volume that ends at the left half of the left lung."""
    for sign in (1.0, -1.0):
        grid = covering(np.diag([sign, 1.0, sign]), (6.0, 6.0, 6.0), np.array([180.0, 240, 240]))
        volume = chest(grid)
        entry = kept(volume, chest_parts(grid)["left lung"], "left lung")
        assert entry.cut.tolist() == [True, False, False, False, False, False]


def test_an_empty_mask_or_name_cannot_be_remembered():
    box = Box((0, 0, 0), (2, 2, 2))
    with pytest.raises(PromptError, match="nothing to remember"):
        remember(CHEST, box, np.zeros((2, 2, 2)), "lung")
    with pytest.raises(PromptError, match="The name is empty"):
        remember(CHEST, box, np.ones((2, 2, 2)), " ")
    with pytest.raises(ValueError, match="its box"):
        remember(CHEST, box, np.ones((3, 2, 2)), "lung")


def test_a_thumbnail_shows_the_patients_right_on_the_left():
    """The right lung's outline is in the middle; the left lung, dark, on the picture's right."""
    for name in ("along R, A, S", "mirrored"):
        volume = chest(GRIDS[name], noise=0)
        picture = kept(volume, chest_parts(volume.grid)["right lung"], "right lung").thumbnail
        assert picture.shape == (64, 64) and (picture == 255).sum() > 50
        spine = np.argwhere(picture == 215)  # bone is as bright as it gets
        assert spine[:, 1].mean() > 32 and spine[:, 0].mean() > 32  # to the left of the right lung, and behind


# -- parts -----------------------------------------------------------------------------------------------------------


def test_a_match_finds_back_what_it_was_moved_by(lungs):
    entry, true = lungs.named("lung", "left")[0], np.array([-75.0, 5, 0])
    found = match(entry, true + (9, -6, 6), landscape(CHEST))
    assert np.median(found.now_ras - found.places_mm, axis=0) == pytest.approx(true, abs=4)
    assert found.distance < match(entry, true + (60, 0, 0), landscape(CHEST)).distance


def test_distances_to_the_surface_are_positive_inside(lungs):
    entry = lungs.named("lung", "left")[0]
    found = match(entry, np.array([-75.0, 5, 0]), landscape(CHEST))
    points = np.array([[-75.0, 5, 0], [-30, 5, 0], [-10, 5, 0], [-75, 5, 130]])
    inside, edge, out, above = signed_distance(found, points)
    assert inside > 25 and abs(edge) < 8 and -32 < out < -10 and above < -15


@pytest.mark.parametrize("name", list(GRIDS))
def test_a_field_of_the_world_lands_in_the_volume_where_it_lies_in_the_world(name):
    lattice = covering(np.eye(3), (5.0, 5.0, 5.0), np.array([100.0, 80, 60]))
    field = in_ellipsoid(ras_of(lattice), (10, -5, 4), (30, 22, 18)).astype(np.float32)
    volume = chest(GRIDS[name])
    box, values = onto_volume(field, lattice, volume)
    placed = np.zeros(volume.shape_kji, bool)
    placed[box.slices] = values > 0.5
    assert overlap(placed, in_ellipsoid(ras_of(volume.grid), (10, -5, 4), (30, 22, 18))) > 0.7


def test_a_field_outside_the_volume_leaves_nothing():
    lattice = Grid((4, 4, 4), np.array([[5, 0, 0, 900], [0, 5, 0, 0], [0, 0, 5, 0], [0, 0, 0, 1.0]]))
    for field in (np.ones((4, 4, 4), np.float32), np.zeros((4, 4, 4), np.float32)):
        box, values = onto_volume(field, lattice, CHEST)
        assert box.is_empty and values.size == 0
