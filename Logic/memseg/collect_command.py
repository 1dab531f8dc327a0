"""`memseg collect`: a finished segmentation becomes a subject of the data set that `memseg train auto` learns from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .automatic.folder import folders

console = Console()


def collect(
    image: Annotated[Path, typer.Argument(help="NIfTI, NRRD or MetaImage file, or a folder with one DICOM series.")],
    segmentation: Annotated[Path, typer.Argument(help="Its finished segmentation, a .seg.nrrd with named segments.")],
    into: Annotated[
        Path | None, typer.Option(help="The data set's folder, made where it is not there; without: your own.")
    ] = None,
    modality: Annotated[str, typer.Option(help="What the image is, such as CT or MR, if known.")] = "unknown",
) -> None:
    """Add a finished segmentation to the data set for `memseg train auto`; the same image again takes its own place."""
    import numpy as np

    from .automatic.collecting import collect as collected
    from .geometry import Box
    from .training.auto_subjects import Subject, read

    chosen = folders()
    chosen = replace(chosen, data=into) if into is not None else chosen
    with console.status(f"Reading {image.name}"):
        drawn = read(Subject(segmentation.name, segmentation.name, image, segmentation, None, modality))
    structures = {}
    for name, mask in drawn.masks.items():
        box = Box.of_mask(mask)
        structures[name] = (box, np.ascontiguousarray(mask[box.slices]))
    with console.status(f"Writing to {chosen.data.name}"):
        done = collected(chosen.data, drawn.volume, structures, modality)
    console.print(done.sentence(chosen), markup=False, highlight=False, soft_wrap=True)
