"""`memseg models`, and weights a user brings from the file to an answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes import ellipsoid
from small_sam import small_config, small_sam
from typer.testing import CliRunner

from memseg import catalog, models_command, registry
from memseg.build import _built, build
from memseg.errors import ModelError
from memseg.geometry import Grid
from memseg.models_command import app
from memseg.prompts import Click
from memseg.segmenters.sam_med3d import SamMed3DSegmenter
from memseg.session import new_session
from memseg.volume import Volume


@pytest.fixture(autouse=True)
def own_list(tmp_path, monkeypatch):
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "registry"))
    monkeypatch.setenv("COLUMNS", "200")
    _built.cache_clear()
    yield
    _built.cache_clear()


@pytest.fixture
def small_file(tmp_path, monkeypatch):
    """A file with weights of a small network, and readers that expect one."""
    monkeypatch.setattr("memseg.segmenters.sam_weights.SamConfig", lambda encoder, boxes: small_config(boxes))
    path = tmp_path / "sam_med3d_turbo.pth"
    torch.save({"model_state_dict": small_sam().state_dict()}, path)
    return path


def run(*arguments: object, answer: str = "") -> str:
    """What is printed; raises what the command raises."""
    done = CliRunner().invoke(app, [str(each) for each in arguments], input=answer)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_the_list_says_what_is_here_and_how_to_get_what_is_not():
    printed = run()
    for card in (*catalog.cards(), *catalog.slice_cards()):
        assert card.name in printed
    assert "nano (default)" in printed and "needs sam_med3d_turbo.pth" in printed
    assert (
        "FastSAM3D: memseg models get fastsam3d downloads them; where there is no network, download FastSAM3D.pth "
        "(638 MB, Apache-2.0) from https://huggingface.co/techlove/FastSAM3D, then run: "
        "memseg models add fastsam3d FILE. " + catalog.card("fastsam3d").hardware
    ) in printed
    assert run("list") == printed


def test_a_model_is_shown_with_its_source_licence_files_and_what_it_takes_to_run_it(small_file):
    printed = " ".join(run("show", "sam-med3d").split())
    for words in (
        "arXiv 2310.15161",
        "Apache-2.0",
        "https://huggingface.co/blueyo0/SAM-Med3D",
        "one CPU core",
        "needs sam_med3d_turbo.pth",
        "sam_med3d_turbo.pth: 402 MB, SHA-256 899a46d04d3b70f723282ceb489149373558bf0aaba389a346f5ab57da5cdd3c.",
        "sam_med3d_turbo_bbox_init.pth: 402 MB, SHA-256 not known.",
    ):
        assert words in printed
    run("add", "sam-med3d", small_file)
    printed = run("show", "sam-med3d")
    assert registry.registered()["sam-med3d"].sha256 in printed and str(small_file) in printed.replace("\n", "")


def test_a_file_that_was_added_is_checked_listed_built_and_answers(small_file):
    printed = run("add", "sam-med3d", small_file)
    assert "Apache-2.0" in printed and "choose it with: --model sam-med3d" in printed
    assert registry.registered()["sam-med3d"].sha256 in printed
    assert "download sam_med3d_turbo.pth" not in run()
    truth = ellipsoid((30, 30, 30), (15, 15, 15), (8, 8, 8))
    session = new_session(Volume(truth * 100.0, Grid.from_spacing((30, 30, 30), (1, 1, 1))), "sam-med3d", "cpu")
    session.add(Click((15, 15, 15)))
    assert session.mask_kji[15, 15, 15] == 1 and session.model == "sam-med3d"
    assert isinstance(build("sam-med3d", "cpu"), SamMed3DSegmenter)


@pytest.fixture
def for_research(monkeypatch):
    """SAM-Med3D as if its weights were for research only."""
    cards = tuple(
        replace(card, licence="CC-BY-NC-SA-4.0") if card.name == "sam-med3d" else card for card in catalog.cards()
    )
    monkeypatch.setattr(catalog, "_CARDS", cards)


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_a_licence_for_research_only_is_asked_about_and_nothing_is_added_without_a_yes(
    small_file, for_research, monkeypatch, answer
):
    monkeypatch.setattr(models_command, "_somebody_is_there", lambda: True)
    with pytest.raises(ModelError, match="not accepted, so nothing was done"):
        run("add", "sam-med3d", small_file, answer=answer)
    assert registry.registered() == {}
    printed = run("add", "sam-med3d", small_file, answer="yes\n")
    assert "published under CC-BY-NC-SA-4.0 at https://huggingface.co/blueyo0/SAM-Med3D" in printed
    assert registry.registered()["sam-med3d"].licence == "CC-BY-NC-SA-4.0"


def test_where_nobody_can_be_asked_such_a_licence_has_to_be_accepted_beforehand(small_file, for_research):
    with pytest.raises(ModelError, match="nobody here to ask; read it, then run the command again with --yes"):
        run("add", "sam-med3d", small_file, answer="yes\n")
    assert registry.registered() == {}
    run("add", "sam-med3d", small_file, "--yes")
    assert registry.registered()["sam-med3d"].path == str(small_file)


def test_a_free_licence_is_told_and_nothing_asked(small_file):
    printed = run("add", "sam-med3d", small_file)
    assert "published under Apache-2.0" in printed and "accept" not in printed
    assert registry.registered()["sam-med3d"].licence == "Apache-2.0"


def test_what_was_added_is_in_the_list_of_models_with_its_licence(small_file):
    assert "sam-med3d" not in [card.name for card in catalog.installed()]
    run("add", "sam-med3d", small_file)
    (card,) = [card for card in catalog.installed() if card.name == "sam-med3d"]
    assert card.licence == "Apache-2.0" and card.title == "SAM-Med3D"


def test_a_file_that_is_not_the_models_is_not_added(tmp_path):
    torch.save({"conv.weight": torch.zeros(100)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"other\.pth are not those of SAM-Med3D"):
        run("add", "sam-med3d", tmp_path / "other.pth", "--accept-licence")
    assert registry.registered() == {}


@pytest.mark.parametrize(
    ("name", "sentence"), [("nano", "takes no weights file"), ("sam-med", "did you mean 'sam-med3d'")]
)
def test_only_models_that_take_a_file_are_added(small_file, name, sentence):
    with pytest.raises(ModelError, match=sentence):
        run("add", name, small_file, "--accept-licence")
    assert registry.registered() == {}


def test_without_torch_nothing_is_added_and_the_sentence_says_what_is_missing(small_file, monkeypatch):
    monkeypatch.setattr(catalog, "missing_packages", lambda card: card.needs)
    with pytest.raises(ModelError, match="needs torch, safetensors; install it"):
        run("add", "sam-med3d", small_file, "--accept-licence")


def test_what_was_removed_is_not_here_any_more(small_file):
    run("add", "sam-med3d", small_file, "--accept-licence")
    assert "the file stays" in run("remove", "sam-med3d") and small_file.is_file()
    assert "needs sam_med3d_turbo.pth" in run()
    with pytest.raises(ModelError, match="No file was added"):
        run("remove", "sam-med3d")


def test_weights_with_boxes_take_boxes(tmp_path, monkeypatch):
    monkeypatch.setattr("memseg.segmenters.sam_weights.SamConfig", lambda encoder, boxes: small_config(boxes))
    torch.save(small_sam(boxes=True).state_dict(), tmp_path / "sam_med3d_turbo_bbox_cvpr.pth")
    run("add", "sam-med3d", tmp_path / "sam_med3d_turbo_bbox_cvpr.pth", "--accept-licence")
    assert "box" in build("sam-med3d", "cpu").card.prompts


def test_two_answers_of_one_model_share_the_network(small_file):
    run("add", "sam-med3d", small_file, "--accept-licence")
    assert build("sam-med3d", "cpu") is build("sam-med3d", "cpu")
    assert np.isfinite(build("sam-med3d", "cpu")._engine.network.mask_decoder.mask_tokens.weight.numpy()).all()
