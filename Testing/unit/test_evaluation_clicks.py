"""The click protocol and its averages, with segmenters whose answers can be worked out by hand."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import BlockSegmenter, by_number
from labelled import write_cubes
from rich.console import Console

from memseg.errors import FileError, ModelError
from memseg.evaluation import dataset as datasets
from memseg.evaluation.clicks import ObjectScores, Rules, Scores, evaluate_clicks
from memseg.evaluation.dataset import Selection
from memseg.evaluation.methods import Method
from memseg.evaluation.report import attention_by_age, summarize
from memseg.evaluation.sheets import Sheet, attention_sheet, sheets_of
from memseg.evaluation.simulation import Noise
from memseg.volume import Volume


def scores(dice: list[float], method: str = "m", seconds: tuple[float, ...] = (0.1, 0.3)) -> Scores:
    return Scores(method, tuple(dice), tuple(dice), seconds)


def result(source: str, *methods: Scores) -> ObjectScores:
    return ObjectScores("entry", "object", source, "subject", 100, methods)


def played(folder: Path, *segmenters: BlockSegmenter, clicks: int = 3, memory: bool = True, **rules) -> ObjectScores:
    """The first object, played with each segmenter."""
    methods = [Method(f"method {number}", each, memory) for number, each in enumerate(segmenters)]
    return next(evaluate_clicks(Selection(datasets.read(folder)), methods, Rules(clicks, **rules)))


class WatchedSegmenter(BlockSegmenter):
    """Keeps the volumes and the clicks it was given."""

    def __init__(self) -> None:
        super().__init__(reach=1)
        self.volumes: list[Volume] = []
        self.clicks: list[tuple[tuple[int, int, int], bool]] = []

    def predict(self, volume, prompts, mask_kji, memory):
        newest = prompts[-1].prompt
        self.volumes.append(volume)
        self.clicks.append((newest.point_kji, newest.positive))
        return super().predict(volume, prompts, mask_kji, memory)


@pytest.fixture
def cubes(tmp_path: Path) -> Path:
    return write_cubes(tmp_path)


def test_each_click_corrects_the_largest_error_until_there_is_none(cubes):
    """Reach 2 sets exactly the 5 x 5 x 5 cube at the first click; reach 1 sets 27 of its 125 voxels."""
    first = played(cubes, BlockSegmenter(reach=2), BlockSegmenter(reach=1))
    assert first.methods[0].dice == (1, 1, 1)
    assert len(first.methods[0].seconds) == 1  # nothing left to correct
    assert first.methods[1].dice[0] == 2 * 27 / (125 + 27)
    assert first.methods[1].dice[2] > first.methods[1].dice[1] > first.methods[1].dice[0]
    assert len(first.methods[1].seconds) == 3
    assert (first.entry, first.name, first.source, first.voxels) == ("0", "cube", "place0 CT", 125)
    assert [each.method for each in first.methods] == ["method 0", "method 1"]


def test_shared_clicks_are_those_of_the_first_method(cubes):
    first = played(cubes, BlockSegmenter(reach=2), BlockSegmenter(reach=1), protocol="shared")
    assert first.methods[1].dice == (2 * 27 / (125 + 27),) * 3  # one click given, then none
    assert len(first.methods[1].seconds) == 1


def test_a_limit_spreads_over_the_volumes(cubes):
    dataset, methods = datasets.read(cubes), [Method("block", BlockSegmenter())]
    one = evaluate_clicks(Selection(dataset, limit=1), methods, Rules(1))
    assert [each.entry for each in one] == ["0"]
    assert [each.entry for each in evaluate_clicks(Selection(dataset), methods, Rules(1))] == ["0", "1"]


def test_memory_can_be_switched_off(cubes):
    on, off = BlockSegmenter(reach=1), BlockSegmenter(reach=1)
    played(cubes, on, clicks=2)
    played(cubes, off, clicks=2, memory=False)
    assert on.recalled == [(), (1,)]
    assert off.recalled == [None, None]


def test_a_memory_holds_as_many_entries_as_the_method_says(cubes):
    segmenter = BlockSegmenter(reach=1)
    selection = Selection(datasets.read(cubes), limit=1)
    list(evaluate_clicks(selection, [Method("block:2", segmenter, capacity=2)], Rules(4)))
    assert segmenter.recalled == [(), (1,), (1, 2), (2, 3)]


def test_what_answers_leaned_on_is_told_newest_first(cubes):
    told = played(cubes, BlockSegmenter(reach=1, attention=by_number)).methods[0].attention
    assert told[:2] == ((), (1.0,))
    assert told[2] == pytest.approx((2 / 3, 1 / 3))  # of the numbers 1 and 2


def test_a_method_that_cannot_tell_tells_nothing(cubes):
    assert played(cubes, BlockSegmenter(reach=1)).methods[0].attention == ()


def test_methods_do_not_share_what_one_cached_of_a_volume(cubes):
    one, other = WatchedSegmenter(), WatchedSegmenter()
    played(cubes, one, other, clicks=2)
    assert len(set(one.volumes)) == len(set(other.volumes)) == 1
    assert one.volumes[0] is not other.volumes[0]
    assert one.volumes[0].array_kji.base is other.volumes[0].array_kji.base  # the voxels are not copied


def test_noise_moves_the_clicks_of_all_methods_alike_and_keeps_their_sign(cubes):
    clean, one, other = WatchedSegmenter(), WatchedSegmenter(), WatchedSegmenter()
    played(cubes, clean, clicks=1)
    played(cubes, one, other, clicks=1, noise=Noise(mm=4))
    assert clean.clicks == [((7, 7, 7), True)]
    assert one.clicks == other.clicks
    ((point, positive),) = one.clicks
    assert positive and 3 < np.linalg.norm(np.subtract(point, (7, 7, 7))) < 5  # 4 mm, rounded to voxels of 1 mm


def test_every_click_can_have_the_wrong_sign(cubes):
    segmenter = WatchedSegmenter()
    scores = played(cubes, segmenter, clicks=2, noise=Noise(wrong=1)).methods[0]
    assert segmenter.clicks == [((7, 7, 7), False)] * 2
    assert scores.dice == (0, 0)


@pytest.mark.parametrize(
    ("rules", "error", "sentence"),
    [({"clicks": 0}, FileError, "at least one click"), ({"protocol": "mine"}, ModelError, "choose own or shared")],
)
def test_rules_that_cannot_be_played_are_a_sentence(rules, error, sentence):
    with pytest.raises(error, match=sentence):
        Rules(**rules)


def test_objects_are_averaged_within_their_source_first():
    results = [result("a", scores([0.2, 0.4])), result("a", scores([0.4, 0.6])), result("b", scores([0.9, 0.9]))]
    (summary,) = summarize(results)
    assert summary.dice == pytest.approx((0.6, 0.7))  # of (0.3, 0.5) and (0.9, 0.9)
    assert summary.by_source["a"] == pytest.approx((0.3, 0.5))
    assert summary.area_dice == pytest.approx((0.4 + 0.9) / 2)
    assert summary.reached == pytest.approx((0 + 1) / 2)
    assert summary.clicks_to_target == 1
    assert summary.objects == 3


def test_seconds_are_taken_over_all_clicks():
    results = [result("a", scores([1.0], seconds=(0.1, 0.2))), result("b", scores([1.0], seconds=(0.6,)))]
    (summary,) = summarize(results)
    assert summary.seconds_median == pytest.approx(0.2)


def test_no_results_have_no_summary():
    assert summarize([]) == ()


def test_attention_is_averaged_by_age_over_the_answers_that_had_such_an_entry():
    """Newest first. The single entry tells nothing; the eight leave three in the group of those older than five."""
    eight = (0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05)
    shares = attention_by_age([(), (1.0,), (0.75, 0.25), eight])
    assert [share.age for share in shares] == [1, 2, 3, 4, 5, 6]
    assert [share.clicks for share in shares] == [2, 2, 1, 1, 1, 1]
    assert shares[0].mean == pytest.approx((0.75 + 0.3) / 2)
    assert shares[0].uniform == pytest.approx((1 / 2 + 1 / 8) / 2)
    assert shares[2].mean == pytest.approx(0.1)
    assert (shares[5].mean, shares[5].uniform) == pytest.approx((0.2, 3 / 8))


def test_no_attention_has_no_shares():
    assert attention_by_age([(), (1.0,)]) == ()


def printed(*sheets: Sheet) -> str:
    text = io.StringIO()
    for sheet in sheets:
        Console(file=text, width=80).print(sheet.table())
    return text.getvalue()


def test_the_tables_show_every_measure_and_fit_80_columns():
    dice = [0.25] * 19 + [0.9]
    results = [result("github:somebody/some-data-set CT", scores(dice, "nano:off"), scores([0.125] * 20, "growcut"))]
    sheets = sheets_of(summarize(results))
    assert [sheet.title for sheet in sheets] == [
        "Dice after clicks", "NSD (2 mm) after clicks", "Dice after clicks by source"
    ]  # fmt: skip
    assert sheets[0].heads == ("method", "1", "3", "5", "10", "20", "area", "reach 85 %", "clicks to it")
    # The area: 18 pieces of 0.25 and one of (0.25 + 0.9) / 2, over 19.
    assert sheets[0].rows[0] == ("nano:off", "0.250", "0.250", "0.250", "0.250", "0.900", "0.267", "100%", "20")
    assert sheets[0].rows[1][-2:] == ("0%", "-")
    assert sheets[1].rows[0][-2:] == ("0.200", "0.290")  # of 0.1 and 0.3 seconds
    assert sheets[2].rows[1] == ("somebody/some-data-set CT", "growcut", "0.12", "0.12", "0.12", "0.12", "0.12")
    text = printed(*sheets)
    assert "somebody/some-data-set CT" in text and "reach" in text
    assert "\u2026" not in text  # nothing cut short


def test_only_clicks_that_were_played_are_shown():
    (overlap, *_) = sheets_of(summarize([result("a", scores([0.5] * 4))]))
    assert overlap.heads[1:3] == ("1", "3") and overlap.heads[3] == "area"


def test_attention_stands_beside_an_even_spread():
    told = replace(scores([0.5], "nano"), attention=((0.75, 0.25),))
    summaries = summarize([result("a", told, scores([0.5], "geodesic"))])
    sheet = attention_sheet(summaries)
    assert sheet.heads == ("method", "1 (newest)", "2", "3", "4", "5", "older")
    assert sheet.rows == (
        ("nano", "0.750", "0.250", "-", "-", "-", "-"),
        ("evenly spread", "0.500", "0.500", "-", "-", "-", "-"),
    )
    assert sheets_of(summaries)[-1] == sheet


def test_a_sheet_is_a_markdown_table_whatever_its_words():
    sheet = Sheet("Two", ("name", "figure"), (("a|b", "1"), ("[red]", "2")))
    assert sheet.markdown() == "**Two**\n\n| name | figure |\n| --- | ---: |\n| a\\|b | 1 |\n| [red] | 2 |\n"
    assert "[red]" in printed(sheet)
    with pytest.raises(ValueError, match="another number of cells"):
        Sheet("Two", ("name", "figure"), (("a",),))
