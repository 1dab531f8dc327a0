"""Seconds to search a large recall memory, and to find structures by their names in a CT of 512 x 512 x 300 voxels.

    python Testing/benchmarks/recall_speed.py [--entries 5000] [--repeats 5]

The memory is the starter memory many times over, each copy of a slightly different scan. The CT is the bundled one,
interpolated to that size; the starter memory holds its organs, which makes no difference to the time. Nothing of the
volume is cached before. Processor time is told too, for a machine that does other work beside.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from memseg.build import build
from memseg.files import read_volume
from memseg.geometry import Grid
from memseg.memory.recall import RecallMemory
from memseg.memory.recall_files import starter
from memseg.prompts import Text
from memseg.session import Session
from memseg.text.places import landscape
from memseg.volume import Volume

IMAGE = Path(__file__).resolve().parents[2] / "MemSegSlicer" / "Resources" / "SampleData" / "AbdomenCT.nii.gz"
SHAPE_KJI = (300, 512, 512)
NAMES = ("left kidney", "spleen", "aorta", "L3", "liver")
SEARCHES = 200


def large(shape_kji: tuple[int, int, int]) -> Volume:
    """The bundled CT at that size."""
    volume = read_volume(IMAGE)
    finer = np.array(shape_kji) / volume.shape_kji
    matrix = volume.grid.ijk_to_ras.copy()
    matrix[:3, :3] /= finer[::-1]
    return Volume(ndimage.zoom(volume.array_kji, finer, order=1), Grid(shape_kji, matrix))


def many(count: int) -> RecallMemory:
    """The starter memory over and over, up to so many entries."""
    rng, shipped = np.random.default_rng(0), starter().entries
    entries = []
    for number in range(count):
        entry = shipped[number % len(shipped)]
        looks = entry.embedding + rng.normal(0, 0.05, entry.embedding.shape)
        entries.append(replace(entry, embedding=looks, identity=f"{number:032x}"))
    return RecallMemory(tuple(entries))


def timed(work: Callable[[], object], repeats: int) -> tuple[list[float], list[float]]:
    """Seconds by the clock and of the processors."""
    clock, processor = [], []
    for _ in range(repeats):
        start, spent = time.perf_counter(), time.process_time()
        work()
        clock.append(time.perf_counter() - start)
        processor.append(time.process_time() - spent)
    return clock, processor


def row(name: str, times: tuple[Sequence[float], Sequence[float]], scale: float, unit: str) -> tuple[str, ...]:
    clock, processor = times
    figures = (np.median(clock), max(clock), np.median(processor))
    return name, *(f"{figure * scale:.2f} {unit}" for figure in figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    memory, volume = many(arguments.entries), large(SHAPE_KJI)
    seen = landscape(volume).embedding
    table = Table("what", "median", "worst", "median, processor")
    first = timed(lambda: memory.nearest(seen, 12), 1)
    table.add_row(*row(f"first search of {len(memory)} entries", first, 1000, "ms"))
    table.add_row(*row("every later search", timed(lambda: memory.nearest(seen, 12), SEARCHES), 1000, "ms"))
    named = memory.named("mandible")
    among = timed(lambda: memory.nearest(seen, 12, named), SEARCHES)
    table.add_row(*row(f"search among {len(named)} of one name", among, 1000, "ms"))
    segmenter = build("nano", "cpu")
    for name in NAMES:

        def ask(words: str = name) -> None:
            Session(replace(volume), segmenter, recall=starter()).add(Text(words))

        table.add_row(*row(f"'{name}' to its mask", timed(ask, arguments.repeats), 1, "s"))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
