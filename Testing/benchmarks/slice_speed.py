"""Slices followed a second through slices of 512 x 512, with the peers in turn on the same object, several times.

    python Testing/benchmarks/slice_speed.py [--slices 60] [--rounds 5] [--model slices] [--peer slice-geodesic]

An ellipsoid of the size of a liver beside one like it, in a noisy volume of 0.75 x 0.75 x 3 mm voxels. Seconds of the
clock are what a user waits; seconds of the processor tell the same on a machine that does other things too.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from memseg.build import build, build_slices
from memseg.geometry import Box, Grid
from memseg.prompts import MaskPrompt
from memseg.session import Session
from memseg.volume import Volume

_SPACING_KJI_MM = (3.0, 0.75, 0.75)


def liver(slices: int) -> tuple[Volume, np.ndarray]:
    """An int16 volume and a bool mask of the object in it."""
    k, j, i = np.ogrid[:slices, :512, :512]
    place = (k - slices // 2) / slices
    image = np.random.default_rng(0).normal(0, 15, (slices, 512, 512))
    truth = (place / 0.53) ** 2 + ((j - 230) / 90) ** 2 + ((i - 170 - 60 * place) / 110) ** 2 < 1
    beside = (place / 0.66) ** 2 + ((j - 330) / 60) ** 2 + ((i - 360) / 90) ** 2 < 1
    image += 60 * truth + 90 * beside
    return Volume(image.astype(np.int16), Grid.from_spacing(image.shape, _SPACING_KJI_MM)), truth


def followed(name: str, volume: Volume, truth: np.ndarray) -> tuple[float, float, float, float]:
    """Seconds to the first slice; of the clock and of the processor for each later one; Dice in the end."""
    session = Session(volume, build("geodesic"), slices=build_slices(name))
    middle = volume.shape_kji[0] // 2
    slab = Box((middle, 0, 0), (middle + 1, *volume.shape_kji[1:]))
    session.add(MaskPrompt(volume.shape_kji, slab, truth[slab.slices].astype(np.uint8)))
    start = time.perf_counter()
    steps = session.propagate("k", middle)
    next(steps)
    first = time.perf_counter() - start
    clock, processor = time.perf_counter(), time.process_time()
    count = sum(1 for _ in steps)
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    mask = session.mask_kji > 0
    shared = 2 * np.count_nonzero(mask & truth) / (np.count_nonzero(mask) + np.count_nonzero(truth))
    return first, clock / count, processor / count, shared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="slices")
    parser.add_argument("--peer", default="slice-geodesic")
    given = parser.parse_args()
    console = Console()
    with console.status("Making the volume"):
        volume, truth = liver(given.slices)
    names = (given.model, given.peer)
    for name in names:  # what is built and compiled once is no part of it
        followed(name, volume, truth)
    rounds = {name: [] for name in names}
    for number in range(given.rounds):
        with console.status(f"Round {number + 1} of {given.rounds}"):
            for name in names:
                rounds[name].append(followed(name, volume, truth))
    table = Table("method", "first slice, s", "slices/s", "slices/s of one processor", "Dice", "times slower")
    reference = float(np.median([each[1] for each in rounds[given.model]]))
    for name, measured in rounds.items():
        first, clock, processor, overlap = np.median(measured, axis=0)
        cells = (f"{first:.2f}", f"{1 / clock:.1f}", f"{1 / processor:.1f}", f"{overlap:.3f}")
        table.add_row(name, *cells, f"{clock / reference:.2f}")
    console.print(f"{volume.shape_kji} voxels, medians of {given.rounds} rounds")
    console.print(table)


if __name__ == "__main__":
    main()
