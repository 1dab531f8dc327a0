"""Published models under `memseg evaluate`: with random weights, which prove that all of it runs, and with added
ones."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from labelled import write_bar, write_cubes
from rich.console import Console
from small_sam import small_config, small_encoder, small_sam, small_student
from small_sam2 import small_config as small_sam2

from memseg import catalog, registry
from memseg.build import _built, build_random
from memseg.errors import ModelError
from memseg.evaluation.propagation import command as propagation
from memseg.evaluation.run import Options, run
from memseg.evaluation.study import StudyOptions, study
from memseg.segmenters import random_weights, sam2_weights
from memseg.segmenters.base import WeightsFile

CUBES = ("sam-med3d:random", "mais:random", "fastsam3d:random", "memorizing-sam:random")


@pytest.fixture(autouse=True)
def small_networks(tmp_path, monkeypatch):
    """Networks of the same kinds, small; and a list of added weights that is empty."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "registry"))
    for module in ("sam_weights", "random_weights"):
        monkeypatch.setattr(f"memseg.segmenters.{module}.SamConfig", lambda encoder, boxes=False: small_config(boxes))
        monkeypatch.setattr(f"memseg.segmenters.{module}.EncoderConfig", small_encoder)
        monkeypatch.setattr(
            f"memseg.segmenters.{module}.StudentConfig", lambda: small_student(depth=6, without_attention=2)
        )
    monkeypatch.setattr(sam2_weights, "CONFIGS", {name: small_sam2() for name in sam2_weights.CONFIGS})
    _built.cache_clear()
    yield
    _built.cache_clear()


@pytest.fixture
def cubes(tmp_path: Path) -> Path:
    return write_cubes(tmp_path / "data")


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def printed(given: Console) -> str:
    return " ".join(given.file.getvalue().split())


def test_all_of_them_answer_clicks_under_the_evaluation_beside_a_model_that_ships(cubes, tmp_path):
    out, target = console(), tmp_path / "clicks.json"
    peers = (*CUBES[1:], "sam2-tiny:random", "medsam2:random", "geodesic")
    summaries = run(Options(cubes, CUBES[0], "cpu", peers=peers, clicks=3, json=target), out)
    assert [each.method for each in summaries] == [CUBES[0], *peers]
    for summary in summaries:
        assert summary.objects == 2 and len(summary.dice) == 3 and all(0 <= value <= 1 for value in summary.dice)
        assert summary.seconds_median > 0
    for name, title in (("sam-med3d", "SAM-Med3D"), ("fastsam3d", "FastSAM3D"), ("memorizing-sam", "Memorizing SAM")):
        sentence = (
            f"{name}:random has weights drawn by chance: its times are those of {title}, its scores mean nothing."
        )
        assert sentence in printed(out)
    assert "medsam2:random has weights drawn by chance" in printed(out) and "geodesic has" not in printed(out)
    methods = json.loads(target.read_text())["options"]["methods"]
    assert [each["weights_sha256"] for each in methods] == ["random"] * 6 + [None]


def test_one_that_follows_slices_does_so_under_the_evaluation_and_the_report_says_what_its_weights_are(tmp_path):
    bar, report = write_bar(tmp_path / "data"), tmp_path / "report.md"
    out = console()
    options = propagation.Options(bar, "sam2-tiny:random", "cpu", peers=("sam-med3d:random", "copy"), output=report)
    record = propagation.run(options, out)
    (case,) = record.results
    assert {scores.way.method for scores in case.scores} >= {"sam2-tiny:random", "sam-med3d:random", "copy"}
    for name in ("sam2-tiny:random", "sam-med3d:random"):
        assert f"{name} has weights drawn by chance" in printed(out)
        assert f"{name} has weights drawn by chance" in report.read_text()


def test_a_study_says_what_its_weights_are(cubes, tmp_path):
    report = tmp_path / "report.md"
    options = StudyOptions(cubes, report, "fastsam3d:random", "cpu", ("geodesic",), clicks=1, capacity_clicks=1)
    study(options, console())
    assert report.read_text().count("fastsam3d:random has weights drawn by chance") == 1


def test_added_weights_are_said_to_be_the_published_ones_where_they_are(cubes, tmp_path, monkeypatch):
    torch.save(small_sam().state_dict(), tmp_path / "sam.pth")
    registry.add("sam-med3d", tmp_path / "sam.pth", "Apache-2.0")
    digest = hashlib.sha256((tmp_path / "sam.pth").read_bytes()).hexdigest()
    out = console()
    run(Options(cubes, "sam-med3d", "cpu", clicks=1), out)
    unknown = (
        f"sam-med3d has weights that a user brought, SHA-256 {digest}; whether its authors publish them is not known."
    )
    assert unknown in printed(out)
    file = WeightsFile("sam_med3d_turbo.pth", sha256=digest)
    cards = tuple(replace(card, files=(file,)) if card.name == "sam-med3d" else card for card in catalog.cards())
    monkeypatch.setattr(catalog, "_CARDS", cards)
    _built.cache_clear()
    out = console()
    run(Options(cubes, "sam-med3d", "cpu", clicks=1), out)
    assert "sam-med3d has the weights its authors publish as sam_med3d_turbo.pth." in printed(out)


def test_random_weights_are_the_same_every_time_and_leave_chance_as_it_was():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, other = random_weights.network("fastsam3d"), random_weights.network("fastsam3d")
    assert torch.equal(torch.rand(3), expected)
    for ours, theirs in zip(one.parameters(), other.parameters()):
        assert torch.equal(ours, theirs) and not ours.requires_grad
    assert not one.training


def test_only_published_models_have_random_weights():
    with pytest.raises(ModelError, match="'nano' ships with its weights; write nano alone"):
        build_random("nano")
    with pytest.raises(ModelError, match="no random weights for the model 'biomedparse'"):
        build_random("biomedparse")
    with pytest.raises(ModelError, match="no device called 'abacus'"):
        build_random("sam-med3d", "abacus")


def test_none_of_them_needs_weights_that_were_added(cubes):
    assert registry.registered() == {}
    assert {name for name in random_weights.names()} >= {name.split(":")[0] for name in CUBES}
    assert all(catalog.any_card(name).is_brought for name in random_weights.names())
