"""Training what guesses first: it learns, repeats itself, goes on exactly, ends early, and says what is wrong."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from finished import ball_and_box, write_finished, write_subject
from torch import Tensor
from typer.testing import CliRunner

import memseg
from memseg.automatic.model import AutoModel, load, save
from memseg.automatic.plan import AutoPlan
from memseg.cli import app
from memseg.errors import FileError, MemSegError, ModelError
from memseg.geometry import Grid
from memseg.networks.segmamba import VARIANTS, AutoConfig, AutoNetwork
from memseg.training import auto_trainer, checkpoint
from memseg.training.auto_losses import dice_and_entropy, dice_loss, log_probabilities, reached, supervised
from memseg.training.auto_patches import PatchSupply
from memseg.training.auto_prepared import Prepared
from memseg.training.auto_trainer import AutoSchedule, AutoTrainer, export
from memseg.volume import Volume

CPU = torch.device("cpu")
SPACING = (2.0, 1.0, 1.0)


def plan(variant: str = "unet", patch: tuple[int, int, int] = (8, 8, 8)) -> AutoPlan:
    strides = ((1, 1, 1), (2, 2, 2))
    config = AutoConfig(variant, 1, 3, (4, 8), ((3, 3, 3),) * 2, strides, (1, 1), (1,))
    return AutoPlan(config, ("ball", "box"), SPACING, patch, mirror=(0, 1, 2))


def prepared(seed: int) -> Prepared:
    image, masks = ball_and_box(seed)
    image = (image / 100).astype(np.float16)
    classes = (1 * masks["ball"] + 2 * masks["box"]).astype(np.uint8)
    places = {value: np.argwhere(classes == value) for value in (1, 2)}
    return Prepared(image, classes, (True, True, True), places, float(image.min()))


SUPPLY = PatchSupply((prepared(0), prepared(1)), CPU, (0, 1, 2))
WATCHED = PatchSupply((prepared(2),), CPU)


def schedule(**changes: object) -> AutoSchedule:
    fields = {"auto": plan(), "steps": 8, "warm_up": 2, "rate": 3e-3, "autocast": False}
    return AutoSchedule(**{**fields, **changes})


def everything(trainer: AutoTrainer) -> dict[str, Tensor]:
    saved = trainer.checkpoint()
    return {f"{kind} {name}": value for kind, part in saved.tensors.items() for name, value in part.items()}


def same(one: AutoTrainer, other: AutoTrainer) -> bool:
    values, others = everything(one), everything(other)
    return values.keys() == others.keys() and all(torch.equal(value, others[name]) for name, value in values.items())


class TestLosses:
    KNOWN = torch.tensor([[True, True, True]])

    def target(self) -> Tensor:
        target = torch.zeros(1, 2, 2, 2, dtype=torch.long)
        target[0, 0, 0] = torch.tensor([1, 2])
        return target

    def sure(self, target: Tensor) -> Tensor:
        return 50 * torch.nn.functional.one_hot(target, 3).movedim(-1, 1).float()

    def test_the_truth_costs_nothing(self):
        assert dice_and_entropy(self.sure(self.target()), self.target(), self.KNOWN) == pytest.approx(0, abs=1e-5)

    def test_not_knowing_costs_the_logarithm_of_three_and_what_overlaps_by_chance(self):
        loss = dice_and_entropy(torch.zeros(1, 3, 2, 2, 2), self.target(), self.KNOWN)
        by_chance = 1 - (2 * (1 / 3) + 1) / (8 / 3 + 1 + 1)  # of either structure, which has one voxel of eight
        assert loss == pytest.approx(math.log(3) + by_chance, abs=1e-5)

    def test_nothing_is_taught_beside_the_volume(self):
        target = self.target()
        target[0, 1] = -1
        wrong = self.sure(self.target())
        wrong[0, :, 1] = torch.tensor([0.0, 50.0, 0.0])[:, None, None]
        assert dice_and_entropy(wrong, target, self.KNOWN) == pytest.approx(0, abs=1e-5)

    def test_what_nobody_looked_for_may_be_called_what_it_is(self):
        unknown = torch.tensor([[True, True, False]])
        target = torch.where(self.target() == 2, 0, self.target())
        said = self.sure(self.target()).requires_grad_()
        loss = dice_and_entropy(said, target, unknown)
        assert loss.item() == pytest.approx(0, abs=1e-5)
        assert dice_and_entropy(said, target, self.KNOWN) > 5
        loss.backward()
        assert bool(torch.isfinite(said.grad).all())
        assert log_probabilities(said, unknown)[0, 0, 0, 0, 1].item() == pytest.approx(0, abs=1e-5)

    def test_a_structure_counts_for_dice_where_it_is_known_only(self):
        half = torch.full((2, 3, 1, 1, 2), 0.5)
        target = torch.tensor([[[[1, 0]]], [[[0, 0]]]])
        known = torch.tensor([[True, True, False], [True, False, False]])
        assert dice_loss(half, target, known) == pytest.approx(1 - 2 / 3)  # (2 * 0.5 + 1) / (1 + 1 + 1)

    def test_finer_stages_count_more_and_the_coarsest_nothing(self):
        target = torch.zeros(1, 4, 4, 4, dtype=torch.long)
        good, bad = torch.tensor([9.0, 0.0]), torch.tensor([0.0, 9.0])
        stages = [answer[None, :, None, None, None].expand(1, 2, *(side,) * 3) for answer, side in
                  ((good, 4), (bad, 2), (bad, 1))]  # fmt: skip
        known = torch.tensor([[True, True]])
        one, two = (dice_and_entropy(stage, target[:, :side, :side, :side], known) for stage, side in
                    ((stages[0], 4), (stages[1], 2)))  # fmt: skip
        assert supervised(stages, target, known) == pytest.approx(float(one + 0.5 * two) / 1.5)

    def test_what_is_reached_is_the_dice_of_the_structures_there(self):
        found = self.target().clone()
        found[0, 1, 1, 1] = 1
        assert reached(self.sure(found), self.target(), self.KNOWN) == pytest.approx((2 / 3 + 1) / 2)


class TestRuns:
    def test_it_learns(self):
        trainer = AutoTrainer(schedule(steps=60, rate=1e-2), CPU)
        before = trainer.watch(WATCHED)["mean"][0]
        for _ in trainer.run(SUPPLY):
            pass
        assert trainer.watch(WATCHED)["mean"][0] > 0.15 > 3 * before

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_each_network_takes_a_step(self, variant: str):
        trainer = AutoTrainer(schedule(auto=plan(variant), batch=1, autocast=True), CPU)
        before = {name: value.clone() for name, value in trainer.network.named_parameters()}
        loss, _, gradient = trainer.advance(SUPPLY)
        assert math.isfinite(loss) and 0 < gradient < math.inf
        moved = {name for name, value in trainer.network.named_parameters() if not torch.equal(value, before[name])}
        assert "decoder.seg_layers.0.weight" in moved and any(name.startswith("encoder.stem") for name in moved)

    def test_the_same_seed_gives_the_same_network_and_another_another(self):
        one, again, other = (AutoTrainer(schedule(seed=seed), CPU) for seed in (3, 3, 4))
        for trainer in (one, again, other):
            trainer.advance(SUPPLY)
            trainer.advance(SUPPLY)
        assert same(one, again) and not same(one, other)

    def test_an_interrupted_run_goes_on_to_the_bit(self, tmp_path: Path):
        whole, first = AutoTrainer(schedule(), CPU), AutoTrainer(schedule(), CPU)
        for trainer in (whole, first):
            for _ in range(2):
                trainer.advance(SUPPLY)
            trainer.watch(WATCHED)
        checkpoint.save(tmp_path / "checkpoint", first.checkpoint())
        second = AutoTrainer.resumed(checkpoint.load(tmp_path / "checkpoint"), CPU)
        for trainer in (whole, second):
            for _ in range(2):
                trainer.advance(SUPPLY)
            trainer.watch(WATCHED)
        assert same(whole, second)
        assert (whole.best, whole.best_step, whole.waited) == (second.best, second.best_step, second.waited)

    def test_it_ends_when_it_gets_no_better(self):
        trainer = AutoTrainer(schedule(patience=2), CPU)
        for step, mean in enumerate((0.3, 0.5, 0.4999, 0.5005)):
            assert not trainer.is_stale
            trainer.step = step
            trainer._judge(mean)
            trainer._judge(mean)  # looking twice at the same step is one look
        assert trainer.is_stale and (trainer.best, trainer.best_step) == (0.5, 1)
        assert list(trainer.run(SUPPLY)) == []

    def test_only_the_best_weights_are_exported(self, tmp_path: Path):
        trainer, path = AutoTrainer(schedule(), CPU), tmp_path / "auto.safetensors"
        trainer._judge(0.5)
        export(trainer, path)
        kept = path.read_bytes()
        trainer.advance(SUPPLY)
        trainer._judge(0.4)
        export(trainer, path)
        assert path.read_bytes() == kept
        trainer.advance(SUPPLY)
        trainer._judge(0.6)
        export(trainer, path)
        assert path.read_bytes() != kept

    def test_whole_subjects_are_watched_and_each_structure_has_its_dice(self):
        trainer = AutoTrainer(schedule(), CPU)
        scores = trainer.watch(WATCHED)
        assert scores.keys() == {"mean", "ball", "box"}
        assert scores["mean"][0] == pytest.approx((scores["ball"][0] + scores["box"][0]) / 2)


class TestMemory:
    def short_of(self, trainer: AutoTrainer, times: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """A trainer whose next steps fail as an allocator does; what it tells the user."""
        real, told, left = AutoTrainer._episode, [], [times]

        def episode(self: AutoTrainer, *arguments: object) -> object:
            if left[0]:
                left[0] -= 1
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
            return real(self, *arguments)

        monkeypatch.setattr(AutoTrainer, "_episode", episode)
        trainer.tell = told.append
        return told

    def test_the_patch_is_halved_once_and_that_is_said_and_kept(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        trainer = AutoTrainer(schedule(auto=plan(patch=(8, 8, 16))), CPU)
        told = self.short_of(trainer, 1, monkeypatch)
        trainer.advance(SUPPLY)
        assert trainer.step == 1 and trainer.plan.auto.patch_sar == (8, 8, 8)
        assert told == ["Memory ran out, so the patch is halved to 8 x 8 x 8 samples; training goes on."]
        checkpoint.save(tmp_path / "checkpoint", trainer.checkpoint())
        resumed = AutoTrainer.resumed(checkpoint.load(tmp_path / "checkpoint"), CPU)
        assert resumed.plan == trainer.plan and resumed.plan.has_halved

    def test_the_second_time_it_is_an_error_that_says_what_to_do(self, monkeypatch: pytest.MonkeyPatch):
        trainer = AutoTrainer(schedule(auto=plan(patch=(8, 8, 16))), CPU)
        self.short_of(trainer, 2, monkeypatch)
        with pytest.raises(ModelError, match="smaller --patch"):
            trainer.advance(SUPPLY)

    def test_other_errors_are_not_taken_for_it(self, monkeypatch: pytest.MonkeyPatch):
        def wrong(*_arguments: object) -> None:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

        monkeypatch.setattr(AutoTrainer, "_episode", wrong)
        with pytest.raises(RuntimeError, match="mat1"):
            AutoTrainer(schedule(), CPU).advance(SUPPLY)


class TestModels:
    def bright(self) -> AutoNetwork:
        """Calls "ball" what is brighter than 1.5, "box" what is darker than -1.5: the decoder's last stage is told to
        hand on what the stem saw."""
        return Threshold(plan().network)

    def volume(self, grid: Grid | None = None) -> tuple[Volume, dict[str, np.ndarray]]:
        image, masks = ball_and_box(5)
        return Volume(image, grid or Grid.from_spacing(image.shape, SPACING)), masks

    def test_every_structure_found_is_a_mask_of_the_volume(self):
        volume, masks = self.volume()
        model = AutoModel(self.bright(), plan(), "cpu")
        *before, last = model.propose(volume)
        assert len(before) + 1 == last.of == model.need(volume).windows
        assert last.masks.keys() == masks.keys()
        for name, mask in last.masks.items():
            assert mask.shape == volume.shape_kji and mask.dtype == np.uint8
            assert np.array_equal(mask, masks[name])

    def test_more_memory_is_announced_for_more_mamba(self):
        volume = Volume(np.arange(512, dtype=np.float32).reshape(8, 8, 8), Grid.from_spacing((8, 8, 8), SPACING))
        needs = []
        for variant in ("unet", "segmamba", "bisegmamba", "multisegmamba"):
            of = replace(plan(variant), patch_sar=(64, 64, 64))
            needs.append(AutoModel(AutoNetwork(of.network), of, "cpu").need(volume).bytes)
        first_stage_bytes = 4 * 4 * 64**3  # four channels in float32
        assert needs[0] > 9 * first_stage_bytes
        assert all(more > less + 4 * first_stage_bytes for less, more in zip(needs, needs[1:]))

    def test_masks_begin_sessions(self):
        volume, _ = self.volume()
        *_, last = AutoModel(self.bright(), plan(), "cpu").propose(volume)
        session = memseg.new_session(volume, "geodesic")
        session.add(memseg.MaskPrompt.from_mask(last.masks["ball"]))
        assert np.array_equal(session.mask_kji, last.masks["ball"])

    def test_a_volume_of_other_axes_and_spacing_is_answered_in_its_own_voxels(self):
        image, masks = ball_and_box(5)
        fine = np.repeat(image, 2, axis=0)[::-1].transpose(2, 1, 0)  # k runs along R, i to I, 1 mm
        truth = {name: np.repeat(mask, 2, axis=0)[::-1].transpose(2, 1, 0) for name, mask in masks.items()}
        matrix = np.array([[0, 0, 1.0, 0], [0, 1.0, 0, 0], [-1.0, 0, 0, 0], [0, 0, 0, 1]])
        *_, last = AutoModel(self.bright(), plan(), "cpu").propose(Volume(fine, Grid(fine.shape, matrix)))
        for name, mask in last.masks.items():
            assert 2 * (mask & truth[name]).sum() / (mask.sum() + truth[name].sum()) > 0.9

    def test_structures_that_are_not_found_are_not_among_the_masks(self):
        image = np.random.default_rng(0).exponential(1, (12, 12, 12))  # a deviation below its mean there is nothing
        *_, last = AutoModel(self.bright(), plan(), "cpu").propose(Volume(image, Grid.from_spacing((12,) * 3, SPACING)))
        assert last.masks.keys() == {"ball"}

    def test_a_model_is_one_file_with_its_plan(self, tmp_path: Path):
        network = AutoTrainer(schedule(), CPU).average
        save(tmp_path / "auto.safetensors", network, plan())
        for path in (tmp_path, tmp_path / "auto.safetensors"):
            loaded, kept = load(path)
            assert kept == plan()
            halves = {name: value.half().float() for name, value in network.state_dict().items()}
            assert all(torch.equal(value, halves[name]) for name, value in loaded.state_dict().items())

    def test_what_is_no_model_is_refused_in_a_sentence(self, tmp_path: Path):
        with pytest.raises(ModelError, match="There is no trained model"):
            load(tmp_path)
        with pytest.raises(ModelError, match="There is no model at"):
            load(tmp_path / "nowhere")
        (tmp_path / "auto.safetensors").write_bytes(b"PK\x03\x04 a pickle in a zip")
        with pytest.raises(ModelError, match="could run code"):
            load(tmp_path)

    def test_a_plan_of_another_network_is_refused(self, tmp_path: Path):
        wrong = replace(plan(), network=replace(plan().network, channels=(4, 6)))
        save(tmp_path / "auto.safetensors", AutoNetwork(plan().network), wrong)
        with pytest.raises(ModelError, match="do not fit"):
            load(tmp_path)


class Threshold(AutoNetwork):
    def forward(self, image: Tensor) -> list[Tensor]:
        return [torch.cat([torch.full_like(image, 1.5), image, -image], dim=1)]


def memseg_says(*words: object) -> tuple[int, str]:
    """Exit status and output; a sentence for the user is the exception's text."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, MemSegError | SystemExit):
        raise done.exception
    return done.exit_code, done.output + (str(done.exception) if isinstance(done.exception, MemSegError) else "")


