"""Dice against clicks with MAIS's memory and without, for models trained here, as in the table of the MAIS paper.

    python Testing/benchmarks/mais_clicks.py DATASET --model NAME=FILE [--model NAME=FILE ...] [--clicks 20]
        [--limit OBJECTS] [--json FILE]

FILE is what `memseg train sam-med3d` or `memseg train mais` wrote; NAME=FILE:none reads nothing of the memory it has,
:sparse and :dense one kind, and :10 remembers 10 interactions. Every model plays the validation subjects of a data set
through a real session, each corrected where it errs (see `memseg evaluate clicks`), in one run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from rich.console import Console

from memseg.evaluation import dataset
from memseg.evaluation.clicks import Rules
from memseg.evaluation.methods import Method
from memseg.evaluation.report import summarize
from memseg.evaluation.run import measured, progress_of
from memseg.evaluation.sheets import sheets_of
from memseg.memory.interaction import CAPACITY
from memseg.networks.mais import VARIANTS
from memseg.segmenters import sam_files, weights
from memseg.segmenters.mais import MaisSegmenter
from memseg.segmenters.sam_med3d import SamMed3DSegmenter


def method_of(spelling: str, device: str) -> Method:
    name, _, rest = spelling.partition("=")
    path, _, word = rest.partition(":")
    capacity = int(word) if word.isdigit() else CAPACITY
    if not path or not (word in ("", *VARIANTS) or word.isdigit()) or capacity < 1:
        raise SystemExit(f"'{spelling}' is no way to name a model; write NAME=FILE, NAME=FILE:none or NAME=FILE:10.")
    file = Path(path)
    if weights.model_of(file) == sam_files.MAIS:
        reads = word if word in VARIANTS else "both"
        return Method(name, MaisSegmenter.from_file(file, device, reads), capacity=capacity)
    return Method(name, SamMed3DSegmenter.from_file(file, device))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model", action="append", required=True, metavar="NAME=FILE")
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--limit", type=int, help="objects at most")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="where every object's scores go")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    methods = tuple(method_of(spelling, arguments.device) for spelling in arguments.model)
    console = Console(stderr=True)
    selection = dataset.select(arguments.dataset, "validation", arguments.limit)
    with progress_of(console) as progress:
        record = measured(selection, methods, Rules(arguments.clicks), progress)
    if arguments.json:
        record.write(arguments.json)
    volumes = len({result.entry for result in record.results})
    print(f"{len(record.results)} objects of {volumes} volumes, {arguments.clicks} clicks each at most.\n")
    for sheet in sheets_of(summarize(record.results)):
        print(sheet.markdown())


if __name__ == "__main__":
    main()
