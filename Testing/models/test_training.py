"""Training: it lowers the loss, repeats itself exactly, and goes on from a checkpoint as if it had never stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from small_nano import small_config

from memseg.errors import FileError, ModelError
from memseg.segmenters import nano_weights
from memseg.training import checkpoint, losses, shards
from memseg.training.chance import generator
from memseg.training.episodes import Course, play, settled
from memseg.training.interactions import BOX, CLICK, SCRIBBLE, Gesture
from memseg.training.supply import Supply
from memseg.training.synthesis import synthetic
from memseg.training.trainer import Plan, Trainer, export, plan_from_record, plan_to_record

CPU = torch.device("cpu")
PLAN = Plan(
    network=small_config(), steps=8, warm_up=2, batch=2, edge=20, rounds=2, rate=3e-3, autocast=False, watched=2,
    watched_clicks=2,
)  # fmt: skip
SUPPLY = Supply(CPU, PLAN.edge)


def trained(steps: int, plan: Plan = PLAN) -> Trainer:
    trainer = Trainer(plan, CPU)
    for _ in range(steps):
        trainer.advance(SUPPLY)
    return trainer


def everything(trainer: Trainer) -> dict[str, torch.Tensor]:
    saved = trainer.checkpoint()
    return {f"{kind} {name}": value for kind, part in saved.tensors.items() for name, value in part.items()}


def assert_equal(first: Trainer, second: Trainer) -> None:
    assert first.step == second.step
    one, other = everything(first), everything(second)
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


# -- losses ------------------------------------------------------------------------------------------------------------


def test_the_dice_loss_of_a_hand_made_answer():
    target = torch.zeros(1, 1, 2, 2, 2)
    target[..., 0] = 1
    logits = torch.where(torch.arange(8).reshape(1, 1, 2, 2, 2) < 4, 50.0, -50.0)  # two of the four, and two wrong ones
    loss = losses.soft_dice_loss(logits, target, torch.ones_like(target))
    assert loss.item() == pytest.approx(1 - (2 * 2 + 1) / (8 + 1), abs=1e-5)
    assert losses.soft_dice_loss(100 * target - 50, target, torch.ones_like(target)).item() == pytest.approx(
        0, abs=1e-5
    )


def test_voxels_outside_the_volume_do_not_count():
    target, inside = torch.zeros(1, 1, 4, 4, 4), torch.zeros(1, 1, 4, 4, 4)
    inside[..., :2] = 1
    logits = torch.randn(1, 1, 4, 4, 4)
    other = torch.where(inside > 0, logits, 7.0)
    for loss in (losses.soft_dice_loss, losses.voxel_loss):
        assert torch.allclose(loss(logits, target, inside), loss(other, target, inside))


def test_dice_of_masks():
    one, other = torch.zeros(2, 1, 2, 2, 2), torch.zeros(2, 1, 2, 2, 2)
    one[0, 0, 0], other[0, 0, :, 0] = 1, 1
    assert losses.dice(one, other).tolist() == pytest.approx([0.5, 1.0], abs=1e-4)


# -- episodes ----------------------------------------------------------------------------------------------------------


def test_an_episode_gives_a_loss_and_a_dice_for_every_round_and_gradients_for_every_parameter():
    trainer = Trainer(PLAN, CPU)
    course = Course(rounds=3, moves=1.0, forgets=0.0)
    outcome = play(trainer.network, synthetic(generator(CPU, 1), 2, PLAN.edge), generator(CPU, 2), course)
    assert outcome.dice.shape == (3, 2) and ((outcome.dice >= 0) & (outcome.dice <= 1)).all()
    with torch.no_grad():  # the memory starts silent, so that its inner parts get gradients only once it speaks
        for last in (trainer.network.memory.read.out, trainer.network.memory.forward_part[-1]):
            last.weight.normal_(std=0.1)
    outcome = play(trainer.network, synthetic(generator(CPU, 1), 2, PLAN.edge), generator(CPU, 2), course)
    outcome.loss.backward()
    idle = {name for name, each in trainer.network.named_parameters() if each.grad is None or not each.grad.any()}
    assert idle <= {name for name in idle if name.endswith("key.bias")}  # a softmax does not see what all scores share


def test_a_positive_stroke_takes_nothing_away_a_negative_one_adds_nothing_and_a_box_does_both():
    before, after = torch.tensor([[1.0, 0.0, 1.0]] * 4), torch.tensor([[0.0, 1.0, 1.0]] * 4)
    shaped = [each.reshape(4, 1, 1, 1, 3) for each in (before, after)]
    kinds, sides = torch.tensor([CLICK, SCRIBBLE, BOX, BOX]), torch.tensor([True, False, True, False])
    points = torch.zeros(4, 3, 3)
    made = Gesture(kinds, sides, points, torch.ones(4, 3, dtype=torch.bool), torch.zeros(4).long(), shaped[0])
    found = settled(made, *shaped).reshape(4, 3).tolist()
    assert found == [[1, 1, 1], [0, 0, 1], [0, 1, 1], [0, 1, 1]]


def test_samples_that_forget_play_as_a_network_without_memory():
    forgetful = Course(rounds=3, forgets=1.0)
    remembering, without = (
        Trainer(Plan(**{**vars(PLAN), "network": small_config(each)}), CPU) for each in ("both", "none")
    )
    without.network.load_state_dict(remembering.network.state_dict(), strict=False)
    scenes = synthetic(generator(CPU, 1), 2, PLAN.edge)
    outcomes = [play(each.network, scenes, generator(CPU, 2), forgetful) for each in (remembering, without)]
    assert torch.equal(outcomes[0].dice, outcomes[1].dice)


# -- the loop ----------------------------------------------------------------------------------------------------------


def test_a_short_run_lowers_the_loss():
    plan = Plan(**{**vars(PLAN), "steps": 60, "batch": 4, "rounds": 1})
    scenes = synthetic(generator(CPU, 3), plan.batch, plan.edge)

    class Same:
        def scenes(self, source, batch):
            return scenes

    trainer = Trainer(plan, CPU)
    values = [progress.loss for progress in trainer.run(Same())]
    assert np.mean(values[-8:]) < 0.75 * np.mean(values[:8])


def test_a_run_repeats_itself_exactly_and_another_seed_does_not():
    assert_equal(trained(4), trained(4))
    other = trained(1, Plan(**{**vars(PLAN), "seed": 1}))
    assert not torch.equal(next(other.network.parameters()), next(trained(1).network.parameters()))


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path):
    interrupted = trained(3)
    checkpoint.save(tmp_path / "checkpoint", interrupted.checkpoint())
    resumed = Trainer.resumed(checkpoint.load(tmp_path / "checkpoint"), CPU)
    assert resumed.plan == PLAN and resumed.step == 3
    for _ in range(3):
        resumed.advance(SUPPLY)
    assert_equal(resumed, trained(6))


def test_a_new_run_begins_with_the_weights_it_is_given():
    first = trained(3)
    second = Trainer.beginning_with(first.network, CPU, batch=2, edge=20, autocast=False)
    for part in (second.network, second.average):
        assert all(torch.equal(*pair) for pair in zip(part.parameters(), first.network.parameters()))
    assert second.step == 0 and second.plan.network == first.plan.network and second.plan.edge == 20
    second.advance(SUPPLY)
    assert second.step == 1


def test_a_run_ends_with_its_plan_when_the_time_is_over_and_when_asked_to():
    assert [progress.step for progress in Trainer(PLAN, CPU).run(SUPPLY)] == list(range(1, 9))
    assert list(Trainer(PLAN, CPU).run(SUPPLY, until=time.monotonic() - 1)) == []
    asked = iter([False, False, True])
    assert [progress.step for progress in Trainer(PLAN, CPU).run(SUPPLY, stop=lambda: next(asked))] == [1, 2]


def test_watching_changes_nothing_and_is_the_same_every_time():
    trainer = trained(2)
    first = trainer.watch(SUPPLY)
    assert trainer.watch(SUPPLY) == first
    assert first.keys() == {"memory", "no_memory"} and len(first["memory"]) == 2
    assert_equal(trainer, trained(2))


def test_a_loss_that_is_no_number_is_left_out():
    trainer = trained(2)
    before = everything(trainer)
    broken = synthetic(generator(CPU, 3), PLAN.batch, PLAN.edge)
    broken.image.fill_(torch.nan)

    class Broken:
        def scenes(self, source, batch):
            return broken

    trainer.advance(Broken())
    after = everything(trainer)
    assert trainer.step == 3 and all(torch.equal(before[name], after[name]) for name in before)


def test_the_rate_rises_over_the_warm_up_and_falls_to_the_last():
    plan = Plan(warm_up=10, steps=110, rate=1.0, last_rate=0.0)
    assert plan.rate_at(0) == pytest.approx(0.1) and plan.rate_at(9) == pytest.approx(1.0)
    assert plan.rate_at(60) == pytest.approx(0.5) and plan.rate_at(500) == pytest.approx(0.0)


def test_a_plan_survives_the_round_trip_through_json():
    assert plan_from_record(json.loads(json.dumps(plan_to_record(PLAN)))) == PLAN


def test_what_is_exported_is_the_average_and_loads_as_weights(tmp_path):
    trainer = trained(3)
    export(trainer, tmp_path / "nano.safetensors")
    loaded = nano_weights.load(tmp_path / "nano.safetensors")
    for value, average in zip(loaded.parameters(), trainer.average.parameters()):
        assert torch.equal(value, average.half().float())


# -- checkpoints -------------------------------------------------------------------------------------------------------


def test_files_of_a_checkpoint_stay_below_the_limit_and_come_back_together(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "LARGEST_BYTES", 100_000)
    saved = trained(1).checkpoint()
    checkpoint.save(tmp_path / "run", saved)
    sizes = [path.stat().st_size for path in (tmp_path / "run").glob("*.safetensors")]
    assert len(sizes) > 4 and max(sizes) < 150_000
    back = checkpoint.load(tmp_path / "run")
    assert back.state == saved.state
    for kind in checkpoint.KINDS:
        assert all(torch.equal(back.tensors[kind][name], value) for name, value in saved.tensors[kind].items())


def test_a_compact_checkpoint_keeps_the_weights_exactly_and_is_smaller(tmp_path):
    saved = trained(1).checkpoint()
    for compact in (False, True):
        checkpoint.save(tmp_path / str(compact), saved, compact)
    back = checkpoint.load(tmp_path / "True")
    assert all(torch.equal(back.tensors["weights"][name], value) for name, value in saved.tensors["weights"].items())
    sizes = [sum(path.stat().st_size for path in (tmp_path / str(each)).iterdir()) for each in (False, True)]
    assert sizes[1] < 0.75 * sizes[0]


def test_a_checkpoint_is_written_over_the_last_one(tmp_path):
    for steps in (1, 2):
        checkpoint.save(tmp_path / "run", trained(steps).checkpoint())
    assert checkpoint.load(tmp_path / "run").state["step"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


@pytest.mark.parametrize("damage", ["weights-1.safetensors", "state.json", "second-1.safetensors"])
def test_a_checkpoint_that_is_not_whole_is_refused(tmp_path, damage):
    checkpoint.save(tmp_path / "run", trained(1).checkpoint())
    path = tmp_path / "run" / damage
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(FileError, match="no whole checkpoint"):
        checkpoint.load(tmp_path / "run")
    path.unlink()
    with pytest.raises(FileError, match="no whole checkpoint"):
        checkpoint.load(tmp_path / "run")


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    saved = trained(1).checkpoint()
    saved.state["plan"] = plan_to_record(Plan(**{**vars(PLAN), "network": small_config(blocks=(2, 1, 1))}))
    with pytest.raises(FileError, match="does not fit"):
        Trainer.resumed(saved, CPU)


# -- shards ------------------------------------------------------------------------------------------------------------


def test_a_shard_comes_back_and_codes_keep_dense_intensities_apart(tmp_path):
    image = np.concatenate([np.full(4000, -1000.0), np.linspace(-50, 150, 4000), [3000.0]]).reshape(3, 3, 889)
    codes, values = shards.encoded(image)
    error = np.abs(values[codes] - image)
    assert error[np.abs(image) < 200].max() < 3 and error.max() < 30
    labels = (image > 0).astype(np.uint8)
    shards.write(tmp_path / "a.npz", shards.Shard.of(labels, (2.0, 1.0, 0.5), True, image))
    (back,) = shards.read(tmp_path)
    assert np.array_equal(back.labels, labels) and np.array_equal(back.codes, codes)
    assert back.boxes.tolist() == [[1, *(int(axis.min()) for axis in np.nonzero(labels)), 3, 3, 889]]
    assert back.spacing_kji_mm == (2.0, 1.0, 0.5) and back.watch


def test_a_folder_without_shards_and_a_damaged_shard_are_sentences(tmp_path):
    with pytest.raises(FileError, match="memseg train prepare"):
        shards.read(tmp_path)
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(FileError, match="damaged"):
        shards.read(tmp_path)


def test_only_training_subjects_become_shards(tmp_path):
    import SimpleITK as sitk

    from memseg.evaluation.dataset import validation_subjects

    data = tmp_path / "data"
    data.mkdir()
    labels = np.zeros((12, 14, 16), np.uint8)
    labels[3:9, 4:10, 5:11] = 7
    sitk.WriteImage(sitk.GetImageFromArray(labels.astype(np.int16) * 20), str(data / "image.nii.gz"))
    sitk.WriteImage(sitk.GetImageFromArray(labels), str(data / "label.nii.gz"))
    common = {"image": "image.nii.gz", "label": "label.nii.gz", "labels": {"a": 7}}
    subjects = ("somebody", validation_subjects()[0], "somebody else")
    records = [{**common, "id": f"entry {number}", "subject": subject} for number, subject in enumerate(subjects)]
    (data / "manifest.json").write_text(json.dumps(records))
    assert list(shards.prepare(data, tmp_path / "out")) == [(1, 2), (2, 2)]
    for shard in shards.read(tmp_path / "out"):
        assert np.array_equal(shard.labels, labels > 0) and shard.spacing_kji_mm == (1, 1, 1)
        assert np.array_equal(shard.values[shard.codes] > 70, labels > 0)


def test_label_maps_become_shards_without_an_image(tmp_path):
    import SimpleITK as sitk

    labels = np.zeros((5, 6, 7), np.int16)
    labels[1:3], labels[3:] = 41, 502
    sitk.WriteImage(sitk.GetImageFromArray(labels), str(tmp_path / "map.nii.gz"))
    (tmp_path / "manifest.json").write_text(json.dumps([{"id": "m", "label": "map.nii.gz", "labels": {"x": 41}}]))
    list(shards.prepare(tmp_path, tmp_path / "out"))
    (shard,) = shards.read(tmp_path / "out")
    assert shard.codes is None and np.unique(shard.labels).tolist() == [0, 1, 2]


def test_supervoxels_of_an_unlabelled_volume_follow_its_edges(tmp_path):
    import SimpleITK as sitk

    image = np.zeros((20, 24, 28), np.float32)
    image[5:15, 6:16, 6:16] = 100
    sitk.WriteImage(sitk.GetImageFromArray(image), str(tmp_path / "scan.nii.gz"))
    (tmp_path / "manifest.json").write_text(json.dumps([{"id": "scan", "image": "scan.nii.gz"}]))
    list(shards.prepare(tmp_path, tmp_path / "out"))
    (shard,) = shards.read(tmp_path / "out")
    inner = shard.labels[10, 10, 10]
    assert inner > 0 and (shard.labels[6:14, 7:15, 7:15] == inner).all()
    assert np.count_nonzero(shard.labels == inner) < 1.5 * 1000


# -- the command -------------------------------------------------------------------------------------------------------

SMALL = [
    "--watched-objects",
    "1",
    "--region",
    "16",
    "--widths",
    "8,8,16",
    "--edge",
    "20",
    "--batch",
    "1",
    "--rounds",
    "1",
    "--device",
    "cpu",
]


def memseg(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "memseg.cli", "train", *arguments]


def environment() -> dict[str, str]:
    logic = str(Path(shards.__file__).parents[2])
    return {**os.environ, "PYTHONPATH": logic, "OMP_NUM_THREADS": "1"}


def test_the_command_trains_and_goes_on_where_it_stopped(tmp_path):
    first = memseg("nano", "--out", str(tmp_path), "--steps", "2", *SMALL)
    done = subprocess.run(first, env=environment(), capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "nano.safetensors").is_file() and (tmp_path / "log.csv").is_file()
    again = memseg("nano", "--out", str(tmp_path), "--resume", str(tmp_path / "checkpoint"), "--steps", "3")
    done = subprocess.run([*again, "--device", "cpu"], env=environment(), capture_output=True, text=True, timeout=200)
    assert done.returncode == 0 and "from step 2 of 3" in done.stdout
    assert checkpoint.load(tmp_path / "checkpoint").state["step"] == 3


def test_ctrl_c_finishes_the_step_and_saves(tmp_path):
    command = memseg("nano", "--out", str(tmp_path), "--steps", "100000", *SMALL)
    running = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in running.stdout:
        if "step 1:" in line:
            break
    running.send_signal(signal.SIGINT)
    output, complaints = running.communicate(timeout=200)
    assert running.returncode == 0, complaints
    assert "Stopping after this step." in output
    assert checkpoint.load(tmp_path / "checkpoint").state["step"] >= 1


def test_wishes_that_cannot_be_met_are_sentences(tmp_path):
    from memseg.training.command import _network, _trainer

    with pytest.raises(ModelError, match="choose cpu"):
        _trainer(None, None, "cuda:9", {}, {})
    with pytest.raises(ModelError, match="no such network"):
        _network({"widths": "8,8"})
    checkpoint.save(tmp_path / "run", trained(1).checkpoint())
    with pytest.raises(FileError, match="leave out --region"):
        _trainer(tmp_path / "run", None, "cpu", {}, {"region": 32})
    with pytest.raises(FileError, match="leave out --weights"):
        _trainer(tmp_path / "run", tmp_path / "nano.safetensors", "cpu", {}, {})
    with pytest.raises(ModelError, match="missing"):
        _trainer(None, tmp_path / "nano.safetensors", "cpu", {}, {})
