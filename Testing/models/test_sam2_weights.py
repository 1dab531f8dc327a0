"""Files of SAM 2, SAM 2.1 and MedSAM2: loaded as their authors write them, and refused in a sentence otherwise."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fakes import ellipsoid
from safetensors.torch import save_file
from small_sam2 import published_file, small_config, small_sam2
from typer.testing import CliRunner

from memseg import catalog, registry
from memseg.build import _built, build, build_slices
from memseg.errors import ModelError
from memseg.geometry import Grid
from memseg.models_command import app
from memseg.networks.sam2 import Sam2
from memseg.networks.sam2_names import POINTS, published_names
from memseg.prompts import Click
from memseg.segmenters import sam2_weights
from memseg.segmenters.base import Segmenter
from memseg.segmenters.slice_base import SliceSegmenter
from memseg.session import new_session
from memseg.volume import Volume

CARD = catalog.card("medsam2")
NAMES = ("medsam2", "sam2-tiny", "sam2-small", "sam2-base-plus", "sam2-large")


def load(path: Path) -> Sam2:
    return sam2_weights.load(path, CARD, small_config())


def test_the_authors_file_loads_weight_by_weight(tmp_path):
    weights = published_file(tmp_path / "MedSAM2_latest.pt")
    network = load(tmp_path / "MedSAM2_latest.pt")
    for name, value in network.model.state_dict().items():
        assert torch.equal(value, torch.cat([weights[source] for source in published_names(name)])), name
    assert network.model.state_dict()[POINTS].shape == (4, 128)
    assert not network.training and not any(each.requires_grad for each in network.parameters())


def test_a_loaded_network_answers_as_the_one_that_was_saved(tmp_path):
    published_file(tmp_path / "sam2.pt")
    image = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        loaded, made = (network.encode(image).coarse for network in (load(tmp_path / "sam2.pt"), small_sam2()))
    assert torch.equal(loaded, made)


def test_a_file_of_sam_2_makes_a_network_without_what_2_1_has_added(tmp_path):
    published_file(tmp_path / "sam2_hiera_tiny.pt", times_pointers=False, marks_absence=False)
    config = load(tmp_path / "sam2_hiera_tiny.pt").config
    assert not config.times_pointers and not config.marks_absence
    published_file(tmp_path / "sam2.1_hiera_tiny.pt")
    config = load(tmp_path / "sam2.1_hiera_tiny.pt").config
    assert config.times_pointers and config.marks_absence


def test_safetensors_under_the_authors_names_load_too(tmp_path):
    save_file(published_file(tmp_path / "sam2.pt"), str(tmp_path / "sam2.safetensors"))
    load(tmp_path / "sam2.safetensors")


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_missing_and_unknown_weights_are_named_as_in_the_file(tmp_path):
    weights = published_file(tmp_path / "sam2.pt")
    weights["image_encoder.trunk.extra"] = weights.pop("no_obj_ptr")
    torch.save({"model": weights}, tmp_path / "sam2.pt")
    with pytest.raises(ModelError) as caught:
        load(tmp_path / "sam2.pt")
    assert str(caught.value) == (
        "The weights sam2.pt are not those of MedSAM2: they lack no_obj_ptr and hold image_encoder.trunk.extra "
        "besides; use MedSAM2_latest.pt as its authors publish it."
    )


def test_another_size_is_said_with_both_shapes(tmp_path):
    published_file(tmp_path / "sam2.pt", widths=(32, 64, 128, 256))
    with pytest.raises(
        ModelError, match=r"of another size of MedSAM2: .* \(1 x 32 x 3 x 3 instead of 1 x 16 x 3 x 3\)"
    ):
        load(tmp_path / "sam2.pt")


def test_a_deeper_one_holds_weights_besides(tmp_path):
    published_file(tmp_path / "sam2.pt", depths=(1, 1, 3, 1))
    with pytest.raises(ModelError, match="hold image_encoder.trunk.blocks.5"):
        load(tmp_path / "sam2.pt")


def test_weights_under_transformers_names_are_not_taken_for_the_authors(tmp_path):
    torch.save(small_sam2().model.state_dict(), tmp_path / "pytorch_model.pt")
    with pytest.raises(ModelError, match="are not those of MedSAM2"):
        load(tmp_path / "pytorch_model.pt")


@pytest.mark.parametrize("kept", [0, 100, 50_000, -1])
def test_a_file_cut_short_is_refused(tmp_path, kept):
    published_file(tmp_path / "sam2.pt")
    (tmp_path / "sam2.pt").write_bytes((tmp_path / "sam2.pt").read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"too small|cut short|damaged|no checkpoint"):
        load(tmp_path / "sam2.pt")


class Trap:
    def __reduce__(self):
        return (open, ("trapped", "w"))


def test_code_in_a_file_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": published_file(tmp_path / "sam2.pt"), "args": Trap()}, tmp_path / "sam2.pt")
    with pytest.raises(ModelError, match="which could run code"):
        load(tmp_path / "sam2.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps([Trap()] * 100))
    with pytest.raises(ModelError, match="no checkpoint of PyTorch"):
        load(tmp_path / "bare.pt")
    assert not (tmp_path / "trapped").exists()


# -- cards, and one model for both tasks -------------------------------------------------------------------------------


@pytest.fixture
def small_medsam2(tmp_path, monkeypatch):
    """A file with weights of a small network, a list of its own, and a reader that expects one."""
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "registry"))
    monkeypatch.setitem(sam2_weights.CONFIGS, "medsam2", small_config())
    _built.cache_clear()
    published_file(tmp_path / "MedSAM2_latest.pt")
    yield tmp_path / "MedSAM2_latest.pt"
    _built.cache_clear()


def added(path: Path, *more: str) -> str:
    done = CliRunner().invoke(app, ["add", "medsam2", str(path), *more])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_a_file_that_was_added_answers_prompts_and_follows_slices_with_one_network(small_medsam2):
    assert "--model medsam2" in added(small_medsam2, "--accept-licence")
    truth = ellipsoid((8, 40, 40), (4, 20, 20), (2, 8, 8))
    session = new_session(Volume(truth * 100.0, Grid.from_spacing((8, 40, 40), (3, 1, 1))), "medsam2", "cpu")
    session.add(Click((4, 20, 20)))
    assert session.mask_kji[4, 20, 20] == 1 and session.slice_model == "medsam2"
    segmenter = build("medsam2", "cpu")
    assert build_slices("medsam2", "cpu") is segmenter
    assert isinstance(segmenter, Segmenter) and isinstance(segmenter, SliceSegmenter)


def test_medsam2s_licence_is_asked_for_as_its_card_has_it(small_medsam2):
    assert CARD.licence == "CC BY-SA 4.0, for research and education only" and catalog.needs_a_yes(CARD)
    with pytest.raises(ModelError, match="licence"):
        added(small_medsam2)
    assert registry.registered() == {}


@pytest.mark.parametrize("name", NAMES)
def test_every_card_says_where_its_weights_are_and_has_a_size_of_its_own(name):
    card = catalog.card(name)
    assert card.weights == card.files[0].name and card.size_mb == card.files[0].size_mb and card.hardware
    assert {"click", "box", "mask"} == card.prompts and card in catalog.slice_cards()
    with torch.device("meta"):
        network = Sam2(sam2_weights.CONFIGS[name])
    assert sum(each.numel() for each in network.parameters()) * 4 / 1e6 == pytest.approx(card.size_mb, abs=0.5)


def test_without_transformers_the_sentence_says_what_to_install(small_medsam2, monkeypatch):
    monkeypatch.setattr(catalog, "find_spec", lambda package: None if package == "transformers" else object())
    with pytest.raises(ModelError, match="needs transformers; install it with: pip install transformers, or choose"):
        build("medsam2")


def test_nothing_of_transformers_is_loaded_before_a_network_is_made():
    code = (
        "import sys, memseg, memseg.catalog, memseg.build\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])\n"
        "import memseg.segmenters.sam2\n"
        "print('transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60)
    assert done.stdout.split("\n")[:2] == ["[]", "False"], done.stderr
