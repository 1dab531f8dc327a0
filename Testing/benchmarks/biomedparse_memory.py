"""What the parts of BiomedParse's memory are worth that need no training, with a stand-in for the network.

    python Testing/benchmarks/biomedparse_memory.py [-o Testing/benchmarks/RESULTS-biomedparse.md]

The stand-in answers "bright object" by brightness alone, slice by slice, and so loses the object where it fades, as the
network loses what it does not see. Stacks of 20 slices; the same stacks for every row.

    python Testing/benchmarks/biomedparse_memory.py --run RUN --words WORDS

does the same with the reduced network and the memory in RUN, the folder of `memseg train biomedparse-memory`.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from memseg.geometry import Grid
from memseg.networks.biomedparse.boltzmann_decoder import Decoded, Sampling
from memseg.networks.biomedparse.model import BiomedParse, SliceMaps
from memseg.segmenters import biomedparse_memory
from memseg.segmenters.biomedparse_bank import NOTHING, BankUse
from memseg.segmenters.biomedparse_engine import Engine
from memseg.segmenters.biomedparse_slices import Stack, Window
from memseg.segmenters.biomedparse_walk import PRESENT, Walk
from memseg.segmenters.biomedparse_words import Question
from memseg.training import checkpoint
from memseg.training.biomedparse_trainer import NamingTrainer, reduced
from memseg.training.chance import generator
from memseg.training.named_stacks import NamedStack, WordList, named_stack
from memseg.volume import Volume

SLICES, GAP_MM, CAPACITY, SEED = 20, 3.0, 4, 77
WRONG = 0.7  # Dice below which a slice has to be corrected
_PLAIN = {"capacity": CAPACITY, "decay": False, "prominence": False, "attention": False}
_DECAY = {**_PLAIN, "decay": True}
_OURS = {**_DECAY, "prominence": True}
ROWS = {
    "no memory": NOTHING,
    "existence evened out alone": BankUse("ours", **{**_OURS, "masks": 0.0}),
    "recent": BankUse("recent", **_PLAIN),
    "self-sorting": BankUse("self-sorting", **_PLAIN),
    "... by value, with decay": BankUse("ours", **_DECAY),
    "... and prominence": BankUse("ours", **_OURS),
    "... masks count twice as much": BankUse("ours", **{**_OURS, "masks": 0.6}),
    "... and the decoder's own look": BankUse("ours", **{**_OURS, "attention": True}),
    "the decoder's own look alone": BankUse("ours", **{**_OURS, "attention": True, "masks": 0.0, "existence": False}),
}


@dataclass(frozen=True)
class Score:
    dice: float
    uneven: float
    to_correct: int
    told_right: float
    seconds: float


def volume_of(stack: NamedStack) -> Volume:
    """Slices to the head, rows to the back, columns to the left, so that the network sees the stack as it is."""
    slices, edge, _ = stack.image.shape
    return Volume(stack.image.numpy(), Grid((slices, edge, edge), np.diag([-1.0, -1.0, GAP_MM, 1.0])))


def played(engine: Engine, stack: NamedStack, volume: Volume, use: BankUse) -> Score:
    cut = Stack.of(volume.grid, engine.network.config.edge)
    walk = Walk(engine, volume, cut, Question(stack.sentence, Window(0, 255), "CT"), "biomedparse", use)
    start = time.perf_counter()
    found = {look.number: look for look in walk.looks()}
    seconds = (time.perf_counter() - start) / SLICES
    mask = np.zeros(cut.shape, bool)
    for number, look in found.items():
        if look.existence > PRESENT:
            mask[number] = cut.read(look.logits) > 0.5
    truth = stack.target.numpy() > 0
    by_slice = [dice(mask[number], truth[number]) for number in range(SLICES)]
    pairs = [number for number in range(SLICES - 1) if truth[number : number + 2].any()]
    uneven = [dice(*mask[number : number + 2]) - dice(*truth[number : number + 2]) for number in pairs]
    present = np.array([look.existence > PRESENT for _, look in sorted(found.items())])
    return Score(
        dice(mask, truth),
        float(np.abs(uneven).mean()) if pairs else 0.0,
        sum(each < WRONG for each in by_slice),
        float((present == truth.any(axis=(1, 2))).mean()),
        seconds,
    )


def dice(one: np.ndarray, other: np.ndarray) -> float:
    total = int(one.sum()) + int(other.sum())
    return 1.0 if total == 0 else 2 * int((one & other).sum()) / total


class Brightness(BiomedParse):
    """Finds what is brighter than the background by a good part of the least contrast there is."""

    def __init__(self) -> None:
        with torch.device("meta"):
            super().__init__(reduced())
        self.to_empty(device="cpu")

    def words(self, ids: Tensor) -> Tensor:
        return torch.zeros(1, ids.shape[1], self.config.text.width)

    def encode(self, slices: Tensor) -> SliceMaps:
        grey = (functional.avg_pool2d(slices[:, :1], 4) - 110) / 10
        features = grey.expand(-1, self.config.pixels.width, -1, -1)
        return SliceMaps(features, tuple(functional.avg_pool2d(features, 8 // 2**level) for level in range(3)))

    def answer(self, maps: SliceMaps, words: Tensor, sampling: Sampling, informing=None) -> Decoded:
        logits = 2 * (maps.mask_features[:, 0] - 2.5)
        existence = logits.flatten(1).amax(dim=1) * 1.5
        nothing = torch.zeros(len(logits), self.config.decoder.width)
        return Decoded(logits, existence, nothing[:, None], nothing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--stacks", type=int, default=100)
    parser.add_argument("--run", type=Path, help="of memseg train biomedparse-memory")
    parser.add_argument("--words", default="bright", help="those that the run was given")
    told = parser.parse_args()
    torch.set_num_threads(1)
    cpu = torch.device("cpu")
    network, memory = Brightness(), None
    if told.run:
        network = NamingTrainer.resumed(checkpoint.load(told.run / "network" / "checkpoint"), cpu).average
        memory = biomedparse_memory.load(told.run / biomedparse_memory.FILE)
    engine = Engine(network, WordList(), "BiomedParse", "cpu", bank_attention=memory)
    rows = {name: use for name, use in ROWS.items() if memory is not None or not (use.is_on and use.attention)}
    scores: dict[str, list[Score]] = {name: [] for name in rows}
    for number in range(told.stacks):
        source = generator(cpu, SEED, number)
        stack = named_stack(source, SLICES, network.config.edge, WordList(), tuple(told.words.split(",")))
        volume = volume_of(stack)
        played(engine, stack, volume, NOTHING)  # so that every row finds the slices encoded
        for name, use in rows.items():
            scores[name].append(played(engine, stack, volume, use))
    text = report(scores, told.stacks)
    if told.output:
        told.output.write_text(text, encoding="utf-8")
    print(text)


def report(scores: dict[str, list[Score]], stacks: int) -> str:
    lines = [
        "| memory | 3D Dice | unevenness | slices to correct | presence told right | ms a slice |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in scores.items():
        mean = {part: float(np.mean([getattr(score, part) for score in row])) for part in Score.__dataclass_fields__}
        lines.append(
            f"| {name} | {mean['dice']:.3f} | {mean['uneven']:.3f} | {mean['to_correct']:.2f} | "
            f"{mean['told_right']:.1%} | {1000 * mean['seconds']:.1f} |"
        )
    return TEXT.format(table="\n".join(lines), stacks=stacks, slices=SLICES, capacity=CAPACITY)


TEXT = """# BiomedParse's memory of slices: the parts that need no training

