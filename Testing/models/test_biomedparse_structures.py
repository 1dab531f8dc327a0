"""Structures of labelled volumes as words: shards keep their names, and stacks are shown and asked about by them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from typer.testing import CliRunner

from memseg.errors import FileError
from memseg.segmenters.biomedparse_engine import Engine
from memseg.training import checkpoint, shards
from memseg.training.biomedparse_trainer import NamedSupply, NamingTrainer
from memseg.training.chance import generator
from memseg.training.command import app
from memseg.training.named_stacks import WordList, named_stack
from memseg.training.named_structures import NamedVolume, names_in, sentence_of, volumes_of

CPU = torch.device("cpu")
TO_LPS = np.diag([-1.0, -1.0, 3.0, 1.0])  # columns to the left, rows to the back, slices to the head
NAMES = ("heart", "kidney_left")
VOCABULARY = WordList(("heart", "kidney"))


def labels() -> np.ndarray:
    """14 slices of 32 x 32: the heart in the first nine, the kidney from the tenth on, at the greatest columns."""
    found = np.zeros((14, 32, 32), np.uint8)
    found[:9, 4:16, 4:16] = 1
    found[9:, 16:28, 20:30] = 2
    return found


def shard_of(lies: np.ndarray = TO_LPS, names: tuple[str, ...] = NAMES, turned: bool = False) -> shards.Shard:
    found = labels()[::-1, :, ::-1] if turned else labels()
    image = np.where(found > 0, 60.0 * found, -900.0) + np.arange(32) * 0.1
    return shards.Shard.of(np.ascontiguousarray(found), (3.0, 1.0, 1.0), False, image, names, lies)


# -- shards keep names -------------------------------------------------------------------------------------------------


def test_a_shard_keeps_names_and_how_the_volume_lies(tmp_path):
    shards.write(tmp_path / "a.npz", shard_of())
    (back,) = shards.read(tmp_path)
    assert back.names == NAMES and np.array_equal(back.ijk_to_ras, TO_LPS)


def test_a_shard_without_names_still_reads(tmp_path):
    shards.write(tmp_path / "a.npz", shards.Shard.of(labels(), (3.0, 1.0, 1.0), True, labels() * 5.0))
    (back,) = shards.read(tmp_path)
    assert back.names == () and back.ijk_to_ras is None and back.watch


@pytest.mark.parametrize("wrong", [{"lies": None}, {"lies": np.eye(3)}])
def test_names_without_a_place_are_refused(wrong):
    with pytest.raises(ValueError, match="known how it lies"):
        shard_of(**wrong)


def test_a_file_whose_names_have_no_place_is_a_damaged_shard(tmp_path):
    shards.write(tmp_path / "a.npz", shard_of())
    arrays = dict(np.load(tmp_path / "a.npz"))
    np.savez(tmp_path / "a.npz", **{name: value for name, value in arrays.items() if name != "ijk_to_ras"})
    with pytest.raises(FileError, match=r"a\.npz is no shard, or damaged"):
        shards.read(tmp_path)


def dataset(folder) -> None:
    """One training subject, whose manifest names the labels in another order than their values."""
    image = sitk.GetImageFromArray(np.where(labels() > 0, 60.0 * labels(), -900.0).astype(np.float32))
    mask = sitk.GetImageFromArray(labels())
    for each in (image, mask):
        each.SetSpacing((1.0, 1.0, 3.0))
    sitk.WriteImage(image, str(folder / "image.nii.gz"))
    sitk.WriteImage(mask, str(folder / "label.nii.gz"))
    record = {"id": "a", "image": "image.nii.gz", "label": "label.nii.gz", "labels": {"kidney_left": 2, "heart": 1}}
    (folder / "manifest.json").write_text(json.dumps([{**record, "modality": "CT", "subject": "nobody"}]))


def test_preparing_a_data_set_keeps_the_manifests_names(tmp_path):
    dataset(tmp_path)
    list(shards.prepare(tmp_path, tmp_path / "out"))
    (shard,) = shards.read(tmp_path / "out")
    assert sorted(shard.names) == sorted(NAMES)
    heart = shard.names.index("heart") + 1
    assert np.array_equal(shard.labels == heart, labels() == 1)
    assert np.allclose(shard.ijk_to_ras, TO_LPS)


# -- what is shown and asked -------------------------------------------------------------------------------------------


def test_only_names_of_at_least_four_volumes_are_learned():
    several = [shard_of()] * 3 + [shard_of(names=("heart", "spleen"))]
    assert names_in(tuple(several)) == ("heart",)
    assert names_in(tuple(several[:3])) == ()


def test_a_name_is_said_word_by_word():
    assert sentence_of("kidney_left") == "kidney left"


def test_slices_are_turned_to_the_head_the_back_and_the_left():
    straight = NamedVolume(shard_of(), 32, NAMES)
    turned = NamedVolume(shard_of(np.diag([1.0, -1.0, -3.0, 1.0]), turned=True), 32, NAMES)
    assert torch.equal(straight.mask("kidney_left"), turned.mask("kidney_left"))
    assert torch.equal(straight.mask("heart"), torch.from_numpy(labels() == 1))


def test_an_image_is_shown_in_the_window_of_what_is_named():
    volume = NamedVolume(shard_of(), 32, NAMES)
    window = volume.window("heart")
    image = volume.image(window)
    assert (window.low, window.high) == (-150, 250) and image.shape == (14, 32, 32)
    assert float(image[4, 10, 10]) == pytest.approx((60 + 150) / 400 * 255, abs=3) and float(image[4, 20, 20]) == 0


def test_what_is_too_small_to_be_seen_is_not_asked_for():
    small = labels()
    small[small == 2] = 0
    small[9:, 20, 20:22] = 2
    image = np.where(small > 0, 60.0 * small, -900.0)
    shard = shards.Shard.of(small, (3.0, 1.0, 1.0), False, image, NAMES, TO_LPS)
    assert NamedVolume(shard, 32, NAMES).names == ("heart",)
    assert volumes_of((shard,), 32, ("kidney_left",)) == ()


def test_a_volume_whose_labels_have_no_names_is_refused():
    plain = shards.Shard.of(labels(), (3.0, 1.0, 1.0), False, labels() * 5.0)
    with pytest.raises(ValueError, match="keep their names"):
        NamedVolume(plain, 32, NAMES)
    assert volumes_of((plain,), 32, NAMES) == ()


def test_questions_about_the_same_slices_name_what_is_and_what_is_not_in_them():
    volume = NamedVolume(shard_of(), 32, NAMES)
    seen = set()
    for number in range(12):
        asked = volume.asked(generator(CPU, 1, number), 4, VOCABULARY, 2)
        assert len(asked) == 2 and asked[0].target.any() and asked[0].image is asked[1].image
        for each in asked:
            place = NAMES.index(each.sentence.replace(" ", "_"))
            assert each.image.shape == (4, 32, 32) and each.ids.tolist() == [list(VOCABULARY.encode(each.sentence))]
            held = bool((each.target[:, 16:, 20:] > 0).any()) if place else bool((each.target[:, :16, :16] > 0).any())
            assert held == bool(each.target.any()) and not each.hard.any()
            seen.add((place, held))
    assert seen == {(0, True), (0, False), (1, True), (1, False)}


def test_a_volume_of_fewer_slices_is_asked_about_in_all_it_has():
    (asked,) = NamedVolume(shard_of(), 32, NAMES).asked(generator(CPU, 1), 20, VOCABULARY, 1, vary=False)
    assert len(asked.image) == 14


def test_what_is_varied_is_the_image_alone():
    volume = NamedVolume(shard_of(), 32, NAMES)
    plain = volume.asked(generator(CPU, 2), 4, VOCABULARY, 1, vary=False)[0]
    varied = volume.asked(generator(CPU, 2), 4, VOCABULARY, 1)[0]
    assert torch.equal(plain.target, varied.target) and not torch.allclose(plain.image, varied.image, atol=1)


def test_a_share_of_the_stacks_is_of_volumes():
    volumes = volumes_of((shard_of(),), 32, NAMES)
    supply = NamedSupply(6, 32, VOCABULARY, volumes=volumes, share=0.5)
    said = [supply.stack(generator(CPU, 4, number)).sentence for number in range(40)]
    real = sum(sentence in ("heart", "kidney left") for sentence in said)
    assert 8 < real < 32
    assert all("object" in NamedSupply(6, 32).stack(generator(CPU, 4, number)).sentence for number in range(6))


# -- the command -------------------------------------------------------------------------------------------------------


def run(*arguments: object):
    return CliRunner().invoke(app, ["biomedparse-memory", *map(str, arguments)])


def test_a_network_learns_the_names_in_the_shards_and_keeps_them_with_it(tmp_path):
    for number in range(4):
        (tmp_path / "shards").mkdir(exist_ok=True)
        shards.write(tmp_path / "shards" / f"{number}.npz", shard_of())
    watched = shard_of()
    shards.write(tmp_path / "shards" / "w.npz", shards.Shard(**{**vars(watched), "watch": True}))
    options = ["--device", "cpu", "--slices", 4, "--batch", 1, "--network-batch", 2, "--watched-objects", 1]
    steps = ["--network-steps", 1, "--steps", 1]
    done = run("--out", tmp_path / "run", "--shards", tmp_path / "shards", *steps, *options)
    assert done.exception is None and "Put biomedparse-memory.safetensors beside" in done.output
    trainer = NamingTrainer.resumed(checkpoint.load(tmp_path / "run" / "network" / "checkpoint"), CPU)
    assert trainer.plan.names == NAMES and trainer.plan.network.text.vocabulary == len(VOCABULARY)


def test_shards_without_names_are_refused(tmp_path):
    shards.write(tmp_path / "a.npz", shards.Shard.of(labels(), (3.0, 1.0, 1.0), False, labels() * 5.0))
    done = run("--out", tmp_path / "run", "--shards", tmp_path)
    assert isinstance(done.exception, FileError) and "make them again" in str(done.exception)


# -- the benchmark -----------------------------------------------------------------------------------------------------


def test_correcting_slices_does_not_change_the_score_of_the_first_answer(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    from biomedparse_playing import ROWS, Brightness, Player

    engine = Engine(Brightness(), WordList(), "BiomedParse", "cpu")
    for number in range(6):
        stack = named_stack(generator(CPU, 77, number), 20, 64, WordList(), ("bright",))
        player = Player.of(engine, stack)
        for use in (ROWS["no memory"], ROWS["recent"]):
            corrected, untouched = player.score(use, True), player.score(use, False)
            assert corrected.dice == untouched.dice
            if corrected.prompts:
                break
        else:
            continue
        break
    else:
        raise AssertionError("none of the stacks needed a correction, so that nothing was tried")
