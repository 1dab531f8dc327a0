"""Seconds per click on a synthetic body of 512 x 512 x 600 voxels, MemSeg against Grow from seeds on the same clicks.

    python Testing/benchmarks/speed.py [--slices 600] [--clicks 5] [--model geodesic] [--peer growcut]

Thirty ellipsoids from 3 mm to 90 mm across, some touching, in a noisy body of 0.7 x 0.7 x 1 mm voxels.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from memseg.build import build
from memseg.evaluation.methods import peer
from memseg.evaluation.metrics import dice
from memseg.evaluation.simulation import next_click
from memseg.geometry import Box, Grid
from memseg.prompts import Click
from memseg.segmenters.base import Segmenter
from memseg.session import Session
from memseg.volume import Volume

SPACING_KJI_MM = (1.0, 0.7, 0.7)
OBJECTS = 30


def body(slices: int) -> tuple[Volume, list[tuple[Box, np.ndarray]]]:
    """An int16 volume and its objects, each the box and bool crop of an ellipsoid."""
    rng = np.random.default_rng(0)
    shape = (slices, 512, 512)
    image = rng.integers(-15, 16, shape, dtype=np.int16)
    objects = []
    for number in range(OBJECTS):
        radii = np.geomspace(3, 90, OBJECTS)[number] / 2 * rng.uniform(0.7, 1.3, 3) / SPACING_KJI_MM
        centre = np.array(
            [rng.uniform(min(radius, size / 2), max(size - radius, size / 2 + 1)) for radius, size in zip(radii, shape)]
        )
        box = Box(tuple(np.floor(centre - radii).astype(int)), tuple(np.ceil(centre + radii).astype(int) + 1)).clipped(
            shape
        )
        axes = np.ogrid[tuple(slice(low, high) for low, high in zip(box.start_kji, box.stop_kji))]
        inside = sum(((axis - middle) / radius) ** 2 for axis, middle, radius in zip(axes, centre, radii)) <= 1
        image[box.slices][inside] += int(rng.choice([-1, 1]) * rng.integers(40, 120))
        objects.append((box, inside))
    return Volume(image, Grid.from_spacing(shape, SPACING_KJI_MM)), objects


def measure(
    segmenter: Segmenter, volume: Volume, objects: list[tuple[Box, np.ndarray]], clicks: int
) -> tuple[list[float], list[float], list[float]]:
    """Seconds of first clicks, seconds of corrections, Dice after the last click, over all objects."""
    first, later, overlaps = [], [], []
    for box, inside in objects:
        session = Session(volume, segmenter)
        for number in range(clicks):
            view = box.union(session.extent).grown(1).clipped(volume.shape_kji)
            truth = np.zeros(view.shape_kji, bool)
            truth[box.relative_to(view).slices] = inside
            mask = session.mask_kji[view.slices] > 0
            click = next_click(truth, mask, SPACING_KJI_MM)
            if click is None:
                break
            moved = Click(tuple(np.add(click.point_kji, view.start_kji)), click.positive)
            start = time.perf_counter()
            session.add(moved)
            (later if number else first).append(time.perf_counter() - start)
        box_after = box.union(session.extent)
        truth = np.zeros(box_after.shape_kji, bool)
        truth[box.relative_to(box_after).slices] = inside
        overlaps.append(dice(truth, session.mask_kji[box_after.slices]))
    return first, later, overlaps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--clicks", type=int, default=5)
    parser.add_argument("--model", default="geodesic")
    parser.add_argument("--peer", default="growcut")
    given = parser.parse_args()
    console = Console()
    with console.status("Making the volume"):
        volume, objects = body(given.slices)
    table = Table("method", "first, median", "first, worst", "later, median", "later, worst", "Dice", "times slower")
    reference = None
    for segmenter in (build(given.model), *([peer(given.peer)] if given.peer else [])):
        with console.status(f"Measuring {segmenter.card.name}"):
            first, later, overlaps = measure(segmenter, volume, objects, given.clicks)
        everything = float(np.median(first + later))
        reference = reference or everything
        cells = [f"{value:.3f}" for times in (first, later or [0.0]) for value in (np.median(times), max(times))]
        table.add_row(segmenter.card.name, *cells, f"{np.mean(overlaps):.3f}", f"{everything / reference:.1f}")
    console.print(f"{volume.shape_kji} voxels, {len(objects)} objects, {given.clicks} clicks each at most")
    console.print(table)


if __name__ == "__main__":
    main()
