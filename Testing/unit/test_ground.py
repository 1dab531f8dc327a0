"""Words find what they mean on small bodies, on straight, mirrored, anisotropic and oblique grids alike."""

import gc
from dataclasses import replace
from weakref import ref

import numpy as np
import pytest
from fakes import BlockSegmenter
from phantoms import axis_grid, chest, chest_parts, in_ellipsoid, overlap, ras_of, spot, spots

from memseg.errors import PromptError
from memseg.geometry import Box, Grid
from memseg.memory.recall import RecallMemory
from memseg.segmenters.base import ModelCard, Prediction
from memseg.text.ground import directions_in, ground
from memseg.text.grounding import Grounding, Surroundings
from memseg.text.parse import parse
from memseg.text.query import Direction
from memseg.text.recalling import remember
from memseg.volume import Volume

STRAIGHT = axis_grid()
_turn = np.deg2rad(12)
_oblique = np.array(
    [[np.cos(_turn), -np.sin(_turn), 0, 0], [np.sin(_turn), np.cos(_turn), 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
)
GRIDS = {
    "straight": STRAIGHT,
    "mirrored": Grid(STRAIGHT.shape_kji, np.diag([-1, -1, 1, 1]) @ STRAIGHT.ijk_to_ras),
    "feet first": Grid(STRAIGHT.shape_kji, np.diag([1, 1, -1, 1]) @ STRAIGHT.ijk_to_ras),
    "anisotropic": axis_grid((30, 60, 80), (8.0, 4.0, 4.5)),
    "oblique": Grid(STRAIGHT.shape_kji, _oblique @ STRAIGHT.ijk_to_ras),
}
SPOTS_ON = {name: spots(grid) for name, grid in GRIDS.items()}
SPOTS = SPOTS_ON["straight"]
CHEST = chest(STRAIGHT)


def grounded(words: str, volume: Volume, **given) -> Grounding:
    empty = np.zeros(volume.shape_kji, np.uint8)
    given = {
        "segmenter": BlockSegmenter(),
        "mask_kji": empty,
        "extent": volume.grid.box,
        "recall": RecallMemory(),
        **given,
    }
    return ground(parse(words), Surroundings(volume, **given))


def mask_of(grounding: Grounding, number: int = 0) -> np.ndarray:
    found = grounding.found[number]
    mask = np.zeros(STRAIGHT.shape_kji if found.box.stop_kji[2] <= 60 else (30, 60, 80), bool)
    mask[found.box.slices] = found.values
    return mask


def on(volume: Volume, words: str, **given) -> np.ndarray:
    found = grounded(words, volume, **given).found[0]
    mask = np.zeros(volume.shape_kji, bool)
    mask[found.box.slices] = found.values
    return mask


# -- anatomy by physics ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRIDS)
def test_lungs_are_found_on_the_patients_side_on_every_grid(name):
    volume, parts = chest(GRIDS[name]), chest_parts(GRIDS[name])
    assert overlap(on(volume, "left lung"), parts["left lung"]) > 0.8
    assert overlap(on(volume, "right lung"), parts["right lung"] | parts["nodule"]) > 0.8
    assert overlap(on(volume, "both lungs"), parts["left lung"] | parts["right lung"] | parts["nodule"]) > 0.8


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("bone", lambda parts: parts["spine"]),
        ("body", lambda parts: parts["body"]),
        ("everything except bone", lambda parts: parts["body"] & ~parts["spine"]),
        ("the nodule in the right lung", lambda parts: parts["nodule"]),
        ("largest bright lesion in the right lung", lambda parts: parts["nodule"]),
        ("everything brighter than 300 HU", lambda parts: parts["spine"]),
        ("body fat", lambda parts: parts["fat"]),
    ],
)
def test_physics_finds_what_its_numbers_tell(words, expected):
    assert overlap(on(CHEST, words), expected(chest_parts(STRAIGHT))) > 0.7