SMALL = ("--network", "unet", "--channels", 4, "--patch", "8,12,12", "--batch", 1, "--device", "cpu")


class TestCommands:
    def test_segmentations_become_a_model_that_writes_named_segments(self, tmp_path: Path):
        (tmp_path / "set").mkdir()
        folder, out = write_finished(tmp_path / "set", 3), tmp_path / "run"
        status, words = memseg_says("train", "auto", folder, "--out", out, *SMALL, "--steps", 20, "--rate", 0.01,
                                    "--watch-every", 20)  # fmt: skip
        assert status == 0, words
        assert "structures: ball, box" in words and "Best mean Dice of held-out subjects" in words
        assert {path.name for path in out.iterdir()} == {
            "auto.safetensors", "checkpoint", "log.csv", "plan.json", "prepared",
        }  # fmt: skip
        volume, _ = write_subject(tmp_path, "new", 9)
        status, words = memseg_says("auto", tmp_path / "new.nii.gz", "--model", out, "-o", tmp_path / "new.seg.nrrd")
        assert status == 0, words
        assert "Windows to look at" in words and "MB beside the image" in words
        masks = memseg.auto(volume, out, "cpu")
        for name, mask in masks.items():
            assert f"{name}: {mask.sum()} voxels" in words
        from memseg.training.auto_subjects import Subject, read

        written = Subject("new", "new", tmp_path / "new.nii.gz", tmp_path / "new.seg.nrrd", None, "unknown")
        assert all(np.array_equal(mask, masks[name]) for name, mask in read(written).masks.items())

    def test_the_same_command_goes_on_and_another_plan_needs_a_new_run(self, tmp_path: Path):
        (tmp_path / "set").mkdir()
        folder, out = write_finished(tmp_path / "set", 3), tmp_path / "run"
        begin = ("train", "auto", folder, "--out", out)
        assert memseg_says(*begin, *SMALL, "--steps", 2)[0] == 0
        status, words = memseg_says(*begin, "--network", "unet", "--device", "cpu", "--steps", 3)
        assert status == 0 and "from step 2 of 3" in words
        assert "has its plan" in memseg_says(*begin, *SMALL)[1]
        assert "trains unet" in memseg_says(*begin, "--network", "segmamba", "--device", "cpu")[1]
        write_subject(folder, "case9", 9)
        assert "data set has changed" in memseg_says(*begin, "--network", "unet", "--device", "cpu")[1]
        status, words = memseg_says(*begin, *SMALL, "--steps", 1, "--new")
        assert status == 0 and "from step 0 of 1" in words

    def test_misuse_is_said(self, tmp_path: Path):
        write_finished(tmp_path, 2)
        begin = ("train", "auto", tmp_path, "--out", tmp_path / "run", "--device", "cpu")
        assert "nothing for --patch" in memseg_says(*begin, "--patch", "8,8")[1]
        assert "too small to be halved" in memseg_says(*begin, "--patch", "2,2,2")[1]
        assert "no folder" in memseg_says("train", "auto", tmp_path / "nowhere", "--out", tmp_path / "run")[1]
        image = tmp_path / "case0.nii.gz"
        assert "no trained model" in memseg_says("auto", image, "--model", tmp_path, "-o", tmp_path / "o.seg.nrrd")[1]


def test_a_checkpoint_of_another_kind_of_run_is_refused(tmp_path: Path):
    trainer = AutoTrainer(schedule(), CPU)
    saved = trainer.checkpoint()
    del saved.state["plan"]["auto"]
    checkpoint.save(tmp_path / "checkpoint", saved)
    with pytest.raises(FileError, match="start a new run"):
        AutoTrainer.resumed(checkpoint.load(tmp_path / "checkpoint"), CPU)


def test_a_device_that_is_short_of_memory_is_known_by_its_words():
    assert auto_trainer._is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert auto_trainer._is_out_of_memory(MemoryError())
    assert not auto_trainer._is_out_of_memory(RuntimeError("shapes"))
