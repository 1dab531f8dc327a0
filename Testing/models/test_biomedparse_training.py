"""BiomedParse's memory learns: stacks of which words name an object, a reduced network, and only the memory moves."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_biomedparse import small_biomedparse, small_config
from typer.testing import CliRunner

from memseg.errors import ModelError, PromptError
from memseg.networks.biomedparse.boltzmann_decoder import Decoded, Sampling
from memseg.networks.biomedparse.memory import BankAttention, MemoryConfig, Remembered, remembered
from memseg.networks.biomedparse.model import BiomedParse
from memseg.segmenters import biomedparse_memory
from memseg.training import checkpoint
from memseg.training.biomedparse_trainer import (
    MemoryPlan,
    MemoryTrainer,
    NamedSupply,
    NamingPlan,
    NamingTrainer,
    dice_of,
    dice_of_slices,
    export,
    logits_of,
    loss_of,
    overlap_of,
    reduced,
)
from memseg.training.chance import generator
from memseg.training.command import app
from memseg.training.named_stacks import Look, Scene, WordList, named_stack, scene

CPU = torch.device("cpu")
SMALL = replace(reduced(), edge=32)


def stacks(count: int):
    return [named_stack(generator(CPU, 5, number), 10, 32, WordList()) for number in range(count)]


# -- what is learned from ----------------------------------------------------------------------------------------------


def test_a_stack_follows_from_its_seed():
    one, again = (named_stack(generator(CPU, 1, 2), 10, 32, WordList()) for _ in range(2))
    assert torch.equal(one.image, again.image) and torch.equal(one.target, again.target)
    assert one.sentence == again.sentence and one.image.shape == one.target.shape == (10, 32, 32)
    assert one.image.min() >= 0 and one.image.max() <= 255


def test_words_are_those_of_the_list_and_what_is_named_is_there_but_for_what_is_long():
    seen = set()
    for stack in stacks(60):
        word, thing = stack.sentence.split()
        seen.add(word)
        assert thing == "object" and stack.ids.tolist() == [list(WordList().encode(stack.sentence))]
        assert bool(stack.target.any()) or word == "long"
        assert torch.equal(stack.present, stack.target.amax(dim=(1, 2)))
    assert len(seen) >= 6


def test_the_bright_object_is_brighter_than_the_rest_in_most_of_its_slices_and_hardly_to_be_seen_in_others():
    shares = []
    for stack in stacks(120):
        if stack.sentence != "bright object":
            continue
        there = [place for place in range(10) if stack.target[place].sum() >= 8]
        level = stack.image.median()
        bright = [float(stack.image[place][stack.target[place] > 0].mean() - level) > 20 for place in there]
        shares.append(sum(bright) / len(bright))
    assert max(shares) == 1.0 and min(shares) < 1.0 and sum(shares) / len(shares) > 0.6


def test_a_left_object_lies_at_greater_columns_than_a_right_one():
    columns = {"left": [], "right": []}
    for stack in stacks(150):
        word = stack.sentence.split()[0]
        if word in columns:
            columns[word].append(float((stack.target.nonzero()[:, 2]).float().mean()))
    assert min(columns["left"]) > 12 and max(columns["right"]) < 20
    assert sum(columns["left"]) / len(columns["left"]) > 16 > sum(columns["right"]) / len(columns["right"])


def test_only_words_that_may_be_said_are_said():
    said = {named_stack(generator(CPU, 9, n), 8, 32, WordList(), ("dark", "long")).sentence for n in range(20)}
    assert said == {"dark object", "long object"}


def test_every_object_stands_out_from_its_surroundings():
    for stack in stacks(20):
        clear = [place for place in range(10) if stack.target[place].sum() >= 12]
        apart = [float((stack.image[place][stack.target[place] > 0].mean() - 110).abs()) for place in clear]
        assert not clear or max(apart) > 25


def test_words_are_numbered_with_marks_of_start_and_end():
    assert WordList().encode("dark object") == (9, 1, 8, 10) and len(WordList()) == 11
    assert WordList().encode("dark unknown object", longest=3) == (9, 1, 10)


def test_names_of_structures_are_words_too_each_once():
    words = WordList(("kidney", "left", "kidney"))
    assert len(words) == 12 and words.encode("left kidney") == (10, 4, 9, 11)


def scene_of(*values: float, changed: int = 0) -> Scene:
    """Objects of 64 voxels in two slices, side by side, those to the left brighter as `values` say."""
    bodies = []
    for place in range(len(values)):
        body = torch.zeros(2, 16, 32, dtype=torch.bool)
        body[:, 4:8, 8 * place : 8 * place + 8] = True
        bodies.append(body)
    looks = tuple(Look(value, place - 1.0, False, 64) for place, value in enumerate(values))
    none, second = torch.tensor([False, False]), torch.tensor([False, True])
    hard = tuple(second if place == changed else none for place in range(len(values)))
    return Scene(torch.full((2, 16, 32), 110.0), tuple(bodies), looks, hard)


def test_one_scene_answers_several_questions():
    found = scene_of(30, 100, 200).asked(generator(CPU, 1), ("bright", "dark", "left", "right"), WordList(), 3)
    assert len(found) == 3 and all(each.image is found[0].image for each in found)
    columns = {"bright": 16, "dark": 0, "left": 16, "right": 0}
    for each in found:
        first = int(each.target.nonzero()[:, 2].min())
        assert first == columns[each.sentence.split()[0]]


def test_no_question_is_asked_whose_answer_is_not_clear():
    assert scene_of(200, 200, 200).asked(generator(CPU, 1), ("bright", "dark", "large"), WordList(), 3) == []


def test_slices_in_which_an_object_looks_otherwise_are_its_own():
    (dark,) = scene_of(30, 100, 200).asked(generator(CPU, 1), ("dark",), WordList(), 3)
    (bright,) = scene_of(30, 100, 200).asked(generator(CPU, 1), ("bright",), WordList(), 3)
    assert dark.hard.tolist() == [False, True] and bright.hard.tolist() == [False, False]


def test_some_objects_fade_and_others_become_as_bright_as_their_like():
    faded = alike = 0
    for number in range(40):
        made = scene(generator(CPU, 3, number), 12, 32)
        level = made.image.median()
        for body, look, changed in zip(made.bodies, made.looks, made.changed):
            for place in changed.nonzero()[:, 0].tolist():
                if int(body[place].sum()) < 12:
                    continue
                apart = float(made.image[place][body[place]].mean() - level) / (look.value - 110)
                faded += abs(apart) < 0.45
                alike += abs(apart) >= 0.45
    assert faded >= 10 and alike >= 10


# -- who learns --------------------------------------------------------------------------------------------------------


def naming(**changes) -> NamingTrainer:
    return NamingTrainer(NamingPlan(network=SMALL, slices=4, batch=1, watched=2, **{"steps": 40, **changes}), CPU)


def memory_trainer(**changes) -> MemoryTrainer:
    network = MemoryConfig(64, 16, 1, 4, 3)
    plan = MemoryPlan(network=network, edge=32, slices=5, told=2, batch=1, watched=2, **{"steps": 40, **changes})
    trainer = MemoryTrainer(plan, CPU)
    trainer.base = naming().average
    return trainer


def test_a_reduced_network_learns_to_answer():
    trainer, supply = naming(rate=3e-3), NamedSupply(4, 32)
    losses = [progress.loss for progress in trainer.run(supply)]
    assert sum(losses[-8:]) < sum(losses[:8]) and all(torch.isfinite(torch.tensor(losses)))
    scores = trainer.watch(supply)
    assert set(scores) == {"slices", "volumes", "present"} and 0 <= scores["present"][0] <= 1


def test_the_loss_falls_where_the_answer_is_right_and_existence_with_it():
    target = torch.zeros(2, 8, 8)
    target[0, :4, :4] = 1
    right = torch.tensor([[[9.0, -9.0], [-9.0, -9.0]], [[-9.0, -9.0], [-9.0, -9.0]]])
    nothing = torch.zeros(2, 1)

    def loss(logits, existence):
        return float(loss_of(Decoded(logits, torch.tensor(existence), nothing[:, None], nothing), target))

    best = loss(right, [9.0, -9.0])
    assert best < 0.01
    assert loss(-right, [9.0, -9.0]) > best + 10 and loss(right, [-9.0, 9.0]) == pytest.approx(best + 9, abs=0.1)


def test_slices_that_count_more_decide_the_loss():
    target = torch.zeros(2, 8, 8)
    target[:, :4, :4] = 1
    logits = torch.full((2, 2, 2), -9.0)
    logits[0, 0, 0] = 9.0  # the first is right, the second misses what is there
    nothing = torch.zeros(2, 1)
    answer = Decoded(logits, torch.tensor([9.0, 9.0]), nothing[:, None], nothing)
    right, wrong = (float(loss_of(answer, target, torch.tensor(each))) for each in ([1.0, 0.0], [0.0, 1.0]))
    assert right < 0.01 and wrong > 5
    assert float(loss_of(answer, target)) == pytest.approx((right + wrong) / 2, abs=1e-3)
    assert overlap_of(answer, target).tolist() == pytest.approx([1.0, 0.0], abs=1e-5)


def test_a_supply_of_hard_stacks_has_more_of_them():
    plain, hard = (
        sum(bool(supply.stack(generator(CPU, 6, number)).hard.any()) for number in range(30))
        for supply in (NamedSupply(12, 32), NamedSupply(12, 32, hard=True))
    )
    assert hard > plain and hard > 20


def test_the_gates_of_a_memory_learn_faster_than_the_rest():
    trainer = memory_trainer()
    shares = [group.get("share", 1.0) for group in trainer._groups() for _ in group["params"]]
    assert len(shares) == len(list(trainer.network.parameters())) and sorted(shares)[-4:] == [20.0] * 4
    assert sorted(shares)[:-4] == [1.0] * (len(shares) - 4)


def test_dice_of_slices_is_of_those_that_hold_something_whatever_existence_says():
    target = torch.zeros(3, 8, 8)
    target[:2, :4, :4] = 1
    logits = torch.full((3, 2, 2), -1.0)
    logits[0, 0, 0] = logits[1, 1, 1] = logits[2, 0, 0] = 1.0
    nothing = torch.zeros(3, 1)
    answer = Decoded(logits, torch.full((3,), -5.0), nothing[:, None], nothing)
    assert dice_of_slices(answer, target).tolist() == pytest.approx([1.0, 0.0], abs=1e-5)
    assert float(dice_of(answer, target)) < 0.01


def test_a_share_of_a_cell_becomes_what_a_sure_network_would_say():
    assert logits_of(torch.tensor([0.0, 0.5, 1.0])).tolist() == [-12, 0, 12]


@pytest.mark.parametrize("apart", [True, False])
def test_existence_teaches_the_queries_only_where_it_is_to(apart):
    trainer = naming()
    network = BiomedParse(replace(SMALL, decoder=replace(SMALL.decoder, apart=apart)))
    network.load_state_dict(trainer.network.state_dict())
    maps = network.encode(torch.rand(2, 3, 32, 32) * 255)
    network.answer(maps, network.words(torch.tensor([[9, 1, 8, 10]])), Sampling(None)).existence.sum().backward()
    taught = network.sem_seg_head.predictor.query_feat_.weight.grad
    assert (taught is None) == apart and network.sem_seg_head.predictor.classifier_query.weight.grad is not None


def test_existence_teaches_a_memory():
    network = BiomedParse(replace(SMALL, decoder=replace(SMALL.decoder, apart=True))).requires_grad_(False)
    memory = BankAttention(MemoryConfig(64, 16, 1, 4, 3))
    maps = network.encode(torch.rand(2, 3, 32, 32) * 255)
    words = network.words(torch.tensor([[9, 1, 8, 10]]))
    keys, values = remembered(maps, network.answer(maps, words, Sampling(None)))
    bank = Remembered(keys[None].expand(2, -1, -1, -1, -1), values[None].expand(2, -1, -1, -1, -1), torch.ones(2, 2))
    network.answer(maps, words, Sampling(None), memory.reading(bank)).existence.sum().backward()
    assert all(float(layer.gate.grad) != 0 for layer in memory.layers)


def test_only_the_memory_learns_and_its_gates_open():
    trainer, supply = memory_trainer(rate=1e-2), NamedSupply(5, 32)
    before = {name: value.clone() for name, value in trainer.base.state_dict().items()}
    first = trainer.watch(supply)
    assert first["memory"] == first["no_memory"]
    for _ in trainer.run(supply):
        pass
    assert all(torch.equal(value, before[name]) for name, value in trainer.base.state_dict().items())
    gates = [abs(float(layer.gate.detach())) for layer in trainer.network.layers]
    assert max(gates) > 1e-3 and trainer.watch(supply)["memory"] != first["memory"]


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(tmp_path):
    supply = NamedSupply(5, 32)
    whole, first = memory_trainer(steps=4), memory_trainer(steps=4)
    for _ in whole.run(supply):
        pass
    first.advance(supply)
    first.advance(supply)
    checkpoint.save(tmp_path / "checkpoint", first.checkpoint())
    resumed = MemoryTrainer.resumed(checkpoint.load(tmp_path / "checkpoint"), CPU)
    resumed.base = first.base
    for _ in resumed.run(supply):
        pass
    ours, theirs = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_the_plan_of_a_reduced_network_survives_a_checkpoint(tmp_path):
    trainer = naming(steps=1)
    checkpoint.save(tmp_path / "checkpoint", trainer.checkpoint())
    assert NamingTrainer.resumed(checkpoint.load(tmp_path / "checkpoint"), CPU).plan == trainer.plan


# -- the file ----------------------------------------------------------------------------------------------------------


def test_the_memory_is_found_beside_the_weights_it_belongs_to(tmp_path):
    trainer = memory_trainer()
    with torch.no_grad():
        for parameter in trainer.average.parameters():
            parameter.add_(0.5)
    export(trainer, tmp_path / biomedparse_memory.FILE)
    loaded = biomedparse_memory.beside(tmp_path / "biomedparse_v2.ckpt", SMALL)
    assert loaded.config == trainer.plan.network and float(loaded.layers[0].gate) == 0.5
    assert biomedparse_memory.beside(tmp_path / "nowhere" / "biomedparse_v2.ckpt", SMALL) is None


def test_a_memory_of_another_network_is_refused(tmp_path):
    biomedparse_memory.save(tmp_path / biomedparse_memory.FILE, BankAttention(MemoryConfig(32, 16, 1, 4, 3)))
    with pytest.raises(ModelError, match=r"trained for another network than biomedparse_v2\.ckpt; train it again"):
        biomedparse_memory.beside(tmp_path / "biomedparse_v2.ckpt", SMALL)


# -- the command -------------------------------------------------------------------------------------------------------


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["biomedparse-memory", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_the_command_trains_the_reduced_network_then_its_memory_and_goes_on(tmp_path):
    options = ["--device", "cpu", "--slices", 4, "--batch", 1, "--watched-objects", 1]
    output = run("--out", tmp_path, "--network-steps", 2, "--network-batch", 1, "--steps", 2, *options)
    assert f"Put {biomedparse_memory.FILE} beside the weights" in output
    assert (tmp_path / biomedparse_memory.FILE).is_file() and (tmp_path / "network" / "checkpoint").is_dir()
    assert "from step 2 of 2" in run("--out", tmp_path, *options)


def test_a_word_there_is_none_of_is_refused(tmp_path):
    with pytest.raises(PromptError, match="named by bright, dark, .*; 'purple' is none of these"):
        run("--out", tmp_path, "--words", "bright,purple")


def test_the_command_trains_a_memory_for_weights_that_are_given(tmp_path, monkeypatch):
    from memseg.segmenters import biomedparse_weights

    config = small_config(edge=32, vocabulary=49_408)
    monkeypatch.setattr(biomedparse_weights, "BiomedParseConfig", lambda: config)
    torch.save(small_biomedparse(config).state_dict(), tmp_path / "biomedparse_v2.ckpt")
    options = ["--device", "cpu", "--slices", 3, "--batch", 1, "--watched-objects", 1, "--steps", 1]
    run("--out", tmp_path / "run", "--weights", tmp_path / "biomedparse_v2.ckpt", *options)
    assert biomedparse_memory.load(tmp_path / "run" / biomedparse_memory.FILE).config.width == 64