def test_a_name_gives_the_segment_its_term_and_side():
    grounding = grounded("left lung", CHEST)
    assert (grounding.name, grounding.term.key, grounding.side) == ("left lung", "lung", "left")
    assert grounded("both lungs", CHEST).name == "lungs"
    assert grounded("bright structure", SPOTS).term is None


def test_the_sentence_says_how_the_words_were_understood_and_how_sure_it_is():
    grounding = grounded("left lung", CHEST)
    assert grounding.sentence.startswith("The left lung. Found: left lung, 85% sure.")
    assert [sentence.split(":")[0] for sentence in grounding.links] == ["Model", "Recall", "Physics"]


@pytest.mark.parametrize("words", ["liver", "left kidney", "bladder", "brain"])
def test_what_is_not_in_the_scan_is_not_made_up(words):
    with pytest.raises(PromptError, match="was not found: no scan like this one .* Click on it"):
        grounded(words, CHEST)


# -- places ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize(
    ("words", "which"),
    [
        ("the left-most bright structure", "left"),
        ("the right-most bright structure", "right"),
        ("the uppermost bright structure", "upper"),
        ("the largest bright round structure", "left"),
        ("the second largest bright round structure", "right"),
        ("the smallest bright round structure", "upper"),
        ("the dark structure", "front"),
        ("the most anterior round structure", "front"),
    ],
)
def test_places_and_sizes_are_the_patients_on_every_grid(name, words, which):
    assert overlap(on(SPOTS_ON[name], words), spot(which, GRIDS[name])) > 0.5


def test_a_structure_beside_and_near_another():
    front, left, right, upper = (spot(name, STRAIGHT) for name in ("front", "left", "right", "upper"))
    segments = {"liver": (STRAIGHT.box, left), "spleen": (STRAIGHT.box, front)}
    assert overlap(on(SPOTS, "the bright structure to the right of the spleen", segments=segments), right) > 0.5
    assert overlap(on(SPOTS, "the bright structure above the liver", segments=segments), upper) > 0.5
    click = tuple(np.argwhere(right)[0])
    assert overlap(on(SPOTS, "the bright structure near the click", click_kji=click), right) > 0.5


def test_an_end_of_something_is_that_share_of_its_extent():
    upper = on(CHEST, "upper half of the body")
    body = on(CHEST, "body")
    assert upper.sum() == pytest.approx(body.sum() / 2, rel=0.05)
    ras = STRAIGHT.ras_from_kji(np.argwhere(upper))
    assert ras[:, 2].min() > -6


def test_what_lies_inside_the_mask_is_found_there_only():
    mask = np.zeros(STRAIGHT.shape_kji, np.uint8)
    mask[:, :, 35:] = 1  # the right part: i grows to the right
    found = on(SPOTS, "the bright structure in the mask", mask_kji=mask, extent=STRAIGHT.box)
    assert overlap(found, spot("right", STRAIGHT)) > 0.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("bright structure near the click", "There is no click to be near to"),
        ("bright structure inside the mask", "The mask is empty"),
        ("structure in the liver", "The liver was not found"),
        ("bright round structure smaller than 2 mm", "none that is below 2 mm"),
        ("the ninth largest dark structure", "so there is no number 9"),
        ("everything brighter than 20 HU", "its values are not HU"),
        ("grow by 3 mm", "The mask is empty"),
    ],
)
def test_what_cannot_be_found_is_said_in_a_sentence(words, message):
    with pytest.raises(PromptError, match=message):
        grounded(words, SPOTS)


def test_a_threshold_in_the_images_own_units_works_on_mr():
    found = on(SPOTS, "everything brighter than 400")
    balls = spot("left", STRAIGHT) | spot("right", STRAIGHT) | spot("upper", STRAIGHT)
    assert overlap(found, balls) > 0.9


# -- the chain -------------------------------------------------------------------------------------------------------


