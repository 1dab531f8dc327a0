"""Training by slices: stacks are what they say, episodes follow, a run repeats itself and goes on."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from small_slices import small_config, small_network
from typer.testing import CliRunner

from memseg.cli import app
from memseg.segmenters import slice_weights
from memseg.training import checkpoint
from memseg.training.chance import generator
from memseg.training.shards import Shard, write
from memseg.training.slice_episodes import Course, Window, play, window_round
from memseg.training.slice_trainer import SlicePlan, SliceTrainer, export
from memseg.training.stacks import StackSupply

CPU = torch.device("cpu")


def shard(seed: int = 0) -> Shard:
    """A bright tilted rod in noise, 24 slices of 3 mm."""
    image = np.random.default_rng(seed).normal(0, 5, (24, 40, 48)).astype(np.float32)
    labels = np.zeros(image.shape, np.uint8)
    for k in range(4, 20):
        labels[k, 10 + k // 2 : 22 + k // 2, 12:30] = 1
    return Shard.of(labels, (3.0, 1.0, 1.0), image_kji=image + 100 * labels)


PLAN = SlicePlan(
    network=small_config(), steps=8, warm_up=2, batch=2, edge=24, followed=3, rate=3e-3, autocast=False, watched=2,
    synthetic=0.0,
)  # fmt: skip
SUPPLY = StackSupply(CPU, PLAN.edge, (shard(),), 0.0)


def trained(steps: int) -> SliceTrainer:
    trainer = SliceTrainer(PLAN, CPU)
    for _ in range(steps):
        trainer.advance(SUPPLY)
    return trainer


def everything(trainer: SliceTrainer) -> dict[str, torch.Tensor]:
    saved = trainer.checkpoint()
    return {f"{kind} {name}": value for kind, part in saved.tensors.items() for name, value in part.items()}


class TestStacks:
    def test_a_stack_holds_the_object_in_its_reference_slice(self):
        for seed in range(20):
            stacks = SUPPLY.stacks(generator(CPU, seed), 1, 6, 0)
            assert stacks.image.shape == stacks.target.shape == (1, 6, 24, 24)
            assert stacks.valid[0, 1] and stacks.target[0, 1].sum() > 0

    def test_the_object_is_bright_where_its_mask_says_it_is(self):
        for seed in range(12):
            stacks = SUPPLY.stacks(generator(CPU, seed), 1, 5, 0)
            inner, outer = stacks.image[0, 1][stacks.target[0, 1] > 0], stacks.image[0, 1][stacks.target[0, 1] == 0]
            assert abs(inner.median() - outer.median()) > 0.2  # darker where it has been inverted

    def test_distances_are_those_of_the_volume(self):
        found = {round(float(SUPPLY.stacks(generator(CPU, seed), 1, 5, 0).gap_mm), 3) for seed in range(30)}
        assert found <= {3.0, 1.0, 2.0}

    def test_slices_beyond_the_volume_are_not_valid(self):
        short = np.zeros((3, 40, 48), np.uint8)
        short[:, 10:30, 10:30] = 1
        image = np.random.default_rng(1).normal(0, 5, short.shape) + 100 * short
        supply = StackSupply(CPU, 24, (Shard.of(short, (8.0, 1.0, 1.0), image_kji=image.astype(np.float32)),), 0.0)
        stacks = [supply.stacks(generator(CPU, seed), 1, 9, 0) for seed in range(12)]
        assert any(not bool(each.valid.all()) for each in stacks)

    def test_without_volumes_they_are_of_anatomy_that_never_was(self):
        stacks = StackSupply(CPU, 24).stacks(generator(CPU, 1), 3, 6, 0)
        assert (stacks.target[:, 1].flatten(1).sum(dim=1) > 0).all() and torch.isfinite(stacks.image).all()

    def test_seed_and_step_decide_everything(self):
        one, other = (StackSupply(CPU, 24, (shard(),), 0.5).stacks(generator(CPU, 3), 4, 6, 40) for _ in range(2))
        assert torch.equal(one.image, other.image) and torch.equal(one.target, other.target)


class TestWindows:
    def test_a_window_is_round_the_object_and_as_much_larger_as_is_told(self):
        mask = torch.zeros(1, 32, 32)
        mask[:, 8:16, 16:24] = 1
        window = window_round(mask, torch.tensor([2.0]))
        assert torch.allclose(window.centre, torch.tensor([[-0.25, 0.25]]))
        assert torch.allclose(window.scale, torch.tensor([0.5]))

    def test_what_is_read_and_written_lies_in_the_same_place(self):
        mask = torch.zeros(1, 1, 64, 64)
        mask[..., 20:36, 30:40] = 1
        window = Window(torch.tensor([[-0.1, 0.1]]), torch.tensor([0.5]))
        assert torch.equal(window.write(window.read(mask, 96), 64) > 0.5, mask > 0.5)


class TestEpisodes:
    def test_every_slice_between_the_reference_and_the_last_is_followed(self):
        stacks = SUPPLY.stacks(generator(CPU, 2), 3, 7, 0)
        outcome = play(small_network(), stacks, generator(CPU, 4), Course(autocast=False))
        assert outcome.dice.shape == outcome.counts.shape == outcome.right.shape == (4, 3)
        assert torch.isfinite(outcome.loss)

    def test_it_does_not_see_the_truth_of_slices_it_has_not_answered_yet(self):
        """Another truth in a later slice changes no earlier answer."""
        stacks = SUPPLY.stacks(generator(CPU, 2), 2, 6, 0)
        other = type(stacks)(**{**vars(stacks), "target": stacks.target.clone()})
        other.target[:, 4] = 1 - other.target[:, 4]
        first, second = (
            play(small_network(), each, generator(CPU, 4), Course(ahead=0.0, autocast=False))
            for each in (stacks, other)
        )
        assert torch.equal(first.dice[:2], second.dice[:2]) and not torch.equal(first.dice[2], second.dice[2])


class TestRuns:
    def test_training_lowers_the_loss(self):
        trainer = SliceTrainer(SlicePlan(**{**vars(PLAN), "steps": 60, "batch": 4}), CPU)
        losses = [trainer.advance(SUPPLY)[0] for _ in range(60)]
        assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])

    def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(self, tmp_path):
        whole, stopped = trained(5), trained(3)
        checkpoint.save(tmp_path / "checkpoint", stopped.checkpoint())
        resumed = SliceTrainer.resumed(checkpoint.load(tmp_path / "checkpoint"), CPU)
        for _ in range(2):
            resumed.advance(SUPPLY)
        one, other = everything(whole), everything(resumed)
        assert [name for name in one if not torch.equal(one[name], other[name])] == []

    def test_the_plan_comes_back_from_plain_json(self):
        trainer = trained(0)
        record = json.loads(json.dumps(trainer.plan_to_record(PLAN)))
        assert SliceTrainer.plan_from_record(record) == PLAN

    def test_what_is_exported_is_the_average(self, tmp_path):
        trainer = trained(2)
        export(trainer, tmp_path / "slices.safetensors")
        loaded = slice_weights.load(tmp_path / "slices.safetensors").state_dict()
        for name, value in trainer.average.state_dict().items():
            assert torch.equal(loaded[name], value.half().float()), name

    def test_watching_tells_overlap_and_presence_for_both_courses(self):
        results = trained(1).watch(SUPPLY)
        assert list(results) == ["one", "one_present", "ahead", "ahead_present"]
        assert all(len(values) == 6 and all(0 <= value <= 1 for value in values) for values in results.values())


class TestCommand:
    def run(self, *words: str):
        return CliRunner().invoke(app, ["train", "slices", *words], catch_exceptions=True)

    def test_a_run_leaves_a_checkpoint_a_log_and_weights_and_goes_on(self, tmp_path):
        write(tmp_path / "shard.npz", shard())
        common = ("--out", str(tmp_path / "run"), "--device", "cpu", "--shards", str(tmp_path))
        shape = ("--edge", "24", "--batch", "2", "--window", "16", "--widths", "8,8,16", "--watched-objects", "1")
        first = self.run(*common, *shape, "--steps", "2", "--synthetic", "0")
        assert first.exit_code == 0, first.output
        assert {"checkpoint", "log.csv", "slices.safetensors"} <= {path.name for path in (tmp_path / "run").iterdir()}
        second = self.run(*common, "--resume", str(tmp_path / "run" / "checkpoint"), "--steps", "3")
        assert second.exit_code == 0, second.output
        assert "from step 2 of 3" in second.output

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (("--window", "20"), "There is no such network"),
            (("--resume", "nowhere"), "There is no whole checkpoint"),
            (("--weights", "nowhere.safetensors"), "are missing or cannot be read"),
            (("--weights", "a", "--window", "16"), "leave out --window and --widths"),
        ],
    )
    def test_what_cannot_be_is_said_in_a_sentence(self, tmp_path, words, sentence):
        outcome = self.run("--out", str(tmp_path / "run"), "--device", "cpu", *words)
        assert outcome.exit_code != 0 and sentence in str(outcome.exception)
