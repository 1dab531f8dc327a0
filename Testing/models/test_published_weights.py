"""Weights a user brings: what others publish is read and fitted name by name, and nothing in it is ever run."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from collections import Counter, OrderedDict
from copy import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from published import filled
from safetensors.torch import save_file
from small_sam import small_config, small_encoder, small_sam, small_student

from memseg import catalog
from memseg.errors import ModelError
from memseg.networks.fastsam3d import StudentEncoder
from memseg.networks.sam_med3d import SamMed3D
from memseg.segmenters import published_weights
from memseg.segmenters.sam_weights import load_fastsam3d, load_sam_med3d

CARD = catalog.card("sam-med3d")
WEIGHTS = small_sam().state_dict()


def load(path: Path) -> SamMed3D:
    return load_sam_med3d(path, small_encoder())


@pytest.fixture(autouse=True)
def small_decoder(monkeypatch):
    """The files here are of a small network throughout."""
    monkeypatch.setattr("memseg.segmenters.sam_weights.SamConfig", lambda encoder, boxes: small_config(boxes))


def same(network: SamMed3D, weights: dict[str, Any]) -> bool:
    ours = network.state_dict()
    return ours.keys() == weights.keys() and all(
        torch.equal(value, weights[name].float()) for name, value in ours.items()
    )


def training_checkpoint() -> dict[str, Any]:
    """What a training script leaves: weights, an optimizer's and a schedule's state, and its settings."""
    network = SamMed3D(small_config())
    network.load_state_dict(WEIGHTS)
    optimizer = torch.optim.AdamW(network.parameters())
    network.prompt_encoder.no_mask_embed.weight.sum().backward()
    optimizer.step()
    return {
        "epoch": 3,
        "model_state_dict": OrderedDict(WEIGHTS),
        "optimizer_state_dict": optimizer.state_dict(),
        "lr_scheduler_state_dict": {"milestones": Counter({120: 1, 180: 1})},
        "losses": [0.5, 0.4],
        "args": argparse.Namespace(lr=8e-4, device=torch.device("cuda:0"), work_dir="work"),
    }


# -- what is read ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.pth", WEIGHTS),
        ("plain.PT", WEIGHTS),
        ("nested.pth", {"model_state_dict": WEIGHTS, "epoch": 3}),
        ("lightning.ckpt", {"state_dict": {f"model.{name}": value for name, value in WEIGHTS.items()}, "epoch": 3}),
        ("parallel.pth", {"model": {f"module.{name}": value for name, value in WEIGHTS.items()}}),
        ("compiled.pth", {f"_orig_mod.module.{name}": value for name, value in WEIGHTS.items()}),
        ("half.pth", {name: value.bfloat16() for name, value in WEIGHTS.items()}),
        ("trained.pth", training_checkpoint()),
    ],
)
def test_a_checkpoint_is_read_however_its_weights_are_wrapped(tmp_path, name, content):
    torch.save(content, tmp_path / name)
    network = load(tmp_path / name)
    expected = {key: value.bfloat16() for key, value in WEIGHTS.items()} if name == "half.pth" else WEIGHTS
    assert same(network, expected)
    assert not network.training and not any(each.requires_grad for each in network.parameters())
    assert all(each.dtype == torch.float32 for each in network.parameters())


def test_safetensors_are_read(tmp_path):
    save_file(dict(WEIGHTS), str(tmp_path / "sam.safetensors"))
    assert same(load(tmp_path / "sam.safetensors"), WEIGHTS)


def test_a_loaded_network_does_not_hang_on_its_file(tmp_path):
    path = tmp_path / "sam.pth"
    torch.save(WEIGHTS, path)
    network = load(path)
    path.write_bytes(b"")
    assert same(network, WEIGHTS)


def test_a_file_that_knows_box_corners_makes_a_network_that_takes_boxes(tmp_path):
    torch.save({"model_state_dict": small_sam(boxes=True).state_dict()}, tmp_path / "boxes.pth")
    assert load(tmp_path / "boxes.pth").config.boxes
    torch.save(WEIGHTS, tmp_path / "clicks.pth")
    assert not load(tmp_path / "clicks.pth").config.boxes


# -- what is refused ---------------------------------------------------------------------------------------------------


class Trap:
    def __reduce__(self):
        return (open, ("trapped", "w"))


class TrappedSettings(argparse.Namespace):
    """Pretends to be settings; the call it asks for is none of theirs."""

    def __reduce__(self):
        return (exec, ("open('trapped', 'w')",))


@pytest.mark.parametrize("trap", [Trap(), TrappedSettings()], ids=lambda trap: type(trap).__name__)
def test_code_in_a_checkpoint_does_not_run_and_the_file_is_refused(tmp_path, monkeypatch, trap):
    monkeypatch.chdir(tmp_path)
    torch.save({"model_state_dict": WEIGHTS, "args": trap}, tmp_path / "sam.pth")
    with pytest.raises(ModelError, match=r"sam\.pth holds more than weights, which could run code"):
        load(tmp_path / "sam.pth")
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("ending", [".pth", ".pt", ".ckpt"])
def test_a_bare_pickle_is_refused_and_does_not_run(tmp_path, monkeypatch, ending):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"sam{ending}"
    path.write_bytes(pickle.dumps([Trap()] * 100))
    with pytest.raises(ModelError, match="no checkpoint of PyTorch"):
        load(path)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("name", ["weights.pkl", "weights.zip", "weights", "weights.npz", "weights.pth.txt"])
def test_a_file_of_another_kind_is_refused_unopened(tmp_path, name):
    (tmp_path / name).write_bytes(b"x" * 1000)
    with pytest.raises(ModelError, match=r"give a \.safetensors, \.pth, \.pt or \.ckpt file"):
        load(tmp_path / name)


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 10, 100, 20_000, -1, -3000])
def test_a_file_that_was_cut_short_is_refused(tmp_path, ending, kept):
    path = tmp_path / f"sam{ending}"
    if ending == ".pth":
        torch.save(WEIGHTS, path)
    else:
        save_file(dict(WEIGHTS), str(path))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"too small|cut short|damaged|no checkpoint") as caught:
        load(path)
    assert "download sam_med3d_turbo.pth again" in str(caught.value)


def test_a_file_too_large_is_refused_by_its_size(tmp_path, monkeypatch):
    path = tmp_path / "sam.pth"
    torch.save(WEIGHTS, path)
    monkeypatch.setattr(published_weights, "LARGEST_BYTES", 1000)
    with pytest.raises(ModelError, match="too large to be the weights of SAM-Med3D"):
        load(path)


@pytest.mark.parametrize("content", [torch.zeros(10**6), torch.randn(1000)], ids=["small", "as-large"])
def test_a_packed_archive_which_could_unpack_without_end_is_refused_whatever_its_size(tmp_path, content):
    plain, packed = tmp_path / "plain.pth", tmp_path / "packed.pth"
    torch.save({"tensor": content}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as target:
        for record in source.infolist():
            is_tensor = "/data/" in record.filename
            kind = zipfile.ZIP_DEFLATED if is_tensor else zipfile.ZIP_STORED
            target.writestr(record.filename, source.read(record), kind)
    with pytest.raises(ModelError, match="was not written by PyTorch"):
        load(packed)


def test_an_archive_whose_records_lie_on_each_other_is_refused(tmp_path):
    path = tmp_path / "sam.pth"
    torch.save(WEIGHTS, path)
    with zipfile.ZipFile(path, "a") as archive:
        largest = max(archive.filelist, key=lambda record: record.file_size)
        for number in range(100):
            again = copy(largest)
            again.filename = f"sam/data/{1000 + number}"
            archive.filelist.append(again)
        archive.writestr("sam/note", b"")  # so that the list of records is written again
    with pytest.raises(ModelError, match="was not written by PyTorch"):
        load(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere\.pth are missing"):
        load(tmp_path / "nowhere.pth")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(ModelError, match=r"folder\.pth"):
        load(tmp_path / "folder.pth")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([1, 2, 3] * 100, "holds no named weights"),
        ({}, "holds no named weights"),
        ({"model_state_dict": {}}, "holds no named weights"),
        ({1: torch.zeros(100)}, "holds no named weights"),
        ({**WEIGHTS, "note": "text"}, "holds note, which is no tensor"),
        ({**WEIGHTS, "count": torch.zeros(3, dtype=torch.int64)}, "holds count, which is no tensor of plain numbers"),
    ],
)
def test_what_holds_no_weights_is_refused(tmp_path, content, sentence):
    torch.save(content, tmp_path / "sam.pth")
    with pytest.raises(ModelError, match=sentence):
        load(tmp_path / "sam.pth")


def test_missing_and_unknown_names_are_listed_three_at_most(tmp_path):
    renamed = {name.replace("iou_token", "iou"): value for name, value in WEIGHTS.items()}
    kept = {name: value for name, value in renamed.items() if not name.startswith("image_encoder.blocks.0.mlp")}
    torch.save(kept, tmp_path / "sam.pth")
    with pytest.raises(ModelError) as caught:
        load(tmp_path / "sam.pth")
    assert str(caught.value) == (
        "The weights sam.pth are not those of SAM-Med3D: they lack image_encoder.blocks.0.mlp.lin1.weight, "
        "image_encoder.blocks.0.mlp.lin1.bias, image_encoder.blocks.0.mlp.lin2.weight and 2 more and hold "
        "mask_decoder.iou.weight besides; use sam_med3d_turbo.pth as its authors publish it."
    )


def test_a_wrong_shape_is_said_with_both_shapes(tmp_path):
    torch.save({**WEIGHTS, "mask_decoder.mask_tokens.weight": torch.zeros(5, 24)}, tmp_path / "sam.pth")
    with pytest.raises(ModelError, match=r"mask_decoder\.mask_tokens\.weight \(5 x 24 instead of 4 x 24\)"):
        load(tmp_path / "sam.pth")


def test_a_tensor_that_claims_more_than_it_holds_is_refused_before_it_is_copied(tmp_path):
    endless = torch.zeros(1).expand(10**12)
    torch.save({**WEIGHTS, "mask_decoder.mask_tokens.weight": endless}, tmp_path / "sam.pth")
    with pytest.raises(ModelError, match="of another size"):
        load(tmp_path / "sam.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_refused(tmp_path, value):
    broken = WEIGHTS["mask_decoder.iou_token.weight"].clone()
    broken[0, 3] = value
    torch.save({**WEIGHTS, "mask_decoder.iou_token.weight": broken}, tmp_path / "sam.pth")
    with pytest.raises(ModelError, match=r"not numbers, in mask_decoder\.iou_token\.weight"):
        load(tmp_path / "sam.pth")


# -- FastSAM3D ---------------------------------------------------------------------------------------------------------


def load_fast(path: Path, teacher: Path | None = None) -> SamMed3D:
    return load_fastsam3d(path, teacher, small_student(), small_encoder())


def whole_fastsam3d() -> SamMed3D:
    return filled(SamMed3D(small_config(), StudentEncoder(small_student())))


def test_fastsam3d_may_be_one_file(tmp_path):
    torch.save(
        {"model_state_dict": whole_fastsam3d().state_dict(), "args": argparse.Namespace()}, tmp_path / "fast.pth"
    )
    assert same(load_fast(tmp_path / "fast.pth"), whole_fastsam3d().state_dict())


@pytest.mark.parametrize("prefix", ["", "image_encoder.", "module.image_encoder."])
def test_the_student_alone_goes_with_sam_med3ds_prompts_and_decoder(tmp_path, prefix):
    student = whole_fastsam3d().image_encoder.state_dict()
    torch.save({"model_state_dict": {prefix + name: value for name, value in student.items()}}, tmp_path / "fast.pth")
    torch.save(WEIGHTS, tmp_path / "sam.pth")
    network = load_fast(tmp_path / "fast.pth", tmp_path / "sam.pth")
    assert all(torch.equal(value, student[name]) for name, value in network.image_encoder.state_dict().items())
    assert torch.equal(network.mask_decoder.mask_tokens.weight, WEIGHTS["mask_decoder.mask_tokens.weight"])


def test_the_student_alone_says_what_else_it_takes(tmp_path):
    torch.save(whole_fastsam3d().image_encoder.state_dict(), tmp_path / "fast.pth")
    with pytest.raises(ModelError, match="image encoder of FastSAM3D alone.* memseg models add sam-med3d FILE"):
        load_fast(tmp_path / "fast.pth")


def test_files_of_the_two_models_are_not_taken_for_each_other(tmp_path):
    torch.save(WEIGHTS, tmp_path / "sam.pth")
    torch.save(whole_fastsam3d().state_dict(), tmp_path / "fast.pth")
    with pytest.raises(ModelError, match="not those of FastSAM3D"):
        load_fast(tmp_path / "sam.pth")
    with pytest.raises(ModelError, match="not those of SAM-Med3D"):
        load(tmp_path / "fast.pth")
