"""How long published models take against nano, in one run on one machine: their encoder, the first click, a later one.

    python Testing/benchmarks/published_speed.py [--rounds 5] [--clicks 3] [--device cpu] [--model NAME ...]
        [--threads 1 --clock processor]

Networks have their full size and weights drawn by chance, which changes no times; Memorizing SAM has a bank of 20
images. With the processor's clock and one thread, seconds of work are counted, which other programs hardly stretch. In
every round each model meets a new volume, so that nothing is cached, and answers a first click and then corrections
near it; models take turns, so that a busy machine slows all of them alike. Each looks where one click makes it look:
SAM-Med3D and its kin in one cube of 19 cm, SAM 2 on one slice. Prints Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from memseg.build import build
from memseg.evaluation.records import in_words, machine
from memseg.evaluation.sheets import Sheet
from memseg.geometry import Grid
from memseg.memory.bank import Surroundings
from memseg.networks.sam_med3d import count_parameters
from memseg.prompts import Click
from memseg.segmenters import random_weights
from memseg.segmenters.base import Segmenter
from memseg.segmenters.mais import MaisSegmenter
from memseg.segmenters.memorizing import MemorizingSegmenter, left_behind, tokens_of
from memseg.segmenters.sam2 import Following, MedSam2, Sam2Segmenter
from memseg.segmenters.sam_med3d import Extending, FastSam3DSegmenter, SamMed3DSegmenter
from memseg.session import Session
from memseg.volume import Volume

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
MODELS = ("nano", "sam-med3d", "mais", "fastsam3d", "memorizing-sam", "medsam2", "sam2-tiny")
BANK = 20
SHAPE, SPACING_KJI_MM = (160, 320, 320), (1.5, 0.8, 0.8)


@dataclass
class Timed:
    """A model and the seconds it took: in the encoder for a first click, for first clicks, and for later ones."""

    name: str
    segmenter: Segmenter
    parameters: int
    clock: Callable[[], float]
    encoder: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)


def body() -> Volume:
    """A bright ellipsoid of 6 cm in noise."""
    axes = np.ogrid[tuple(slice(0, size) for size in SHAPE)]
    away_mm = [(axis - size / 2) * step for axis, size, step in zip(axes, SHAPE, SPACING_KJI_MM)]
    inside = sum(np.square(each / 30) for each in away_mm) <= 1
    noise = np.random.default_rng(0).normal(100, 20, SHAPE)
    return Volume((noise + 80 * inside).astype(np.float32), Grid.from_spacing(SHAPE, SPACING_KJI_MM))


def clicks(count: int) -> list[Click]:
    """The first in the middle, the others near it, with signs in turn; on one slice, as SAM 2 is asked."""
    rng, (k, j, i) = np.random.default_rng(1), (size // 2 for size in SHAPE)
    near = [tuple(int(value) for value in rng.integers(-25, 26, 2)) for _ in range(count)]
    return [Click((k, j, i)), *(Click((k, j + dj, i + di), n % 2 == 1) for n, (dj, di) in enumerate(near))]


def remembered(network: Any) -> tuple[Any, ...]:
    """What a bank of images leaves behind."""
    rng, form = np.random.default_rng(2), np.diag([1.5, 1.5, 1.5, 1])
    form[:3, 3] = -95.25  # mm from the first of 128 samples to the middle
    images = (rng.normal(100, 20, (128, 128, 128)).astype(np.float32) for _ in range(BANK))
    return tuple(
        tokens_of(left_behind(network, Surroundings(f"{n:032x}", image, form))) for n, image in enumerate(images)
    )


def made(name: str, device: str) -> Segmenter:
    if name == "nano":
        return build("nano", device)
    network, one_window, one_slice = random_weights.network(name), Extending(windows=1), Following(most=0)
    if name == "memorizing-sam":
        network.remembered = remembered(network)
    makers: dict[str, Callable[[], Segmenter]] = {
        "sam-med3d": lambda: SamMed3DSegmenter(network, device, one_window),
        "mais": lambda: MaisSegmenter(network, device, one_window),
        "fastsam3d": lambda: FastSam3DSegmenter(network, device, one_window),
        "memorizing-sam": lambda: MemorizingSegmenter(network, device, one_window),
        "medsam2": lambda: MedSam2(network, device, one_slice),
        "sam2-tiny": lambda: Sam2Segmenter(network, device, one_slice),
    }
    return makers[name]()


def timed(name: str, device: str, clock: Callable[[], float]) -> Timed:
    """The model, its encoder under the clock."""
    segmenter = made(name, device)
    network = segmenter._engine.network
    found, encode = Timed(name, segmenter, count_parameters(network), clock), network.encode

    def watched(*given: Any) -> Any:
        start = clock()
        try:
            return encode(*given)
        finally:
            wait(device)
            found.encoder.append(clock() - start)

    network.encode = watched
    return found


def wait(device: str) -> None:
    if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        torch.cuda.synchronize()


def play(model: Timed, volume: Volume, given: list[Click], device: str, counts: bool) -> None:
    """A session on a volume nobody has met. counts: whether its times do; the first session of all warms up."""
    session, clock = Session(replace(volume), model.segmenter), model.clock
    before = len(model.encoder)
    for number, click in enumerate(given):
        start = clock()
        session.add(click)
        wait(device)
        seconds = clock() - start
        if counts:
            (model.later if number else model.first).append(seconds)
        if number == 0:  # what one click encodes, however many regions that are
            model.encoder[before:] = [sum(model.encoder[before:])] if counts else []
    del model.encoder[before + counts :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clicks", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", action="append")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    volume, made_clicks = body(), clicks(given.clicks)
    names = [name for name in MODELS if name == "nano" or given.model is None or name in given.model]
    models = [timed(name, given.device, CLOCKS[given.clock]) for name in names]
    for counts in (False, *[True] * given.rounds):
        for model in models:
            play(model, volume, made_clicks, given.device, counts)
    nano = models[0]
    rows = []
    for model in models:
        cells = [model.name, f"{model.parameters / 1e6:.1f}"]
        for part in ("encoder", "first", "later"):
            here, there = np.median(getattr(model, part)), np.median(getattr(nano, part))
            cells += [f"{here:.3f}", f"{here / there:.1f}"]
        rows.append(tuple(cells))
    heads = (
        "model",
        "million parameters",
        "encoder, s",
        "x nano",
        "first click, s",
        "x nano",
        "later click, s",
        "x nano",
    )
    title = f"Medians of {given.rounds} rounds, {given.clicks} later clicks each, {given.clock} clock"
    print(Sheet(title, heads, tuple(rows)).markdown())
    here = machine()
    print(in_words(here, [here["peak_memory_mb"]]), f"{torch.get_num_threads()} threads.")


if __name__ == "__main__":
    main()
