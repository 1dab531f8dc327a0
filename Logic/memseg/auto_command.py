"""`memseg auto`: a first guess of every structure, by a model that `memseg train auto` trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .automatic.collecting import listed
from .errors import ModelError
from .files import check_output, read_volume, write_segmentation

console = Console()


def auto(
    image: Annotated[Path, typer.Argument(help="NIfTI, NRRD or MetaImage file, or a folder with one DICOM series.")],
    model: Annotated[Path, typer.Option(help="The folder that `memseg train auto` wrote, or the file in it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write: .seg.nrrd, .nii.gz, .nrrd or .mha.")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
) -> None:
    """Propose every structure that a model was trained on, each a segment of its own, to be corrected by clicks."""
    check_output(output)
    from .automatic.model import AutoModel

    with console.status(f"Reading {image.name}"):
        volume = read_volume(image)
        trained = AutoModel.load(model, device)
    need = trained.need(volume)
    console.print(f"Windows to look at: {need.windows}; this takes about {need.bytes / 2**20:.0f} MB beside the image.")
    columns = (TextColumn("Looking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    masks = {}
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Looking", total=need.windows)
        for advance in trained.propose(volume):
            bar.update(task, completed=advance.done, total=advance.of)
            masks = advance.masks
    if note := trained.take_note():
        console.print(note)
    missing = [name for name in trained.plan.names if name not in masks]
    if not masks:
        raise ModelError(
            f"None of {listed(missing)} was found, so nothing was written; train the model longer, or on images "
            "like this one."
        )
    with console.status(f"Writing {output.name}"):
        write_segmentation(output, masks, volume)
    for name, mask in masks.items():
        millilitres = int(mask.sum()) * volume.grid.voxel_volume_mm3 / 1000
        console.print(f"{name}: {int(mask.sum())} voxels, {millilitres:.1f} ml", markup=False, highlight=False)
    if missing:
        console.print(f"Not found: {listed(missing)}.", markup=False, highlight=False)
    console.print(f"Written: {output}", markup=False, highlight=False)