class Texted(BlockSegmenter):
    """Answers any text with a cube of the volume, 9 times as sure as not."""

    card = ModelCard("texted", "Texted", "For tests.", frozenset({"click", "text"}), "Apache-2.0", "")
    asked: list[str] = []

    def predict(self, volume, prompts, mask_kji, memory):
        self.asked.append(prompts[-1].prompt.words)
        return Prediction(Box((1, 1, 1), (4, 4, 4)), np.full((3, 3, 3), 0.9, np.float32), np.zeros((1, 1)))


def test_a_model_that_takes_text_goes_first():
    grounding = grounded("left kidney", CHEST, segmenter=Texted())
    assert grounding.found[0].link == "model" and grounding.found[0].voxels == 27
    assert grounding.found[0].confidence == pytest.approx(0.9) and Texted.asked[-1] == "left kidney"


class Drawing(BlockSegmenter):
    """Draws the ball on the left, whatever is clicked."""

    def predict(self, volume, prompts, mask_kji, memory):
        ball = spot("left", STRAIGHT)
        return Prediction(STRAIGHT.box, ball.astype(np.float32), np.zeros((1, 1)))


def test_the_segmenter_draws_the_outline_of_what_stands_out_where_it_agrees():
    grounding = grounded("the left-most bright structure", SPOTS, segmenter=Drawing())
    assert grounding.found[0].link == "clicks" and overlap(mask_of(grounding), spot("left", STRAIGHT)) == 1
    grounding = grounded("the right-most bright structure", SPOTS, segmenter=Drawing())
    assert grounding.found[0].link == "physics" and overlap(mask_of(grounding), spot("right", STRAIGHT)) > 0.5


def test_segments_of_the_volume_count_where_they_are_referred_to():
    left = spot("left", STRAIGHT).astype(np.uint8)
    segments = {"Left Kidney": (STRAIGHT.box, left)}
    everything = on(SPOTS, "everything except the left kidney", segments=segments)
    assert not (everything & (left > 0)).any() and everything.sum() > 10_000


def _crop(mask: np.ndarray) -> tuple[Box, np.ndarray]:
    box = Box.of_mask(mask)
    return box, mask[box.slices].astype(np.uint8)


def _balls(*centres_ras: tuple[float, float, float]) -> list[np.ndarray]:
    return [in_ellipsoid(ras_of(STRAIGHT), centre, (15, 15, 15)) for centre in centres_ras]


@pytest.mark.parametrize(
    ("words", "which"),
    [
        ("the lowest lumbar vertebra", [0]),
        ("the uppermost vertebra", [2]),
        ("the vertebra directly above L4", [1]),
        ("lumbar vertebrae", [0, 1, 2]),
        ("upper third of the spine", [2]),
        ("add the spine", [0, 1, 2]),
    ],
)
def test_segments_of_one_kind_count_as_it_and_the_words_choose_or_join_them(words, which):
    balls = _balls((0, -60, -40), (0, -60, 0), (0, -60, 40))
    names = ("vertebrae_L4", "vertebrae_L3", "vertebrae_L2")
    segments = {name: _crop(ball) for name, ball in zip(names, balls)}
    expected = np.any([balls[number] for number in which], axis=0)
    assert overlap(on(CHEST, words, segments=segments), expected) > 0.95


def test_a_part_of_an_organ_is_not_taken_for_the_organ():
    (ball,) = _balls((0, 0, 0))
    with pytest.raises(PromptError, match="The heart was not found"):
        grounded("upper half of the heart", CHEST, segments={"left ventricle": _crop(ball)})


@pytest.mark.parametrize(
    ("words", "which"), [("the larger kidney", 0), ("smallest kidney", 1), ("kidney right of the spine", 1)]
)
def test_sizes_and_sides_are_told_of_segments_that_are_there(words, which):
    ras = ras_of(STRAIGHT)
    kidneys = [in_ellipsoid(ras, (-60, -40, 0), (20, 20, 40)), in_ellipsoid(ras, (60, -40, 0), (16, 16, 32))]
    spine = chest_parts(STRAIGHT)["spine"]
    names = ("kidney_left", "kidney_right", "spine")
    segments = {name: _crop(mask) for name, mask in zip(names, (*kidneys, spine))}
    assert overlap(on(CHEST, words, segments=segments), kidneys[which]) == 1


