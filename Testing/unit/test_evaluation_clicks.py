"""The click protocol, averages, table and file, with a segmenter whose answers can be worked out by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from fakes import BlockSegmenter
from rich.console import Console

from memseg import build
from memseg.errors import FileError, ModelError
from memseg.evaluation import dataset as datasets
from memseg.evaluation.clicks import ObjectScores, Scores, evaluate_clicks
from memseg.evaluation.report import summarize, tables_of
from memseg.evaluation.run import Options, run


def scores(dice: list[float], method: str = "m", seconds: tuple[float, ...] = (0.1, 0.3)) -> Scores:
    return Scores(method, tuple(dice), tuple(dice), seconds)


def result(source: str, *methods: Scores) -> ObjectScores:
    return ObjectScores("entry", "object", source, "subject", 100, methods)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two volumes with a 5 x 5 x 5 cube each: at 5 to 9 along every axis, and at 8 to 12."""
    records = []
    for number, start in enumerate((5, 8)):
        labels = np.zeros((20, 20, 20), np.uint8)
        labels[(slice(start, start + 5),) * 3] = 1
        for name, array in (("image", labels.astype(np.int16) * 50), ("label", labels)):
            sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / f"{name}{number}.nii.gz"))
        records.append(
            {"id": str(number), "image": f"image{number}.nii.gz", "label": f"label{number}.nii.gz",
             "labels": {"cube": 1}, "modality": "CT", "source": f"place{number}@x", "subject": "sts-002"}
        )  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(records))
    return tmp_path


def test_each_click_corrects_the_largest_error_until_there_is_none(folder):
    """Reach 2 sets exactly the 5 x 5 x 5 cube at the first click; reach 1 sets 27 of its 125 voxels."""
    dataset = datasets.read(folder)
    exact, small = BlockSegmenter(reach=2), BlockSegmenter(reach=1)
    first = next(evaluate_clicks(dataset, [exact, small], clicks=3))
    assert first.methods[0].dice == (1, 1, 1)
    assert len(first.methods[0].seconds) == 1  # nothing left to correct
    assert first.methods[1].dice[0] == 2 * 27 / (125 + 27)
    assert first.methods[1].dice[2] > first.methods[1].dice[1] > first.methods[1].dice[0]
    assert len(first.methods[1].seconds) == 3
    assert (first.entry, first.name, first.source, first.voxels) == ("0", "cube", "place0 CT", 125)


def test_shared_clicks_are_those_of_the_first_method(folder):
    dataset = datasets.read(folder)
    exact, small = BlockSegmenter(reach=2), BlockSegmenter(reach=1)
    first = next(evaluate_clicks(dataset, [exact, small], clicks=3, protocol="shared"))
    assert first.methods[1].dice == (2 * 27 / (125 + 27),) * 3  # one click given, then none
    assert len(first.methods[1].seconds) == 1


def test_a_limit_spreads_over_the_volumes(folder):
    dataset = datasets.read(folder)
    assert [each.entry for each in evaluate_clicks(dataset, [BlockSegmenter()], clicks=1, limit=1)] == ["0"]
    assert [each.entry for each in evaluate_clicks(dataset, [BlockSegmenter()], clicks=1)] == ["0", "1"]


def test_memory_can_be_switched_off(folder):
    on, off = BlockSegmenter(reach=1), BlockSegmenter(reach=1)
    next(evaluate_clicks(datasets.read(folder), [on], clicks=2, memory=True))
    next(evaluate_clicks(datasets.read(folder), [off], clicks=2, memory=False))
    assert on.recalled == [(), (1,)]
    assert off.recalled == [None, None]


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


def test_the_tables_say_what_was_compared_and_fit_80_columns():
    results = [
        result("github:somebody/some-data-set CT", scores([0.25] * 10, "geodesic"), scores([0.125] * 10, "growcut"))
    ]
    text = io.StringIO()
    for table in tables_of(summarize(results), "1 object, each method's own clicks"):
        Console(file=text, width=80).print(table)
    for words in ("each method's own clicks", "geodesic", "growcut", "after 10 clicks", "0.250", "0.125", "0.12", "0%"):
        assert words in text.getvalue()
    assert "somebody/some-data-set CT" in text.getvalue()
    assert "\u2026" not in text.getvalue()  # nothing cut short


def silent() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_a_run_writes_options_averages_and_every_object(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("memseg.evaluation.run.build", lambda *_: BlockSegmenter(reach=2))
    target = tmp_path / "out" / "clicks.json"
    target.parent.mkdir()
    (summary,) = run(Options(folder, "block", clicks=2, subjects="all", json=target), silent())
    record = json.loads(target.read_text())
    assert summary.dice == (1, 1)
    assert record["options"]["clicks"] == 2
    assert [each["entry"] for each in record["objects"]] == ["0", "1"]
    assert record["summary"][0]["dice"] == [1, 1]
    assert [path.name for path in target.parent.iterdir()] == ["clicks.json"]


def test_an_interrupted_run_leaves_the_file_as_it_was(folder, tmp_path, monkeypatch):
    segmenter = BlockSegmenter()
    monkeypatch.setattr("memseg.evaluation.run.build", lambda *_: segmenter)
    monkeypatch.setattr(segmenter, "predict", _interrupt)
    target = tmp_path / "clicks.json"
    target.write_text("before")
    with pytest.raises(KeyboardInterrupt):
        run(Options(folder, "block", clicks=2, subjects="all", json=target), silent())
    assert target.read_text() == "before"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"subjects": "none"}, FileError, "choose one of"),
        ({"subjects": "training"}, FileError, "--subjects all"),
        ({"clicks": 0}, FileError, "at least one click"),
        ({"limit": 0}, FileError, "at least one click"),
        ({"protocol": "mine"}, ModelError, "choose own or shared"),
        ({"peers": ("nobody",)}, ModelError, "no model called 'nobody'"),
        ({"json": Path("missing") / "folder" / "clicks.json"}, FileError, "create it first"),
    ],
)
def test_a_wrong_option_is_a_sentence(folder, changes, error, sentence):
    with pytest.raises(error, match=sentence):
        run(Options(folder, **changes), silent())


def test_the_default_model_is_evaluated_through_the_real_path(folder):
    assert build.build(None).card.name == "geodesic"
    (summary,) = run(Options(folder, clicks=2, limit=1), silent())
    assert summary.method == "geodesic"
    assert 0 < summary.dice[0] <= 1
