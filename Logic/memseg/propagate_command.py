"""`memseg propagate`: an object followed from slice to slice, or from time point to time point."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .errors import PromptError, SessionError
from .files import check_output, ending, read_mask, read_sequence, read_volume, write_segmentation, write_sequence
from .geometry import AXES, Box
from .prompts import MaskPrompt
from .propagation import PATIENCE, SliceStep
from .session import Session, new_session
from .volume import Volume

console = Console()
_STOPPED = 130


def propagate(
    image: Annotated[Path, typer.Argument(help="NIfTI, NRRD or MetaImage file, or a DICOM folder; 4D for --axis t.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write: .seg.nrrd, .nii.gz, .nrrd or .mha.")],
    mask: Annotated[Path, typer.Option(help="The object in at least one slice, on the image's grid.")],
    axis: Annotated[str, typer.Option(help="k, j or i, or t through the time points of a 4D image.")] = "k",
    reference: Annotated[
        list[int] | None,
        typer.Option(help="A slice where the mask is right, from 0; repeatable. Along t: the mask's time point."),
    ] = None,
    first: Annotated[int | None, typer.Option(help="The first slice or time point to fill.")] = None,
    last: Annotated[int | None, typer.Option(help="The last slice or time point to fill.")] = None,
    direction: Annotated[str, typer.Option(help="both, up (to higher numbers) or down.")] = "both",
    policy: Annotated[
        str | None, typer.Option(help="What slice memory keeps: ours, recent, self-sorting or similar.")
    ] = None,
    patience: Annotated[int, typer.Option(help="Slices in a row without the object that end it.")] = PATIENCE,
    model: Annotated[str | None, typer.Option(help="slices, slice-geodesic, medsam2, ...; without: our own.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    memory: Annotated[bool, typer.Option(help="Remember the slices met.")] = True,
    consistent: Annotated[bool, typer.Option("--consistent", help="Even the slices out at the end.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Write what was done so far when stopped by Ctrl-C.")] = False,
    name: Annotated[str, typer.Option(help="The segment's name.")] = "object",
) -> None:
    """Follow an object from slice to slice, from slices where its mask is right to where it ends."""
    check_output(output, in_time=axis == "t" and ending(output) != ".seg.nrrd")
    if axis == "t":
        asked = TimeRange(reference, first, last, direction)
        _through_time(image, output, mask, asked, policy, model, device, memory, keep, name)
        return
    with console.status(f"Reading {image.name}"):
        volume = read_volume(image)
        prompt = MaskPrompt.from_mask(read_mask(mask, volume))
    session = new_session(volume, "geodesic", device, memory, slice_model=model)
    session.add(prompt)
    steps = session.propagate(axis, reference, first, last, direction, policy, patience)
    most = volume.shape_kji[AXES.index(axis)]
    stopped = _run(session, steps, f"Slices along {axis}", most)
    if consistent and not stopped:
        change = session.make_consistent(axis)
        console.print(f"Evened out: {change.voxels_changed} voxels changed.")
    if stopped and not keep:
        console.print("Stopped; nothing was written.")
        raise typer.Exit(_STOPPED)
    with console.status(f"Writing {output.name}"):
        write_segmentation(output, {name: session.mask_kji}, volume)
    voxels = _voxels(session)
    console.print(f"{output}: {voxels} voxels, {voxels * volume.grid.voxel_volume_mm3 / 1000:.1f} ml")
    if stopped:
        raise typer.Exit(_STOPPED)


def _run(session: Session, steps: Iterable[SliceStep], title: str, most: int) -> bool:
    """Take all steps, with a bar; say where and why each side ended. Whether Ctrl-C stopped them."""
    start, taken, ends, stopped = time.perf_counter(), [], [], False
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=most)
        try:
            for step in steps:
                taken.append(step)
                ends += [step.stopped] if step.stopped else []
                progress.advance(task)
        except KeyboardInterrupt:
            stopped = True
            session.end_propagation()
    seconds = time.perf_counter() - start
    if session.note:
        console.print(session.note)
    for sentence in ends:
        console.print(sentence, highlight=False)
    present = [step for step in taken if step.present]
    sure = f", mean confidence {np.mean([step.confidence for step in present]):.2f}" if present else ""
    rate = f"{len(taken) / max(seconds, 1e-9):.1f} slices/s"
    console.print(f"{title}: {len(taken)} looked at, {len(present)} with the object, {rate}{sure}", highlight=False)
    return stopped


def _voxels(session: Session) -> int:
    return int(session.mask_kji[session.extent.slices].sum())


# -- time ------------------------------------------------------------------------------------------------------------


class TimeRange:
    """The time points to follow an object to, from the one of its mask. Raises SessionError in `of`."""

    def __init__(self, reference: Sequence[int] | None, first: int | None, last: int | None, direction: str) -> None:
        self._reference, self._first, self._last, self._direction = list(reference or [0]), first, last, direction

    def of(self, count: int) -> tuple[int, list[tuple[int, int]]]:
        """The reference, and pairs (from, to) in the order in which they are followed."""
        if count < 2:
            raise SessionError("The image has one time point, so there is none to follow the object to.")
        if len(self._reference) != 1:
            raise SessionError("Along t the mask belongs to one time point; give one --reference.")
        if self._direction not in ("both", "up", "down"):
            raise SessionError(f"There is no direction '{self._direction}'; choose both, up or down.")
        start = self._reference[0]
        low, high = self._first or 0, count - 1 if self._last is None else self._last
        if not 0 <= low <= start <= high < count:
            raise SessionError(
                f"The time points {low} to {high} are to hold the reference {start} and lie in 0 to {count - 1}."
            )
        up = [(point, point + 1) for point in range(start, high)] if self._direction != "down" else []
        down = [(point, point - 1) for point in range(start, low, -1)] if self._direction != "up" else []
        if not up + down:
            raise SessionError("There is no time point to follow the object to; widen the range.")
        return start, up + down


def _through_time(
    image: Path,
    output: Path,
    mask: Path,
    asked: TimeRange,
    policy: str | None,
    model: str | None,
    device: str,
    memory: bool,
    keep: bool,
    name: str,
) -> None:
    with console.status(f"Reading {image.name}"):
        volumes = read_sequence(image)
        start, pairs = asked.of(len(volumes))
        prompt = MaskPrompt.from_mask(read_mask(mask, volumes[start]))
    if prompt.box.is_empty:
        raise PromptError("The mask is empty; draw the object at one time point first.")
    sessions = [new_session(volume, "geodesic", device, memory, slice_model=model) for volume in volumes]
    sessions[start].add(prompt)
    stopped = False
    for earlier, later in pairs:
        if stopped or not _voxels(sessions[earlier]):
            continue
        steps = sessions[earlier].propagate("t", policy=policy, into=sessions[later])
        stopped = _run(sessions[later], steps, f"Time point {later}", _slices_of(sessions[earlier].extent))
    if stopped and not keep:
        console.print("Stopped; nothing was written.")
        raise typer.Exit(_STOPPED)
    masks = [session.mask_kji for session in sessions]
    with console.status(f"Writing {output.name}"):
        _write(output, masks, volumes, name)
    console.print(f"{output}: {sum(map(bool, map(_voxels, sessions)))} of {len(volumes)} time points hold the object")
    if stopped:
        raise typer.Exit(_STOPPED)


def _slices_of(extent: Box) -> int:
    return extent.shape_kji[0]


def _write(output: Path, masks: Sequence[np.ndarray], volumes: Sequence[Volume], name: str) -> None:
    """One 4D label map; as .seg.nrrd, which is of one time point, one file each: name-00.seg.nrrd, name-01.seg.nrrd."""
    if ending(output) != ".seg.nrrd":
        write_sequence(output, masks, volumes)
        return
    stem = output.name[: -len(".seg.nrrd")]
    for number, (mask, volume) in enumerate(zip(masks, volumes)):
        write_segmentation(output.with_name(f"{stem}-{number:02d}.seg.nrrd"), {name: mask}, volume)
