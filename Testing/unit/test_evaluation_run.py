"""`memseg evaluate clicks` from options to tables and a file, and that file read again."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from fakes import BlockSegmenter, by_number
from labelled import write_cubes
from rich.console import Console

from memseg import catalog
from memseg.errors import FileError, ModelError, PromptError
from memseg.evaluation import methods
from memseg.evaluation.records import Record, peak_memory_mb
from memseg.evaluation.run import Options, run


@pytest.fixture
def cubes(tmp_path: Path) -> Path:
    return write_cubes(tmp_path)


def silent() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_a_run_writes_options_averages_and_every_object(cubes, tmp_path, monkeypatch):
    monkeypatch.setattr(methods, "build", lambda *_: BlockSegmenter(reach=2))
    target = tmp_path / "out" / "clicks.json"
    target.parent.mkdir()
    (summary,) = run(Options(cubes, "block", clicks=2, noise_mm=0.25, seed=3, json=target), silent())
    record = json.loads(target.read_text())
    assert summary.dice == (1, 1)
    options = record["options"]
    assert (options["clicks"], options["noise_mm"], options["wrong"], options["seed"]) == (2, 0.25, 0, 3)
    assert options["methods"][0]["name"] == "block" and options["volumes"] == ["0", "1"]
    assert [each["entry"] for each in record["objects"]] == ["0", "1"]
    assert record["summary"][0]["dice"] == [1, 1]
    assert record["machine"]["cpus"] >= 1
    assert str(cubes.parent) not in target.read_text()  # no paths of this machine
    assert [path.name for path in target.parent.iterdir()] == ["clicks.json"]


def test_what_was_written_is_read_again_as_it_was(cubes, tmp_path, monkeypatch):
    monkeypatch.setattr(methods, "build", lambda *_: BlockSegmenter(reach=1, attention=by_number))
    target = tmp_path / "clicks.json"
    run(Options(cubes, "block", clicks=3, json=target), silent())
    record = Record.read(target)
    assert record.results[0].methods[0].attention[2] == pytest.approx((2 / 3, 1 / 3))
    record.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == target.read_text()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"options": {}, "machine": {}, "objects": [{}]}', "[" * 100_000])
def test_a_file_that_holds_no_results_is_a_sentence(tmp_path, text):
    (tmp_path / "clicks.json").write_text(text)
    with pytest.raises(FileError, match="clicks.json holds no results"):
        Record.read(tmp_path / "clicks.json")


def test_models_with_and_without_memory_are_compared_in_one_run(cubes, monkeypatch):
    monkeypatch.setattr(methods, "build", lambda *_: BlockSegmenter(reach=1, attention=by_number))
    console = silent()
    peers = ("block:off", "block:10", "randomwalker")
    summaries = run(Options(cubes, "block", peers=peers, clicks=3, wrong=0.1), console)
    assert [each.method for each in summaries] == ["block", "block:off", "block:10", "randomwalker"]
    assert [bool(each.attention) for each in summaries] == [True, False, True, False]
    text = console.file.getvalue()
    assert "2 objects of 2 sources, validation subjects, each method's own clicks, 10% of clicks with the wrong" in text
    assert "Share of attention by age" in text and "block:off" in text
    assert "Peak memory of the whole process" in text


def test_the_peak_of_memory_is_that_of_a_python_process():
    assert 30 < peak_memory_mb() < 100_000


def test_an_interrupted_run_leaves_the_file_as_it_was(cubes, tmp_path, monkeypatch):
    segmenter = BlockSegmenter()
    monkeypatch.setattr(methods, "build", lambda *_: segmenter)
    monkeypatch.setattr(segmenter, "predict", _interrupt)
    target = tmp_path / "clicks.json"
    target.write_text("before")
    with pytest.raises(KeyboardInterrupt):
        run(Options(cubes, "block", clicks=2, subjects="all", json=target), silent())
    assert target.read_text() == "before"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"subjects": "none"}, FileError, "choose one of"),
        ({"subjects": "training"}, FileError, "--subjects all"),
        ({"clicks": 0}, FileError, "at least one click"),
        ({"limit": 0}, FileError, "at least one object"),
        ({"noise_mm": -1}, PromptError, "between 0 and 1000 mm"),
        ({"wrong": 2}, PromptError, "between 0 and 1"),
        ({"peers": ("geodesic:never",)}, ModelError, "no way to write a model"),
        ({"model": "geodesic", "peers": ("geodesic",)}, ModelError, "asked for twice"),
        ({"protocol": "mine"}, ModelError, "choose own or shared"),
        ({"peers": ("nobody",)}, ModelError, "no model called 'nobody'"),
        ({"json": Path("missing") / "folder" / "clicks.json"}, FileError, "create it first"),
    ],
)
def test_a_wrong_option_is_a_sentence(cubes, changes, error, sentence):
    with pytest.raises(error, match=sentence):
        run(Options(cubes, **changes), silent())


def test_the_default_model_is_evaluated_through_the_real_path(cubes):
    (summary,) = run(Options(cubes, clicks=2, limit=1), silent())
    assert summary.method == catalog.default()
    assert 0 < summary.dice[0] <= 1
