"""Training SAM-Med3D and MAIS: the published protocol of clicks, what is frozen, the papers' rates, runs that go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_sam import CELLS, EDGE, small_config, small_mais, small_sam
from torch import Tensor

from memseg.errors import FileError, ModelError
from memseg.networks.mais import Entry, Mais, MaisConfig, MemoryConfig
from memseg.networks.sam_med3d import SamAnswer, SamMed3D, nothing_before
from memseg.networks.sam_prompts import NEGATIVE, POSITIVE
from memseg.segmenters import sam_files
from memseg.segmenters.sam_window import normalised
from memseg.training import checkpoint, sam_command, shards
from memseg.training.chance import generator
from memseg.training.crops import Crops
from memseg.training.sam_episodes import SamCourse, answer_loss, play, standardised
from memseg.training.sam_trainer import MaisPlan, MaisTrainer, SamPlan, SamTrainer, export
from memseg.training.scenes import Scenes
from memseg.training.shards import Shard
from memseg.training.synthesis import synthetic

CPU = torch.device("cpu")
QUICK = {"steps": 8, "batch": 2, "rounds": 3, "watched": 2, "watched_clicks": 3, "warm_up": 0}
SAM_PLAN = SamPlan(network=small_config(), **QUICK)
MAIS_PLAN = MaisPlan(network=MaisConfig(small_config(), MemoryConfig(heads=2)), **QUICK)
SUPPLY = Crops(CPU, EDGE, 1.5, 3.0)


class Recording(Mais):
    """Keeps what it was told, and answers that the object is everywhere: every correction is then a negative click."""

    def __init__(self, capacity: int = 60) -> None:
        super().__init__(MaisConfig(small_config(), MemoryConfig(heads=2, capacity=capacity)))
        self.points: list[Tensor | None] = []
        self.kinds: list[Tensor | None] = []
        self.masks: list[Tensor] = []
        self.entries: list[tuple[Entry, ...]] = []

    def answer(self, embedding, points, kinds, mask, entries=(), reads="both") -> SamAnswer:
        for kept, value in ((self.points, points), (self.kinds, kinds), (self.masks, mask), (self.entries, entries)):
            kept.append(value)
        found = super().answer(embedding, points, kinds, mask, entries, reads)
        return SamAnswer(torch.full_like(mask, 7.0) + 0 * found.logits, found.sparse, found.dense, found.iou)


def ball(batch: int = 2) -> Scenes:
    axis = torch.arange(EDGE) - 12.0
    near = axis[:, None, None].square() + axis[:, None].square() + axis.square() <= 64
    target = near.expand(batch, 1, -1, -1, -1)
    image = target * 80.0 + 20
    ends = [torch.tensor([value] * batch) for value in (20.0, 100.0, 1.5)]
    return Scenes(image, target, torch.ones_like(target), *ends, torch.full((batch, 3), 1.5))


def trained(steps: int, plan: SamPlan, kind: type[SamTrainer]) -> SamTrainer:
    trainer = kind(plan, CPU)
    for _ in range(steps):
        trainer.advance(SUPPLY)
    return trainer


def assert_equal(first: SamTrainer, second: SamTrainer) -> None:
    one, other = (
        {f"{kind} {name}": value for kind, part in each.checkpoint().tensors.items() for name, value in part.items()}
        for each in (first, second)
    )
    assert first.step == second.step and one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


# -- episodes ----------------------------------------------------------------------------------------------------------


def test_every_round_is_told_the_newest_click_and_the_logits_before_and_zeros_at_first():
    network = Recording()
    play(network, ball(), generator(CPU, 1), SamCourse(rounds=3, frozen=True))
    assert [each.shape for each in network.points] == [(2, 1, 3)] * 3
    assert not network.masks[0].any() and (network.masks[1] == 7).all()
    assert [each.unique().tolist() for each in network.kinds] == [[POSITIVE], [NEGATIVE], [NEGATIVE]]


def test_clicks_are_told_in_samples_where_the_error_is():
    network, scenes = Recording(), ball()
    play(network, scenes, generator(CPU, 1), SamCourse(rounds=3, frozen=True))
    for turn, is_inside in enumerate((True, False, False)):
        assert torch.allclose(network.points[turn], network.points[turn].round(), atol=1e-3)
        k, j, i = network.points[turn][:, 0].round().long().unbind(dim=1)
        assert (scenes.target[torch.arange(2), 0, k, j, i] == is_inside).all()


def test_in_one_round_of_the_middle_and_in_the_last_the_mask_speaks_alone():
    middles = set()
    for seed in range(12):
        network = Recording()
        play(network, ball(1), generator(CPU, seed), SamCourse(rounds=6, frozen=True))
        alone = [turn for turn, points in enumerate(network.points) if points is None]
        assert len(alone) == 2 and alone[-1] == 5
        middles.add(alone[0])
    assert middles == {2, 3}


def test_each_click_is_remembered_with_the_mask_it_met_and_without_gradient():
    network = Recording()
    play(network, ball(1), generator(CPU, 3), SamCourse(rounds=6))
    counts = [len(entries) for entries in network.entries]
    alone = [turn for turn, points in enumerate(network.points) if points is None]
    assert counts == [turn - sum(other < turn for other in alone) for turn in range(6)]
    entry = network.entries[1][0]
    expected = network.prompt_encoder.sparse(network.points[0], network.kinds[0])
    assert torch.equal(entry.sparse, expected) and not entry.sparse.requires_grad
    nothing = network.prompt_encoder.dense(nothing_before(network.config))
    assert torch.equal(entry.dense, nothing) and not entry.dense.requires_grad


def test_an_episode_remembers_no_more_than_the_memory_holds():
    network = Recording(capacity=2)
    play(network, ball(1), generator(CPU, 3), SamCourse(rounds=5, mask_rounds=False, frozen=True))
    assert [len(entries) for entries in network.entries] == [0, 1, 2, 2, 2]
    assert network.entries[4][0] is network.entries[3][1]


def test_images_are_normalised_as_in_use():
    scenes = ball(1)
    half = replace(scenes, inside=torch.arange(EDGE)[None, None, None, None].expand(scenes.inside.shape) < 20)
    for each in (scenes, half, replace(scenes, image=scenes.image - 500)):
        shown = torch.where(each.inside, each.image, 0.0)[0, 0].numpy()
        assert np.allclose(standardised(each)[0, 0].numpy(), normalised(shown), atol=1e-5)


def test_the_loss_of_a_hand_made_answer():
    target, inside = torch.tensor([1.0, 0, 0, 1]).reshape(1, 1, 1, 1, 4), torch.tensor([1.0, 1, 1, 0])
    logits = torch.tensor([0.0, 0.0, -50.0, 50.0]).reshape(target.shape)
    # of the three that count: probabilities 1/2, 1/2, 0; shared 1/2, squares 1/4 + 1/4 and 1
    dice_alone = answer_loss(logits, target, inside.reshape(target.shape), kind="dice")
    assert dice_alone.item() == pytest.approx(1 - 2 * 0.5 / 1.5, abs=1e-4)
    focal = answer_loss(logits, target, inside.reshape(target.shape), kind="dice-focal")
    # soft Dice with 1 added above and below; the two at 1/2 weigh 0.1 + 0.9 / 4 each, no more than 1 in all
    assert focal.item() == pytest.approx(1 - (1 + 1) / (1 + 1 + 1) + 2 * 0.325 * np.log(2), abs=1e-3)
    both = answer_loss(logits, target, inside.reshape(target.shape), kind="dice-ce")
    assert (both - dice_alone).item() == pytest.approx(2 * np.log(2) / 3, abs=1e-4)


# -- what learns, and how fast -----------------------------------------------------------------------------------------


def test_the_image_encoder_stays_as_it_is_and_all_else_that_is_used_learns():
    trainer = MaisTrainer(MAIS_PLAN, CPU)
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    for _ in range(3):
        trainer.advance(SUPPLY)
    same = {name for name, value in trainer.network.state_dict().items() if torch.equal(value, before[name])}
    assert {name for name in before if name.startswith("image_encoder.")} <= same
    idle = ("image_encoder.", "mask_decoder.iou", "mask_decoder.output_hypernetworks_mlps.")
    learnt = {name for name in before if not name.startswith(idle)} - same
    assert "mask_decoder.output_hypernetworks_mlps.0.layers.2.weight" not in same
    for part in ("prompt_encoder.mask", "prompt_encoder.point", "mask_decoder.transformer", "memory_attention.sparse.",
                 "memory_attention.dense."):  # fmt: skip
        assert any(name.startswith(part) for name in learnt), part


def test_all_of_sam_med3d_learns():
    trainer = trained(2, SAM_PLAN, SamTrainer)
    held = {name for name, value in trainer.network.named_parameters() if value.grad is not None}
    assert any(name.startswith("image_encoder.") for name in held)


def test_the_papers_rates_and_when_they_fall():
    trainer = MaisTrainer(replace(MAIS_PLAN, steps=200), CPU)
    rates = {}
    for step in (0, 128, 129, 179, 180):
        trainer.step = step
        trainer.advance(SUPPLY)
        for group in trainer.optimiser.param_groups:
            for name, each in trainer.network.named_parameters():
                if any(each is other for other in group["params"]):
                    rates[step, name.split(".")[0]] = group["lr"]
    expected = {0: 8e-4, 128: 8e-4, 129: 8e-5, 179: 8e-5, 180: 8e-6}
    for step, rate in expected.items():
        assert rates[step, "memory_attention"] == pytest.approx(rate)
        for part in ("prompt_encoder", "mask_decoder"):
            assert rates[step, part] == pytest.approx(rate / 10)
    assert not any(part == "image_encoder" for _, part in rates)


def test_a_network_from_nothing_warms_up():
    plan = SamPlan(network=small_config(), steps=1000, warm_up=100)
    assert plan.rate_at(0) == pytest.approx(8e-6) and plan.rate_at(99) == pytest.approx(8e-4)
    assert plan.rate_at(599) == pytest.approx(8e-4) and plan.rate_at(600) == pytest.approx(8e-5)


def test_batches_one_after_the_other_make_one_step():
    class Same:
        def scenes(self, source, batch):
            return ball(1)

    plan = replace(SAM_PLAN, batch=1, rounds=1)
    course = {"habits": replace(SamCourse().habits, deep=1.0)}

    class Steady(SamTrainer):
        def _course(self):
            return replace(super()._course(), **course)

    once, twice = Steady(plan, CPU), Steady(replace(plan, accumulate=2), CPU)
    first, second = (each.advance(Same()) for each in (once, twice))
    assert second[0] == pytest.approx(first[0], rel=1e-3) and twice.step == 1
    assert second[2] == pytest.approx(first[2], rel=0.05)  # a mean, not a sum


# -- runs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("plan", "kind"), [(SAM_PLAN, SamTrainer), (MAIS_PLAN, MaisTrainer)])
def test_a_resumed_run_equals_one_that_never_stopped(tmp_path, plan, kind):
    checkpoint.save(tmp_path / "checkpoint", trained(2, plan, kind).checkpoint())
    resumed = kind.resumed(checkpoint.load(tmp_path / "checkpoint"), CPU)
    assert resumed.plan == plan
    resumed.advance(SUPPLY)
    assert_equal(resumed, trained(3, plan, kind))


def test_a_run_begins_as_the_sam_med3d_it_is_given():
    sam = small_sam()
    trainer = MaisTrainer.beginning_with(sam, CPU, MemoryConfig("sparse", heads=2), batch=2)
    assert trainer.plan.network == MaisConfig(sam.config, MemoryConfig("sparse", heads=2)) and trainer.plan.batch == 2
    for name, value in sam.state_dict().items():
        assert torch.equal(trainer.network.state_dict()[name], value)
        assert torch.equal(trainer.average.state_dict()[name], value)
    again = MaisTrainer.beginning_with(small_mais("dense"), CPU)
    assert again.plan.network.memory.variant == "dense"
    assert torch.equal(again.network.memory_attention.dense.convolve.weight, small_mais("dense").memory_attention.dense.convolve.weight)  # fmt: skip  # noqa: E501


def test_what_is_exported_answers_as_the_trained_network_does(tmp_path):
    trainer = trained(2, MAIS_PLAN, MaisTrainer)
    export(trainer, tmp_path / "mais.safetensors")
    loaded = sam_files.load_mais(tmp_path / "mais.safetensors")
    assert all(torch.equal(value, trainer.network.state_dict()[name]) for name, value in loaded.state_dict().items())


def test_a_short_run_lowers_the_loss():
    class Same:
        def scenes(self, source, batch):
            return ball(batch)

    trainer = SamTrainer(replace(SAM_PLAN, steps=40, rounds=1, rate=3e-3, share=1.0, loss="dice"), CPU)
    losses = [progress.loss for progress in trainer.run(Same())]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_watching_is_the_same_every_time_and_with_memory_and_without():
    trainer = trained(2, MAIS_PLAN, MaisTrainer)
    found = trainer.watch(SUPPLY)
    assert found == trainer.watch(SUPPLY) and found.keys() == {"memory", "no_memory"}
    assert found["memory"][0] == found["no_memory"][0] and len(found["memory"]) == 3
    alone = MaisTrainer(replace(MAIS_PLAN, network=MaisConfig(small_config(), MemoryConfig("none"))), CPU)
    assert alone.watch(SUPPLY).keys() == {"no_memory"}


@pytest.mark.parametrize(("plan", "kind"), [(SAM_PLAN, SamTrainer), (MAIS_PLAN, MaisTrainer)])
def test_a_plan_survives_the_round_trip_through_json(plan, kind):
    record = kind(plan, CPU).plan_to_record(plan)
    assert kind.plan_from_record(json.loads(json.dumps(record))) == plan


# -- crops -------------------------------------------------------------------------------------------------------------


def shard(watch: bool = False) -> Shard:
    labels = np.zeros((40, 50, 60), np.uint8)
    labels[10:30, 15:35, 20:45], labels[2:6, 2:6, 2:6] = 1, 2
    image = np.where(labels == 1, 120.0, -40.0)
    return Shard.of(labels, (2.0, 1.0, 1.0), watch, image)


def test_crops_are_centred_on_a_voxel_of_an_object_that_is_large_enough():
    crops = Crops(CPU, EDGE, 1.5, 3.0, (shard(),), synthetic_share=0.0)
    assert [box[0] for box in crops.labelled[0].boxes] == [1]  # the other one has 8 mm, less than four cells
    for seed in range(5):
        scenes = crops.from_volume(generator(CPU, seed))
        middle = slice(EDGE // 2 - 1, EDGE // 2 + 1)
        assert scenes.target[0, 0, middle, middle, middle].any()
        assert 1.2 < float(scenes.spacing) < 1.8
        inner, outer = scenes.image[scenes.target].mean(), scenes.image[~scenes.target & scenes.inside].mean()
        assert abs(float(inner - outer)) > 30  # in the volume's own units


def test_crops_may_lie_beside_the_object_so_that_clicks_are_needed_to_find_it():
    held = shard()
    middle, off = (Crops(CPU, EDGE, 1.5, 3.0, (held,), aside=aside) for aside in (0.0, 0.4))
    centre = slice(EDGE // 2 - 1, EDGE // 2 + 1)
    hits = [
        sum(
            bool(each.from_volume(generator(CPU, seed)).target[0, 0, centre, centre, centre].any()) for seed in range(8)
        )
        for each in (middle, off)
    ]
    assert hits[0] == 8 and hits[1] < 8


def test_samples_that_tower_over_others_are_cut_where_that_is_asked_for():
    network = SamMed3D(replace(small_config(), clip=3.0))
    image = torch.randn(1, 1, EDGE, EDGE, EDGE) * 10
    assert torch.equal(network.encode(image), network.encode(image.clamp(-3, 3)))
    network.config = small_config()
    assert not torch.equal(network.encode(image), network.encode(image.clamp(-3, 3)))


def test_crops_of_label_maps_are_painted():
    labels = shard().labels
    crops = Crops(CPU, EDGE, 1.5, 3.0, (Shard.of(labels, (2.0, 1.0, 1.0)),))
    scenes = crops.from_labelmap(generator(CPU, 1))
    assert scenes.image.shape == (1, 1, EDGE, EDGE, EDGE) and scenes.target.any()


def test_a_crop_is_of_the_size_that_the_network_sees():
    scenes = synthetic(generator(CPU, 1), 1, EDGE)
    network = SamMed3D(small_config())
    answer = network.answer(network.encode(standardised(scenes)), None, None, nothing_before(network.config))
    assert answer.logits.shape == (1, 1, CELLS, CELLS, CELLS)


# -- the commands ------------------------------------------------------------------------------------------------------


def memseg(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(shards.__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "memseg.cli", "train", *arguments, "--device", "cpu"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)


def test_the_commands_train_a_sam_med3d_then_a_mais_on_it_and_go_on(tmp_path):
    data = tmp_path / "shards"
    data.mkdir()
    for number, watch in enumerate((False, False, True)):
        shards.write(data / f"{number}.npz", shard(watch))
    common = ("--steps", "1", "--batch", "1", "--rounds", "2", "--watched-objects", "1", "--shards", str(data))
    size = ("--edge", "16", "--patch", "4", "--width", "48", "--depth", "1", "--heads", "2", "--spacing", "3")
    done = memseg("sam-med3d", "--out", str(tmp_path / "sam"), *size, *common)
    assert done.returncode == 0, done.stderr
    start = str(tmp_path / "sam" / "sam-med3d.safetensors")
    done = memseg("mais", "--out", str(tmp_path / "mais"), "--weights", start, "--volumes", "1", *common)
    assert done.returncode == 0, done.stderr
    resume = ("--resume", str(tmp_path / "mais" / "checkpoint"), "--steps", "2", "--shards", str(data))
    done = memseg("mais", "--out", str(tmp_path / "mais"), *resume)
    assert done.returncode == 0 and "from step 1 of 2" in done.stdout, done.stderr
    trained_mais = sam_files.load_mais(tmp_path / "mais" / "mais.safetensors")
    sam = sam_files.load_sam(Path(start))
    assert sam.config.edge == 16 and sam.config.spacing_mm == 3 and not sam.config.swapped
    assert torch.equal(trained_mais.image_encoder.pos_embed, sam.image_encoder.pos_embed)
    assert checkpoint.load(tmp_path / "mais" / "checkpoint").state["step"] == 2


def test_one_shot_learns_from_the_first_volume_of_each_folder(tmp_path):
    from memseg.training.running import supplies_of

    for number, watch in enumerate((True, False, False)):
        shards.write(tmp_path / f"{number}.npz", shard(watch))
    found = {volumes: supplies_of((tmp_path, tmp_path), tuple, volumes) for volumes in (1, None)}
    assert [len(part) for part in found[1]] == [2, 2] and [len(part) for part in found[None]] == [4, 2]


def test_the_network_of_the_command_is_the_published_one_but_for_what_is_said():
    plain = sam_command.network_of({})
    assert (plain.edge, plain.cells, plain.encoder.out, plain.decoder.mlp, plain.spacing_mm) == (
        128,
        32,
        384,
        2048,
        1.5,
    )
    assert plain.encoder.window == 14 and plain.encoder.global_blocks == (2, 5, 8, 11)
    small = sam_command.network_of({"edge": 24, "patch": 4, "width": 96, "depth": 3, "heads": 6, "spacing": 6.0})
    assert small.encoder.window == 9 and small.encoder.global_blocks == (2,) and small.encoder.out == 96
    for shape in ({"width": 50}, {"edge": 30, "patch": 4}, {"patch": 0}):
        with pytest.raises(ModelError, match="no such network"):
            sam_command.network_of(shape)


def test_wishes_that_cannot_be_met_are_sentences(tmp_path):
    with pytest.raises(FileError, match="memseg train sam-med3d"):
        sam_command.mais(tmp_path, device="cpu")
    with pytest.raises(ModelError, match="no such network: A memory variant"):
        sam_command._memory_of("all")
    with pytest.raises(ModelError, match="no 'focal' loss; choose one of: dice, dice-ce, dice-focal"):
        sam_command.sam_med3d(tmp_path, device="cpu", loss="focal")
    sam_files.save(tmp_path / "mais.safetensors", small_mais())
    with pytest.raises(FileError, match="leave out --memory"):
        sam_command.mais(tmp_path, tmp_path / "mais.safetensors", device="cpu", memory="none")
    with pytest.raises(FileError, match="leave out --edge"):
        sam_command.sam_med3d(tmp_path, weights=tmp_path / "mais.safetensors", device="cpu", edge=32)
