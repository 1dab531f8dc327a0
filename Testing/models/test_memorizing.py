"""Memorizing SAM from images that a user had remembered to an answer that leans on them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import turned_grid
from published import filled
from sam_scenes import CENTRE, GRID, OBJECT, bright
from small_sam import EDGE, small_config, small_encoder, small_student
from typer.testing import CliRunner

from memseg import catalog, registry, write_segmentation
from memseg.build import _built, build
from memseg.cli import app
from memseg.errors import MemSegError, ModelError
from memseg.geometry import Box
from memseg.memory.bank import Bank
from memseg.memory.recall_files import RecallFolder
from memseg.networks.fastsam3d import StudentConfig, StudentEncoder
from memseg.networks.memorizing_sam import MemorizingSam
from memseg.networks.sam_med3d import SamMed3D
from memseg.prompts import Click
from memseg.segmenters import memorizing as module
from memseg.segmenters.memorizing import MemorizingSegmenter, left_behind, memorizing, tokens_of
from memseg.segmenters.sam_med3d import FastSam3DSegmenter
from memseg.segmenters.surroundings import surroundings_of
from memseg.session import Session
from memseg.volume import Volume

CLICKS = (Click(CENTRE), Click((9, 28, 44)), Click((4, 12, 20), positive=False), Click((10, 20, 30)))
SURE = 40.0  # times as large as random tokens and masks, so that small differences show in the answer


def student() -> StudentConfig:
    return small_student(depth=6, without_attention=2)


def fastsam3d() -> SamMed3D:
    network = filled(SamMed3D(small_config(), StudentEncoder(student())))
    network.mask_decoder.mask_tokens.weight.data.mul_(SURE)
    return network


def around(volume: Volume, number: int, truth: np.ndarray = OBJECT):
    box = Box.of_mask(truth)
    return surroundings_of(volume, box, truth[box.slices], f"{number:032x}")


def other_image(seed: int) -> Volume:
    grid = turned_grid((24, 60, 64))
    noise = np.random.default_rng(seed).normal(200, 60, grid.shape_kji)
    noise[6:14, 20:40, 20:40] += 100 * seed
    return Volume(noise.astype(np.float32), grid)


def with_bank(local_share: float, *seeds: int) -> MemorizingSam:
    network = memorizing(fastsam3d(), local_share=local_share)
    there = np.zeros((24, 60, 64), np.uint8)
    there[6:14, 20:40, 20:40] = 1
    network.remembered = tuple(
        tokens_of(left_behind(network, around(other_image(seed), seed, there))) for seed in seeds
    )
    return network


def answers(segmenter: FastSam3DSegmenter | MemorizingSegmenter) -> list[np.ndarray]:
    """The logits the network is left with after each click, which the mask is read from."""
    session = Session(bright(), segmenter)
    for click in CLICKS:
        session.add(click)
    return [entry.dense[0] for entry in session.memory.entries]


# -- what the bank changes ---------------------------------------------------------------------------------------------


def test_with_a_local_share_of_one_the_session_is_fastsam3ds_bit_for_bit():
    plain, leaning = Session(bright(), FastSam3DSegmenter(fastsam3d(), "cpu")), None
    leaning = Session(bright(), MemorizingSegmenter(with_bank(1.0, 1, 2, 3), "cpu"))
    for click in CLICKS:
        plain.add(click)
        leaning.add(click)
        assert np.array_equal(plain.mask_kji, leaning.mask_kji)
    for ours, theirs in zip(leaning.memory.entries, plain.memory.entries):
        assert np.array_equal(ours.dense, theirs.dense) and np.array_equal(ours.sparse, theirs.sparse)


def test_with_nothing_in_the_bank_it_is_fastsam3d_and_says_once_how_to_fill_it():
    plain = answers(FastSam3DSegmenter(fastsam3d(), "cpu"))
    segmenter = MemorizingSegmenter(with_bank(0.3), "cpu")
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(answers(segmenter), plain))
    session = Session(bright(), MemorizingSegmenter(with_bank(0.3), "cpu"))
    session.add(CLICKS[0])
    assert "memseg recall add IMAGE MASK NAME --keep-image" in session.note
    session.add(CLICKS[1])
    assert "recall add" not in session.note


def test_what_is_in_the_bank_changes_the_answer_and_the_nearest_count():
    plain = answers(FastSam3DSegmenter(fastsam3d(), "cpu"))
    leaning = answers(MemorizingSegmenter(with_bank(0.3, 1, 2, 3), "cpu"))
    assert all(not np.allclose(ours, theirs, rtol=1e-2) for ours, theirs in zip(leaning, plain))
    again = answers(MemorizingSegmenter(with_bank(0.3, 3, 1, 2), "cpu"))  # the same bank in another order
    assert all(np.allclose(ours, theirs, atol=1e-3) for ours, theirs in zip(leaning, again))


def test_surroundings_leave_behind_what_the_network_would_see_there():
    """Kept at the structure's centre and read again, they are the window that a click there opens."""
    volume, network = bright(), memorizing(fastsam3d())
    centre_kji = np.argwhere(OBJECT).mean(axis=0)
    shown = []
    network.encode = lambda image: shown.append(image) or network.image_encoder(image)
    MemorizingSegmenter(network, "cpu").predict(
        volume, (module.Numbered(1, Click(tuple(centre_kji))),), np.zeros(volume.shape_kji, np.uint8), None
    )
    live = network.image_encoder.left_behind(shown[0])
    kept = tokens_of(left_behind(network, around(volume, 1)))
    assert shown[0].shape == (1, 1, EDGE, EDGE, EDGE)
    assert torch.allclose(kept.found_by, live.found_by, atol=1e-4)
    assert torch.allclose(kept.keys.float(), live.keys, atol=1e-2)
    assert torch.allclose(kept.values.float(), live.values, atol=1e-2)


