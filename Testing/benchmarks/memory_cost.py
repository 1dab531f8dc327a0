"""What remembering costs nano: seconds a click and bytes kept, by how many interactions are remembered.

    python Testing/benchmarks/memory_cost.py [--repeats 15] [--device cpu]

The left kidney of the bundled CT is clicked 61 times; the last click is then answered again and again with the last 0,
10, 20, 30 and 60 interactions at hand, in turns, so that a busy machine slows all of them alike. Features of the region
are cached, as they are for a user who corrects: memory is measured against the quickest click there is.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from memseg.build import build
from memseg.evaluation import dataset
from memseg.evaluation.simulation import next_click
from memseg.memory.interaction import CAPACITY, InteractionMemory
from memseg.prompts import Click
from memseg.session import Session

COUNTS = (0, 10, 20, 30, CAPACITY)


def clicked(session: Session, truth: np.ndarray, clicks: int) -> None:
    """Corrections of the largest error; once nothing is wrong, confirmations at random places of the truth."""
    rng = np.random.default_rng(0)
    inside = np.argwhere(truth)
    spacing = session.volume.grid.spacing_kji_mm
    for _ in range(clicks):
        click = next_click(truth, session.mask_kji > 0, spacing) or Click(tuple(inside[rng.integers(len(inside))]))
        session.add(click)


def measure(session: Session, device: str, repeats: int) -> dict[int, list[float]]:
    """Seconds by the number of entries."""
    segmenter = build("nano", device)
    entries = session.memory.of_model("nano")
    seconds: dict[int, list[float]] = {count: [] for count in COUNTS}
    for turn in range(repeats + 1):
        for count in COUNTS:
            start = time.perf_counter()
            segmenter.predict(session.volume, session.prompts, session.mask_kji, entries[-count:] if count else None)
            if turn:  # the first turn warms up
                seconds[count].append(time.perf_counter() - start)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", nargs="?", default="MemSegSlicer/Resources/SampleData")
    parser.add_argument("--name", default="kidney_left")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    entry = dataset.read(arguments.dataset).entries[0]
    found = next(each for each in dataset.objects_of(entry, 255) if each.name.lower() == arguments.name)
    truth = np.zeros(found.volume.shape_kji, bool)
    truth[found.box.slices] = found.truth
    session = Session(found.volume, build("nano", arguments.device))
    clicked(session, truth, CAPACITY + 1)
    seconds = measure(session, arguments.device, arguments.repeats)
    table = Table("memories", "ms a click, median", "over none", "kept, kB")
    for count in COUNTS:
        kept = InteractionMemory(session.memory.entries[-count:] if count else ()).size_bytes / 1000
        median = float(np.median(seconds[count]))
        ratio = median / float(np.median(seconds[0]))
        table.add_row(str(count), f"{1000 * median:.0f}", f"{ratio:.2f}", f"{kept:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
