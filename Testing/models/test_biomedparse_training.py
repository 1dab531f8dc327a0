"""BiomedParse's memory learns: stacks of which words name an object, a reduced network, and only the memory moves."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_biomedparse import small_biomedparse, small_config
from typer.testing import CliRunner

from memseg.errors import ModelError, PromptError
from memseg.networks.biomedparse.memory import BankAttention, MemoryConfig
from memseg.segmenters import biomedparse_memory
from memseg.training import checkpoint
from memseg.training.biomedparse_trainer import (
    MemoryPlan,
    MemoryTrainer,
    NamedSupply,
    NamingPlan,
    NamingTrainer,
    export,
    reduced,
)
from memseg.training.chance import generator
from memseg.training.command import app
from memseg.training.named_stacks import WordList, named_stack

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
    assert set(scores) == {"words", "present"} and 0 <= scores["present"][0] <= 1


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
    output = run("--out", tmp_path, "--network-steps", 2, "--steps", 2, *options)
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