def test_what_may_be_anywhere_is_cut_to_the_place_that_is_named():
    ras = ras_of(STRAIGHT)
    place = in_ellipsoid(ras, (70, 5, 0), (30, 30, 30))  # a part of the right lung, without the nodule's front
    air = place & ~chest_parts(STRAIGHT)["nodule"]
    assert overlap(on(CHEST, "air in the heart", segments={"heart": _crop(place)}), air) > 0.9


def test_the_structure_here_is_what_the_segmenter_takes_for_it():
    found = grounded("the structure here", SPOTS, click_kji=(20, 20, 30)).found[0]
    assert found.link == "clicks" and found.box.covers(Box((20, 20, 30), (21, 21, 31)))


# -- lesions ---------------------------------------------------------------------------------------------------------


def limb(bulk_radius_mm: float) -> tuple[Volume, np.ndarray]:
    """A CT of a thigh of fat with four muscles of 16 mm radius along it, and a ball as even and bright among them."""
    grid = axis_grid((40, 40, 40), (5.0, 5.0, 5.0))
    ras = ras_of(grid)
    image = np.full(grid.shape_kji, -1000, np.float32)
    image[np.square(ras[..., :2] / 95).sum(axis=-1) <= 1] = -90
    for middle in ((-55, 0), (55, 0), (0, 60), (0, -65)):
        image[np.square((ras[..., :2] - middle) / 16).sum(axis=-1) <= 1] = 55
    ball = in_ellipsoid(ras, (0, 0, 20), (bulk_radius_mm,) * 3)
    image[ball] = 55
    image += np.random.default_rng(3).normal(0, 6, grid.shape_kji)
    return Volume(np.rint(image).astype(np.int16), grid, "thigh"), ball


def test_a_tumour_of_a_limb_is_its_thickest_soft_tissue():
    volume, ball = limb(32)
    grounding = grounded("tumour", volume)
    assert "thick, even soft tissue" in grounding.found[0].why
    assert overlap(on(volume, "tumour"), ball) > 0.6
    assert overlap(on(volume, "mass larger than 4 cm"), ball) > 0.6


def remembered(part: str, name: str, **changed) -> RecallMemory:
    """A part of the chest under a name."""
    entry = remember(CHEST, *_crop(chest_parts(STRAIGHT)[part]), name)
    return RecallMemory((replace(entry, **changed),))


def test_what_was_remembered_from_another_part_of_the_body_is_not_made_up_here():
    recall = remembered("spine", "spine")
    assert grounded("spine", chest(STRAIGHT), recall=recall).found[0].link == "recall"
    with pytest.raises(PromptError, match="The spine was not found"):
        grounded("spine", limb(20)[0], recall=recall)


def test_what_was_remembered_is_not_made_up_where_it_is_missing():
    """The same body without lungs: what the name stands for is one of them."""
    recall, grid = remembered("left lung", "liver"), STRAIGHT
    found = grounded("liver", chest(grid), recall=recall).found[0]
    assert found.link == "recall" and found.confidence > 0.9
    solid = Volume(np.where(chest_parts(grid)["body"], 45, -1000).astype(np.int16), grid)
    with pytest.raises(PromptError, match="The liver was not found"):
        grounded("liver", solid, recall=recall)


def test_in_a_scan_too_unlike_nothing_is_looked_for(monkeypatch):
    recall = remembered("left lung", "liver")
    far = replace(recall.entries[0], embedding=recall.entries[0].embedding + np.float16(0.5))

    def looked(*_: object) -> None:
        raise AssertionError("It was looked for.")

    monkeypatch.setattr("memseg.text.sources.recall", looked)
    with pytest.raises(AssertionError):
        grounded("liver", chest(STRAIGHT), recall=recall)
    with pytest.raises(PromptError, match="The liver was not found"):
        grounded("liver", chest(STRAIGHT), recall=RecallMemory((far,)))


