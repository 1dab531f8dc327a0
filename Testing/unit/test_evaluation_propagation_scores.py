"""What is followed, and how a mask is counted against it: objects of a few slices, worked out by hand."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from labelled import labelled_object

from memseg.errors import FileError
from memseg.evaluation.propagation.cases import Case, cases_of, crop_at, with_gap
from memseg.evaluation.propagation.parts import Parts
from memseg.evaluation.propagation.scores import Answer, CaseScores, Scores, Sides, Way, left_out, measured, run_over
from memseg.evaluation.propagation.summary import sheets_of, summarize
from memseg.geometry import Box


def stack(widths: dict[int, int], slices: int = 12, axis: int = 0) -> np.ndarray:
    """Bool 12 x 12 x 12 (or `slices` along the axis): a square of that width in each of the slices named, at 2."""
    truth = np.zeros((slices, 12, 12), bool)
    for index, width in widths.items():
        truth[index, 2 : 2 + width, 2 : 2 + width] = True
    return np.moveaxis(truth, 0, axis)


SPINDLE = {3: 2, 4: 4, 5: 5, 6: 5, 8: 3}  # no voxel in slice 7; the areas are 4, 16, 25, 25 and 9


# -- cases -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("axis", "number"), [("k", 0), ("j", 1), ("i", 2)])
def test_the_reference_is_the_first_of_the_largest_slices_on_any_axis(axis, number):
    case = Case(labelled_object(stack(SPINDLE, axis=number)), axis)
    assert case.slices == (3, 4, 5, 6, 8)
    assert case.areas == {3: 4, 4: 16, 5: 25, 6: 25, 8: 9}
    assert case.reference == 5


def test_several_slices_are_the_ends_and_others_evenly_between_them():
    case = Case(labelled_object(stack({index: 4 for index in (1, 2, 3, 5, 6, 7, 9)})), "k")
    assert case.spread(2) == (1, 9)
    assert case.spread(3) == (1, 5, 9)
    assert case.spread(5) == (1, 3, 5, 7, 9)  # places 0, 1.5, 3, 4.5 and 6 of the seven slices; halves go up
    assert case.spread(20) == case.slices


def test_drawn_slices_are_the_truth_and_nothing_else():
    case = Case(labelled_object(stack(SPINDLE)), "k")
    drawn = case.drawn([3, 6])
    mask = crop_at(drawn.box, drawn.values, Box.of_shape((12, 12, 12)))
    assert [int(plane.sum()) for plane in mask] == [0, 0, 0, 4, 0, 0, 25, 0, 0, 0, 0, 0]
    assert mask[6, 2:7, 2:7].all()


def test_a_crop_at_another_box_is_empty_where_nothing_was_known():
    box, values = Box((2, 2, 2), (4, 4, 4)), np.ones((2, 2, 2), np.uint8)
    crop = crop_at(box, values, Box((3, 0, 0), (5, 4, 3)))
    assert crop.shape == (2, 4, 3)
    assert np.argwhere(crop).tolist() == [[0, 2, 2], [0, 3, 2]]
    assert not crop_at(box, values, Box((8, 8, 8), (9, 9, 9))).any()


def test_an_object_is_followed_along_the_axes_on_which_it_has_three_slices():
    flat = np.zeros((12, 12, 12), bool)
    flat[4:6, 2:9, 2:9] = True  # 98 voxels, two slices along k
    assert [case.axis for case in cases_of(labelled_object(flat), ("k", "j", "i"))] == ["j", "i"]


def test_an_object_of_fewer_than_fifty_voxels_is_not_followed():
    assert not list(cases_of(labelled_object(stack({3: 4, 4: 4, 5: 4, 6: 1})), ("k",)))  # 49
    assert len(list(cases_of(labelled_object(stack({3: 4, 4: 4, 5: 4, 6: 1, 7: 1})), ("k",)))) == 1


# -- a gap -------------------------------------------------------------------------------------------------------------


def long_object() -> Case:
    """Slices 2 to 33, the reference being 10: eight slices below it and 23 above."""
    return Case(labelled_object(stack({index: 5 if index == 10 else 4 for index in range(2, 34)}, slices=40)), "k")


def test_a_gap_is_made_in_the_middle_of_the_longer_side():
    case = long_object()
    gapped = with_gap(case, 5)
    # Of 11 to 33 the middle five are 20 to 24: nine slices stay on either side.
    assert gapped.slices == (*range(2, 20), *range(25, 34))
    assert gapped.gap == 5 and gapped.reference == 10
    image = gapped.volume.array_kji
    assert image.dtype == np.int16 and (image[20:25] == 0).all()  # the median: most voxels are 0
    assert (image[19] == case.volume.array_kji[19]).all() and (image[25] == case.volume.array_kji[25]).all()
    assert case.volume.array_kji[22].any() and case.labelled.truth.sum() == 31 * 16 + 25  # the case itself is untouched


def test_there_is_no_gap_in_short_objects_and_none_that_leaves_a_side_of_less_than_four():
    short = Case(labelled_object(stack({index: 4 for index in range(2, 31)}, slices=40)), "k")  # 29 slices
    assert with_gap(short, 1) is None
    assert with_gap(long_object(), 19) is not None and with_gap(long_object(), 20) is None  # of 23
    assert not list(cases_of(short.labelled, ("k",), gap=1))
    assert [case.gap for case in cases_of(long_object().labelled, ("k",), gap=3)] == [3]


# -- slices too many and too few ---------------------------------------------------------------------------------------


def test_slices_too_many_are_counted_before_between_and_after():
    assert run_over((3, 4, 5, 6, 8), {1, 3, 4, 7, 9, 10}) == Sides(low=1, inside=1, high=2)
    assert run_over((3, 4), {3, 4}) == Sides(0, 0, 0)
    assert Sides(1, 5, 2).per_end == 1.5


def test_slices_too_few_are_counted_from_either_end_up_to_the_reference():
    assert left_out((3, 4, 5, 6, 8), {5, 6}, reference=5) == Sides(low=2, inside=0, high=1)
    assert left_out((3, 4, 5, 6, 8), {3, 5, 8}, reference=5) == Sides(low=0, inside=2, high=0)
    assert left_out((3, 4, 5, 6, 8), set(), reference=5) == Sides(low=2, inside=1, high=2)
    assert left_out((3, 4, 5), {3, 4, 5}, reference=4) == Sides(0, 0, 0)


def test_a_mask_is_measured_wherever_it_lies():
    """The truth is 4 x 4 in slices 3 to 6 along j; the mask is the same square in slices 4 to 8 and lacks slice 5."""
    case = Case(labelled_object(stack({index: 4 for index in range(3, 7)}, axis=1)), "j")
    mask = stack({4: 4, 6: 4, 7: 4, 8: 4}, axis=1).astype(np.uint8)
    box = Box.of_mask(mask)
    scores = measured(case, Way("any"), Answer(box, mask[box.slices], steps=5, seconds=0.5))
    assert scores.dice == 2 * 32 / (64 + 64)
    assert scores.over == Sides(0, 0, 2)
    assert scores.missed == Sides(low=0, inside=2, high=0)  # the reference itself, slice 3, and slice 5
    assert (scores.way, scores.steps, scores.seconds) == (Way("any"), 5, 0.5)


def test_a_perfect_mask_has_perfect_scores():
    case = Case(labelled_object(stack(SPINDLE)), "k")
    scores = measured(case, Way("any"), Answer(case.labelled.box, case.labelled.truth.astype(np.uint8), 0, 0.0))
    assert (scores.dice, scores.surface_dice, scores.over, scores.missed) == (1, 1, Sides(0, 0, 0), Sides(0, 0, 0))


# -- averages ----------------------------------------------------------------------------------------------------------

NONE, SINGLE = Sides(0, 0, 0), Way("slices")


def row(dice: float, way: Way = SINGLE, **changes) -> Scores:
    return Scores(way, dice, dice / 2, **{"over": NONE, "missed": NONE, "steps": 10, "seconds": 1.0, **changes})


def result(source: str, *scores: Scores, axis: str = "k", gap: int = 0) -> CaseScores:
    return CaseScores("entry", "object", source, "subject", axis, gap, 100, 8, 4, scores)


def test_objects_are_averaged_within_their_source_first():
    results = [
        result("a", row(0.2, over=Sides(1, 0, 0), missed=Sides(0, 3, 4))),
        result("a", row(0.4, over=Sides(1, 2, 4))),
        result("b", row(0.9)),
    ]
    (summary,) = summarize(results)
    assert summary.dice == pytest.approx((0.3 + 0.9) / 2)
    assert summary.surface_dice == pytest.approx((0.15 + 0.45) / 2)
    assert summary.over == pytest.approx((0.5 + 2.5) / 2 / 2)
    assert summary.over_inside == pytest.approx(1 / 2)
    assert summary.missed == pytest.approx(1 / 2)
    assert summary.missed_inside == pytest.approx(1.5 / 2)
    assert summary.by_source == pytest.approx({"a": 0.3, "b": 0.9})
    assert summary.objects == 3


def test_the_speed_is_the_median_of_the_objects_and_unknown_where_nothing_was_followed():
    copied = Way("copy")
    results = [
        result("a", row(1, steps=steps, seconds=2.0), row(1, copied, steps=0, seconds=0.5)) for steps in (10, 40, 60)
    ]
    followed, copies = summarize(results)
    assert (followed.slices_per_second, followed.seconds) == (20, 2)
    assert (copies.slices_per_second, copies.seconds) == (None, 0.5)


def test_a_way_is_averaged_over_the_objects_it_was_tried_on():
    several = Way("slices", 5)
    summaries = summarize([result("a", row(0.5), row(0.7, several)), result("b", row(0.9))])
    assert [(each.way, each.objects) for each in summaries] == [(Way("slices"), 2), (several, 1)]
    assert [each.dice for each in summaries] == pytest.approx([0.7, 0.7])


def test_no_results_have_no_summaries():
    assert summarize([]) == ()


def curve(chosen: str, *dice: float) -> list[Scores]:
    return [row(value, Way("slices", 1, chosen, count)) for count, value in enumerate(dice, 1)]


def test_the_tables_show_every_way():
    scores = [
        row(0.5, over=Sides(1, 0, 2), missed=Sides(0, 4, 1)),
        *curve("suggested", 0.6, 0.7, 0.8),
        row(0.3, Way("copy"), steps=0, seconds=0.25),
        *curve("worst", 0.7, 0.8, 0.9),
        row(0.6, Way("slices", 2)), row(0.55, Way("fill", 2)), row(0.8, Way("slices", 3)), row(0.7, Way("fill", 3)),
    ]  # fmt: skip
    one, corrected, several, by_source = sheets_of(summarize([result("github:some/where CT", *scores)]))
    assert one.rows == (
        ("slices", "0.500", "0.250", "1.50", "0.50", "4.00", "10.0", "1.00"),
        ("copy", "0.300", "0.150", "0.00", "0.00", "0.00", "-", "0.25"),
    )
    assert corrected.heads == ("method", "", "0", "1", "2", "3")
    assert corrected.rows[0] == ("slices, suggested", "Dice", "0.500", "0.600", "0.700", "0.800")
    assert corrected.rows[2] == ("slices, worst", "Dice", "0.500", "0.700", "0.800", "0.900")
    assert corrected.rows[3] == ("slices, worst", "NSD", "0.250", "0.350", "0.400", "0.450")
    assert several.heads == ("method", "", "2", "3")
    assert several.rows[:2] == (("slices", "Dice", "0.600", "0.800"), ("fill", "Dice", "0.550", "0.700"))
    assert several.rows[-1] == ("objects of more slices", "", "1", "1")
    assert by_source.rows == (("some/where CT", "slices", "0.50"), ("some/where CT", "copy", "0.30"))


def test_several_axes_are_shown_side_by_side():
    results = [result("a", row(0.5)), result("a", row(0.7), axis="j"), result("b", row(1), axis="j")]
    sheets = sheets_of(summarize(results))
    (by_axis,) = (sheet for sheet in sheets if "axis" in sheet.title)
    assert by_axis.heads == ("method", "k", "j")
    assert by_axis.rows == (("slices", "0.500", "0.850"),)


# -- kept on disk ------------------------------------------------------------------------------------------------------


def test_scores_survive_json():
    whole = result("a", row(1 / 3, Way("slices:recent", 3, "worst", 2), over=Sides(1, 2, 3)), axis="j", gap=4)
    assert CaseScores.from_record(json.loads(json.dumps(asdict(whole)))) == whole


def kept(folder: Path, **options) -> Parts:
    return Parts(folder, {"methods": ["slices"], **options}, {})


def test_an_object_is_found_again_by_name_axis_gap_and_options(tmp_path):
    case = Case(labelled_object(stack(SPINDLE)), "k")
    scores = replace(result("a", row(0.5)), entry="0", name="object")
    parts = kept(tmp_path)
    assert parts.of(case) is None
    parts.keep(scores)
    assert kept(tmp_path).of(case) == scores
    assert parts.of(replace(case, axis="j")) is None and parts.of(replace(case, gap=2)) is None
    assert kept(tmp_path, corrections=3).of(case) is None
    kept(tmp_path, corrections=3).keep(scores)
    assert parts.of(case) is None and len(list(tmp_path.iterdir())) == 1  # written anew


def test_names_that_no_file_may_have_are_told_apart(tmp_path):
    parts = kept(tmp_path)
    for name in ("a/b", "a b", "../a", "a" * 300):
        parts.keep(replace(result("a", row(0.5)), name=name))
    assert len(list(tmp_path.iterdir())) == 4


def test_a_part_that_is_none_is_a_sentence(tmp_path):
    case, parts = Case(labelled_object(stack(SPINDLE)), "k"), kept(tmp_path)
    parts.keep(replace(result("a", row(0.5)), entry="0", name="object"))
    (path,) = tmp_path.iterdir()
    path.write_text("no results")
    with pytest.raises(FileError, match="holds no results of an evaluation"):
        parts.of(case)