# -- from the command line to an answer --------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "registry"))
    monkeypatch.setenv("MEMSEG_RECALL", str(tmp_path / "recall"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("memseg.segmenters.sam_weights.SamConfig", lambda encoder, boxes: small_config(boxes))
    monkeypatch.setattr("memseg.segmenters.sam_weights.StudentConfig", student)
    monkeypatch.setattr("memseg.segmenters.sam_weights.EncoderConfig", small_encoder)
    _built.cache_clear()
    yield
    _built.cache_clear()


def memseg(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


@pytest.fixture
def weights(tmp_path) -> Path:
    torch.save({"model_state_dict": fastsam3d().state_dict()}, tmp_path / "FastSAM3D.pth")
    memseg("models", "add", "fastsam3d", tmp_path / "FastSAM3D.pth")
    return tmp_path / "FastSAM3D.pth"


@pytest.fixture
def remembered(tmp_path) -> Bank:
    """Two structures of an image, one of them with the image round it."""
    truth = OBJECT.astype(np.uint8)
    write_segmentation(tmp_path / "mask.nii.gz", {"object": truth}, Volume(truth, GRID))
    import SimpleITK as sitk

    image = sitk.ReadImage(str(tmp_path / "mask.nii.gz"))
    filled_in = sitk.GetImageFromArray(bright().array_kji.astype(np.float32))
    filled_in.CopyInformation(image)
    sitk.WriteImage(filled_in, str(tmp_path / "image.nii.gz"))
    memseg("recall", "add", tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz", "left kidney", "--keep-image")
    memseg("recall", "add", tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz", "spleen")
    return Bank(tmp_path / "recall")


def test_what_is_remembered_with_its_image_is_what_the_model_leans_on(weights, remembered):
    assert len(remembered.identities()) == 1
    printed = memseg("recall", "bank")
    assert f"{remembered.identities()[0][:8]} left kidney" in printed and "spleen" not in printed
    assert "1 structure, " in printed and "--model memorizing-sam leans on them" in printed
    segmenter = build("memorizing-sam", "cpu")
    assert isinstance(segmenter, MemorizingSegmenter) and len(segmenter._engine.network.remembered) == 1
    session = Session(bright(), segmenter)
    session.add(CLICKS[0])
    assert session.model == "memorizing-sam" and "recall add" not in session.note


def test_what_the_network_made_of_an_image_is_kept_and_made_again_for_other_weights(
    weights, remembered, tmp_path, monkeypatch
):
    first = build("memorizing-sam", "cpu")._engine.network.remembered[0]
    _built.cache_clear()
    made = []
    monkeypatch.setattr(module, "left_behind", lambda *given: made.append(1) or left_behind(*given))
    again = build("memorizing-sam", "cpu")._engine.network.remembered[0]
    assert not made and torch.equal(first.keys, again.keys) and torch.equal(first.found_by, again.found_by)
    changed = fastsam3d()
    changed.image_encoder.patch_embed.proj.bias.data.add_(0.1)
    torch.save(changed.state_dict(), tmp_path / "other.pth")
    memseg("models", "add", "fastsam3d", tmp_path / "other.pth")
    _built.cache_clear()
    other = build("memorizing-sam", "cpu")._engine.network.remembered[0]
    assert made == [1] and not torch.equal(first.found_by, other.found_by)
    assert len(list(remembered.path.iterdir())) == 2  # the surroundings, and what these weights made of them


def test_the_images_kept_last_are_leaned_on_where_there_are_too_many(weights, remembered, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST", 1)
    memseg("recall", "add", tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz", "liver", "--keep-image")
    assert len(remembered.identities()) == 2
    assert len(build("memorizing-sam", "cpu")._engine.network.remembered) == 1
    titles = {entry.identity: entry.title for entry in RecallFolder(tmp_path / "recall").read()[0]}
    (prepared,) = (path.stem.split("-")[0] for path in remembered.path.glob("*-*.safetensors"))
    assert titles[prepared] == "liver"


def test_damaged_surroundings_are_left_out_with_a_warning(weights, remembered, caplog):
    (path,) = remembered.path.iterdir()
    path.write_bytes(b"damaged")
    with caplog.at_level(logging.WARNING):
        assert build("memorizing-sam", "cpu")._engine.network.remembered == ()
    assert "damaged and left out" in caplog.text and path.stem not in caplog.text


def test_what_another_size_of_network_left_is_made_again(weights, remembered):
    build("memorizing-sam", "cpu")
    (path,) = remembered.path.glob("*-*.safetensors")
    identity, digits = path.stem.split("-")
    small = module.Remembered(identity, np.zeros((1, 2, 3)), np.zeros((1, 2, 3)), np.zeros(4))
    remembered.prepare(small, digits)
    _built.cache_clear()
    assert build("memorizing-sam", "cpu")._engine.network.remembered[0].keys.shape == (2, 64, 12)


def test_forgetting_the_structure_forgets_its_image_and_the_bank_can_be_emptied(weights, remembered, tmp_path):
    build("memorizing-sam", "cpu")
    assert "1 structure is deleted" in memseg("recall", "bank", "--clear")
    assert list(remembered.path.iterdir()) == [] and len(RecallFolder(tmp_path / "recall").read()[0]) == 2
    assert "No structure was remembered with its image" in memseg("recall", "bank")
    memseg("recall", "add", tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz", "liver", "--keep-image")
    memseg("recall", "remove", remembered.identities()[0][:12])
    assert remembered.identities() == ()


# -- its weights are FastSAM3D's ---------------------------------------------------------------------------------------


def test_it_is_installed_as_soon_as_fastsam3d_is(tmp_path):
    card = catalog.card("memorizing-sam")
    assert card not in catalog.installed() and card.licence == "Apache-2.0"
    with pytest.raises(ModelError, match="memseg models get fastsam3d downloads them"):
        build("memorizing-sam")
    torch.save(fastsam3d().state_dict(), tmp_path / "fast.pth")
    memseg("models", "add", "fastsam3d", tmp_path / "fast.pth")
    assert card in catalog.installed() and isinstance(build("memorizing-sam", "cpu"), MemorizingSegmenter)


def test_a_file_is_added_under_fastsam3ds_name(weights):
    with pytest.raises(MemSegError, match="runs with the weights of fastsam3d; give that name"):
        memseg("models", "add", "memorizing-sam", weights)
    printed = memseg("models", "show", "memorizing-sam")
    assert registry.registered()["fastsam3d"].sha256 in printed.replace(" ", "")


def test_weights_that_have_changed_are_refused(weights):
    weights.write_bytes(b"other")
    with pytest.raises(
        ModelError, match="have changed since they were added; add it again: memseg models add fastsam3d"
    ):
        build("memorizing-sam", "cpu")