def test_where_a_lesion_was_in_another_patient_says_little_on_ct():
    recall = remembered("nodule", "tumor")
    told = {found.link: found.confidence for found in reversed(grounded("tumor", chest(STRAIGHT), recall=recall).found)}
    organ = grounded("spleen", chest(STRAIGHT), recall=remembered("nodule", "spleen")).found[0].confidence
    assert told["recall"] == pytest.approx(organ / 4, abs=0.01) and organ > 0.8


def test_where_there_are_lungs_thick_tissue_is_no_tumour():
    assert all("thick, even" not in found.why for found in grounded("tumour", CHEST).found)


def test_of_a_brain_only_what_its_other_half_lacks_is_a_lesion():
    """Two alike, one in each half, and a fainter one in the left: a head after the skull was taken off."""
    grid = axis_grid((40, 50, 40), (4.0, 4.0, 4.0))
    ras = ras_of(grid)
    image = np.zeros(grid.shape_kji, np.float32)
    image[np.square(ras / (65, 85, 65)).sum(axis=-1) <= 1] = 300
    for side in (-1, 1):
        image[in_ellipsoid(ras, (30 * side, -30, 0), (13, 13, 13))] = 900
    lesion = in_ellipsoid(ras, (-30, 35, 10), (13, 13, 13))
    image[lesion] = 700
    image[image > 0] += np.random.default_rng(4).normal(0, 8, int((image > 0).sum()))
    volume = Volume(np.rint(image).astype(np.int16), grid, "brain")
    assert overlap(on(volume, "bright lesion"), lesion) > 0.6
    assert overlap(on(volume, "the largest lesion in the brain"), lesion) > 0.6


# -- what is told ----------------------------------------------------------------------------------------------------


def test_alternatives_are_different_masks_and_the_best_comes_first():
    found = grounded("bright round structure", SPOTS).found
    assert len(found) >= 3
    masks = [mask_of(grounded("bright round structure", SPOTS), number) for number in range(3)]
    assert all(overlap(masks[a], masks[b]) < 0.85 for a in range(3) for b in range(a))
    assert found[0].confidence >= found[1].confidence >= found[2].confidence


def test_split_gives_one_side_and_offers_the_other():
    mask = (spot("left", STRAIGHT) | spot("right", STRAIGHT)).astype(np.uint8)
    grounding = grounded("split left and right", SPOTS, mask_kji=mask, extent=STRAIGHT.box)
    assert overlap(mask_of(grounding), spot("left", STRAIGHT)) == 1
    assert grounding.other.voxels == spot("right", STRAIGHT).sum()


def test_a_header_without_sides_is_told_where_sides_are_asked_for():
    volume = Volume(SPOTS.array_kji, Grid.from_spacing(STRAIGHT.shape_kji, (6, 6, 6)))
    assert "The file's header does not say how the patient lies" in grounded("the left-most structure", volume).sentence
    assert "header" not in grounded("the largest structure", volume).sentence


def test_directions_are_gathered_from_the_whole_query():
    assert directions_in(parse("left lung without the upper half of the right lung").asked) == {
        Direction.LEFT, Direction.RIGHT, Direction.SUPERIOR,
    }  # fmt: skip
    assert directions_in(parse("the largest lesion").asked) == frozenset()


def test_a_volume_that_is_let_go_of_leaves_nothing_behind():
    volume = chest(STRAIGHT)
    grounded("the nodule in the right lung", volume)
    grounded("left lung", volume)
    gone = ref(volume)
    del volume
    gc.collect()
    assert gone() is None


def test_equal_words_find_equal_masks():
    one, other = (mask_of(grounded("the bright structure", Volume(SPOTS.array_kji.copy(), STRAIGHT))) for _ in range(2))
    assert np.array_equal(one, other)