No official weights were at hand. These figures are of a stand-in for the network that answers "bright object" by
brightness alone, slice by slice, on stacks of three simple objects, of which the named one all but vanishes in one to
three slices in a row in about half of the stacks. They say whether a part of the memory does what it is for, which is
to carry an object over slices in which it is not seen; they say nothing about organs, nor about the part that is
trained (the decoder's own look at remembered slices).

{stacks} stacks of {slices} slices, a bank of {capacity} entries, the same stacks in every row. Unevenness: by how much
the overlap (Dice) of neighbouring masks differs from that of the true ones. Slices to correct: with a Dice below 0.7,
of {slices}.

{table}

What this says: evening existence out finds a few slices more, and remembered masks add half a point of Dice, whatever
the rule by which slices are kept; decay and prominence make no difference that could be told here. Masks that count
more smear the ends. So the memory is mild by default, and nothing is claimed for it.

What is not shown: whether the trained look at remembered slices helps. `memseg train biomedparse-memory` trains it, and
tests hold it to change nothing before it has learned and to leave the network as it is; but two CPU cores did not bring
a reduced network to answer to words within the time there was (900 steps; Dice 0.35, presence no better than chance),
and a memory of such a network has nothing to remember.

To measure again:

    python Testing/benchmarks/biomedparse_memory.py -o Testing/benchmarks/RESULTS-biomedparse.md
"""

if __name__ == "__main__":
    main()
