"""What remembering costs MAIS at the published size, by how many interactions are remembered.

    python Testing/benchmarks/mais_cost.py time [--turns 15] [--device cpu] [--threads 1]
    python Testing/benchmarks/mais_cost.py memory [--interactions 150] [--device cpu] [--threads 1]

The weights are drawn by chance, as nobody publishes any: times and memory are those of trained ones, the answers mean
nothing. What is measured is what the network does from a click to its logits, with the image of the window of 192 mm
encoded already, as the paper measures it; writing into the volume is the same with memory and without.

time: one click is answered again and again with the last 0, 10, 20 and 60 interactions at hand, of each kind, in turns,
so that a busy machine slows all of them alike; counted is processor time, which other work changes least as long as
there is one thread. memory: the peak of a process of its own that makes all the interactions and keeps the last N, as a
peak cannot be taken back.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from rich.console import Console

from memseg.evaluation.sheets import Sheet
from memseg.geometry import Grid
from memseg.memory.interaction import Interaction, InteractionMemory
from memseg.networks.mais import Mais, MaisConfig
from memseg.networks.sam_prompts import NEGATIVE, POSITIVE
from memseg.prompts import Click
from memseg.segmenters.mais import MaisEngine
from memseg.segmenters.sam_before import kept
from memseg.segmenters.sam_engine import Answered, Said
from memseg.segmenters.sam_window import Window
from memseg.volume import Volume

COUNTS = (0, 10, 20, 60)
KINDS = ("sparse", "dense", "both")
EDGE, SPACING_MM = 128, 1.5  # one window


class Scene:
    """Noise, random clicks in it, and an engine for each kind of memory, all of one network."""

    def __init__(self, device: str, kinds: tuple[str, ...]) -> None:
        torch.manual_seed(0)
        network = Mais(MaisConfig()).eval()
        rng = np.random.default_rng(0)
        image = rng.normal(100, 20, (EDGE,) * 3).astype(np.float32)
        self.volume = Volume(image, Grid.from_spacing(image.shape, (SPACING_MM,) * 3))
        self.window = Window(self.volume.grid, ((EDGE - 1) / 2,) * 3, EDGE, network.config.cells)
        self.clicks = [Click(tuple(map(int, point))) for point in rng.integers(EDGE, size=(1000, 3))]
        self.engines = {kind: MaisEngine(network, "MAIS", device, kind) for kind in kinds}

    def answer(self, kind: str, number: int, before: np.ndarray, memory: InteractionMemory) -> Answered:
        """To the click of that number, every second one negative."""
        said = Said(np.asarray([self.clicks[number].point_kji], float), (NEGATIVE if number % 2 else POSITIVE,))
        return self.engines[kind].answer(self.volume, self.window, said, before, tuple(memory))

    def played(self, kind: str, interactions: int, capacity: int) -> InteractionMemory:
        """What is remembered after so many; capacity 0 for none at all."""
        memory = InteractionMemory((), max(capacity, 1))
        before = np.zeros((self.window.cells,) * 3, np.float32)
        for number in range(interactions):
            found = self.answer(kind, number, before, memory)
            before = found.logits
            if capacity:
                remains = kept(found.tokens, self.clicks[number], self.window, found.logits, found.told)
                memory = memory.remember(Interaction(number + 1, "mais", **remains))
        return memory


def times(device: str, turns: int) -> Sheet:
    scene = Scene(device, KINDS)
    most = scene.played("both", max(COUNTS), max(COUNTS)).entries
    before = np.zeros((scene.window.cells,) * 3, np.float32)
    cases = [("none", 0), *((kind, count) for kind in KINDS for count in COUNTS if count)]
    seconds: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    for turn in range(turns + 1):
        for kind, count in cases:
            memory = InteractionMemory(most[-count:] if count else ())
            start = time.process_time()
            scene.answer("both" if kind == "none" else kind, len(most), before, memory)
            if turn:  # the first turn warms up
                seconds[kind, count].append(time.process_time() - start)
    middles = {case: 1000 * float(np.median(values)) for case, values in seconds.items()}
    rows = []
    for (kind, count), middle in middles.items():
        figures = (f"{middle:.0f}", f"{1000 * min(seconds[kind, count]):.0f}", f"{middle / middles['none', 0]:.2f}")
        rows.append((kind, str(count), *figures))
    heads = ("memory", "N", "ms an interaction, median", "least", "over none")
    return Sheet("MAIS at the size of ViT-B: time of an interaction", heads, tuple(rows))


def memories(arguments: argparse.Namespace) -> Sheet:
    rows, none = [], 0
    for kind, count in (("none", 0), *((kind, count) for kind in KINDS for count in COUNTS if count)):
        words = ["peak", "--kind", "both" if kind == "none" else kind, "--count", str(count)]
        words += [f"--{name}={getattr(arguments, name)}" for name in ("interactions", "device", "threads")]
        done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=True)
        peak_mb, kept_bytes = json.loads(done.stdout)
        none = none or peak_mb
        rows.append((kind, str(count), str(peak_mb), f"{peak_mb / none:.2f}", f"{kept_bytes / 1e6:.1f}"))
    heads = ("memory", "N", "MB at the peak", "over none", "MB remembered")
    title = f"MAIS at the size of ViT-B: memory after {arguments.interactions} interactions"
    return Sheet(title, heads, tuple(rows))


def peak(arguments: argparse.Namespace) -> str:
    """MB of this process at its peak, and bytes that the memory keeps."""
    scene = Scene(arguments.device, (arguments.kind,))
    memory = scene.played(arguments.kind, arguments.interactions, arguments.count)
    return json.dumps([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, memory.size_bytes])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("time", "memory", "peak"), help="peak: one row of memory, as JSON")
    parser.add_argument("--interactions", type=int, default=150)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kind", choices=KINDS, default="both")
    parser.add_argument("--count", type=int, default=60)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.what == "peak":
        print(peak(arguments))
        return
    sheet = times(arguments.device, arguments.turns) if arguments.what == "time" else memories(arguments)
    print(sheet.markdown())
    Console(stderr=True).print(sheet.table())


if __name__ == "__main__":
    main()
