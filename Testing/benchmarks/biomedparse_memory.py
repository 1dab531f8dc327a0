"""What BiomedParse's memory of slices is worth, part by part, without the published weights.

    python Testing/benchmarks/biomedparse_memory.py [-o Testing/benchmarks/RESULTS-biomedparse.md]

plays stacks through a stand-in for the network, which answers "bright object" by brightness alone and so loses the
object where it fades. With the reduced network and the memory of `memseg train biomedparse-memory`,

    python Testing/benchmarks/biomedparse_memory.py --run RUN --words WORDS [--dataset DATASET]

also plays stacks that neither has seen through these, and structures of the validation subjects of a labelled data set.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from biomedparse_playing import ROWS, Brightness, Player, Score
from biomedparse_report import report

from memseg.segmenters import biomedparse_memory
from memseg.segmenters.biomedparse_engine import Engine
from memseg.training import checkpoint, shards
from memseg.training.biomedparse_trainer import NamingTrainer
from memseg.training.chance import generator
from memseg.training.named_stacks import NamedStack, Vocabulary, WordList, named_stack
from memseg.training.named_structures import sentence_of, volumes_of

CPU, SEED = torch.device("cpu"), 77
SLICES, STAND_IN_SLICES = 12, 20
PARTS = ("stand-in", "synthetic", "structures")
_STACKS_OF_A_VOLUME = 2
_CORRECTED = 20  # stacks that somebody corrects, which takes far longer


def scored(engine: Engine, stacks: Iterator[NamedStack], attention: bool) -> dict[str, list[Score]]:
    """By row, those without the trained look where there is none."""
    rows = {name: use for name, use in ROWS.items() if attention or not (use.is_on and use.attention)}
    scores: dict[str, list[Score]] = {name: [] for name in rows}
    for stack in stacks:
        player = Player.of(engine, stack)
        for name, use in rows.items():
            scores[name].append(player.score(use, len(scores[name]) < _CORRECTED))
    return scores


def synthetic(count: int, slices: int, vocabulary: Vocabulary, words: tuple[str, ...]) -> Iterator[NamedStack]:
    for number in range(count):
        yield named_stack(generator(CPU, SEED, number), slices, 64, vocabulary, words)


def structures(folder: Path, vocabulary: Vocabulary, names: tuple[str, ...]) -> Iterator[NamedStack]:
    """Of each structure of each validation subject three stacks."""
    made = tuple(shard for _, _, shard in shards.of_subjects(folder, "validation"))
    for number, volume in enumerate(volumes_of(made, 64, names)):
        for place in range(_STACKS_OF_A_VOLUME * len(volume.names)):
            source = generator(CPU, SEED, 1, number, place)
            yield volume.asked(source, SLICES, vocabulary, 1, vary=False)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--stacks", type=int, default=60)
    parser.add_argument("--run", type=Path, help="of memseg train biomedparse-memory")
    parser.add_argument("--words", default="bright", help="those that the run was given")
    parser.add_argument("--dataset", type=Path, help="labelled data set, of whose validation subjects structures are")
    parser.add_argument("--parts", default=",".join(PARTS), help="what is played now")
    parser.add_argument("--json", type=Path, help="all scores; what is played is added to those that are there")
    told = parser.parse_args()
    torch.set_num_threads(1)
    found = json.loads(told.json.read_text(encoding="utf-8")) if told.json and told.json.is_file() else {}
    for part, rows in played(told, frozenset(told.parts.split(","))):
        found[part] = {row: [asdict(score) for score in scores] for row, scores in rows.items()}
        if told.json:
            told.json.write_text(json.dumps(found), encoding="utf-8")
    text = report(found)
    if told.output:
        told.output.write_text(text, encoding="utf-8")
    print(text)


def played(told: argparse.Namespace, parts: frozenset[str]) -> Iterator[tuple[str, dict[str, list[Score]]]]:
    """Scores by row, of those of PARTS that are wanted and there is something for."""
    if "stand-in" in parts:
        engine = Engine(Brightness(), WordList(), "BiomedParse", "cpu")
        yield "stand-in", scored(engine, synthetic(told.stacks, STAND_IN_SLICES, WordList(), ("bright",)), False)
    if not told.run or not parts & {"synthetic", "structures"}:
        return
    trainer = NamingTrainer.resumed(checkpoint.load(told.run / "network" / "checkpoint"), CPU)
    memory = biomedparse_memory.load(told.run / biomedparse_memory.FILE)
    names = trainer.plan.names
    words = WordList(tuple(word for name in names for word in sentence_of(name).split()))
    engine = Engine(trainer.average, words, "BiomedParse", "cpu", bank_attention=memory)
    if "synthetic" in parts:
        said = tuple(told.words.split(","))
        yield "synthetic", scored(engine, synthetic(told.stacks, SLICES, words, said), True)
    if told.dataset and "structures" in parts:
        yield "structures", scored(engine, structures(told.dataset, words, names), True)


if __name__ == "__main__":
    main()
