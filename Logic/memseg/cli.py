"""The command line: `memseg segment | propagate | models | evaluate ...`, and whatever the shells add (`app`, `demo`).

Commands only read arguments, call the engine and print; what goes wrong is one sentence on the error stream and exit
status 1. Ctrl-C stops at once and leaves no half-written file; pressing it again while that happens changes nothing.
"""

from __future__ import annotations

import logging
import re
import signal
import sys
import time
from enum import StrEnum
from importlib.metadata import entry_points
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status
from rich.table import Table

from . import __version__
from .auto_command import auto
from .bank_command import bank
from .collect_command import collect
from .errors import MemSegError, PromptError
from .files import read_mask, read_volume, write_segmentation
from .geometry import nearest_voxel
from .models_command import app as models
from .prompts import BoxPrompt, Click, MaskPrompt, Prompt, Text
from .propagate_command import propagate
from .recall_command import app as recall
from .session import new_session
from .text.grounding import Grounding
from .training.command import app as train
from .volume import Volume
from .watching import Watch

app = typer.Typer(
    name="memseg",
    help="Segment medical volumes by clicks and other prompts. Points are world RAS in mm, as 3D Slicer shows them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
evaluate = typer.Typer(
    help="Measure models on labelled data, against each other on the same objects.", no_args_is_help=True
)
app.command()(propagate)
app.command()(auto)
app.command()(collect)
app.add_typer(evaluate, name="evaluate")
app.add_typer(train, name="train")
app.add_typer(models, name="models")
recall.command()(bank)
app.add_typer(recall, name="recall")


class Switch(StrEnum):
    ON = "on"
    OFF = "off"


console = Console()
log = logging.getLogger(__name__)


def parse_point(words: str) -> tuple[float, float, float]:
    """'R,A,S' in mm; PromptError where it is anything else."""
    try:
        values = tuple(float(word) for word in words.split(","))
    except ValueError:
        values = ()
    if len(values) != 3:
        raise PromptError(f"'{words}' is not a point; give three numbers R,A,S in mm, such as 12.5,-40,230.")
    return values


def click_from_words(words: str, volume: Volume, positive: bool) -> Click:
    return Click(tuple(nearest_voxel(volume.grid.kji_from_ras(parse_point(words)))), positive)


def box_from_words(words: str, volume: Volume) -> BoxPrompt:
    """Two opposite corners 'R,A,S:R,A,S'; the box holds the voxels at both."""
    corners = words.split(":")
    if len(corners) != 2:
        raise PromptError(f"'{words}' is not a box; give two corners R,A,S:R,A,S in mm.")
    ends = nearest_voxel([volume.grid.kji_from_ras(parse_point(corner)) for corner in corners])
    return BoxPrompt(tuple(ends.min(axis=0)), tuple(ends.max(axis=0) + 1))


def in_order(texts: list[Text], clicks: list[Click]) -> list[Prompt]:
    """Words before the clicks that correct them, but after those that they speak of ("near the click")."""
    spoken_of = any(re.search(r"\bclick", text.words, re.IGNORECASE) for text in texts)
    return [*clicks, *texts] if spoken_of else [*texts, *clicks]


def _shown(status: Status, words: str) -> Watch:
    """How far an answer is that takes long, behind the words."""
    return Watch(lambda progress: status.update(f"{words}: {progress.words}"))


def print_understood(understood: Grounding) -> None:
    """How words were understood, what each link of the chain says, and what else they may mean."""
    console.print(understood.sentence, markup=False, highlight=False)
    for link in understood.links:
        log.info("%s", link)
    for number, other in enumerate(understood.found[1:], start=1):
        words = f"  or {number}: {other.title}, {other.confidence:.0%} sure. {other.why}"
        console.print(words, markup=False, highlight=False)


@app.command()
def segment(
    image: Annotated[Path, typer.Argument(help="NIfTI, NRRD or MetaImage file, or a folder with one DICOM series.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write: .seg.nrrd, .nii.gz, .nrrd or .mha.")],
    click: Annotated[list[str] | None, typer.Option(help="R,A,S of a point in the object; may be repeated.")] = None,
    negative: Annotated[
        list[str] | None, typer.Option(help="R,A,S of a point outside the object; may be repeated.")
    ] = None,
    box: Annotated[
        list[str] | None, typer.Option(help="R,A,S:R,A,S, two corners round the object; may be repeated.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(help="A mask to start from, on the image's grid.")] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(help="What to segment, in words, such as 'left kidney'; again to change it: 'grow by 2 mm'."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="One that `memseg models` lists; without: the default.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    memory: Annotated[bool, typer.Option(help="Remember earlier prompts.")] = True,
    name: Annotated[str | None, typer.Option(help="The segment's name; without: what the words name.")] = None,
) -> None:
    """Segment one object: mask first, then boxes, text, positive clicks, negative clicks, in that order.

    Words take the place of what was there before, and clicks correct it; words that speak of a click come after it.
    """
    with console.status(f"Reading {image.name}"):
        volume = read_volume(image)
    prompts: list[Prompt] = [MaskPrompt.from_mask(read_mask(mask, volume))] if mask else []
    prompts += [box_from_words(words, volume) for words in box or ()]
    clicks = [click_from_words(words, volume, True) for words in click or ()]
    clicks += [click_from_words(words, volume, False) for words in negative or ()]
    prompts += in_order([Text(words) for words in text or ()], clicks)
    if not prompts:
        raise PromptError("There is no prompt; give at least one --click R,A,S, --box, --mask or --text.")
    session, named = new_session(volume, model, device, memory), ""
    table = Table("prompt", "kind", "voxels changed", "seconds", title=f"{image.name}, model {session.model}")
    for number, prompt in enumerate(prompts, start=1):
        start = time.perf_counter()
        words = f"Prompt {number} of {len(prompts)}"
        with console.status(words) as status, _shown(status, words).over():
            change = session.add(prompt)
        if session.note:
            console.print(session.note)
        if session.understood is not None:
            print_understood(session.understood)
            named = session.understood.name or named
        seconds = f"{time.perf_counter() - start:.2f}"
        table.add_row(
            str(number), f"{prompt.kind} {'+' if prompt.positive else '-'}", str(change.voxels_changed), seconds
        )
    console.print(table)
    voxels = int(session.mask_kji[session.extent.slices].sum())
    if voxels == 0:
        raise PromptError("The mask is empty, so nothing was written; click inside the object.")
    with console.status(f"Writing {output.name}"):
        write_segmentation(output, {name or named or "object": session.mask_kji}, volume)
    millilitres = voxels * volume.grid.voxel_volume_mm3 / 1000
    console.print(f"{output}: {voxels} voxels, {millilitres:.1f} ml")


@evaluate.command("clicks")
def evaluate_clicks(
    dataset: Annotated[Path, typer.Argument(help="Folder with a manifest.json: images, labels, names and values.")],
    model: Annotated[str | None, typer.Option(help="The model to measure; without: the default.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    memory: Annotated[Switch, typer.Option(help="Whether models remember earlier clicks.")] = Switch.ON,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            help="Compare with growcut, randomwalker or a model; NAME:off without memory, NAME:10 with 10 entries of "
            "it, NAME:sparse, NAME:dense, NAME:both by what is read; repeatable."
        ),
    ] = None,
    clicks: Annotated[int, typer.Option(min=1, max=200, help="Clicks on each object.")] = 10,
    subjects: Annotated[str, typer.Option(help="validation, training or all.")] = "validation",
    protocol: Annotated[
        str, typer.Option("--clicks-by", help="own: each method's errors; shared: the model's.")
    ] = "own",
    json: Annotated[Path | None, typer.Option(help="Write every figure there.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many objects, spread over the volumes.")] = None,
    noise_mm: Annotated[float, typer.Option(min=0, help="How far every click lies off, in a random direction.")] = 0,
    wrong: Annotated[float, typer.Option(min=0, max=1, help="The share of clicks with the wrong sign.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise: the same seed, the same noise.")] = 0,
) -> None:
    """Simulated clicks: Dice and surface Dice after each, clicks to 85 %, seconds a click, averaged by source."""
    from .evaluation.run import Options, run

    asked = Options(
        dataset=dataset,
        model=model,
        device=device,
        memory=memory is Switch.ON,
        peers=tuple(peer or ()),
        clicks=clicks,
        subjects=subjects,
        protocol=protocol,
        json=json,
        limit=limit,
        noise_mm=noise_mm,
        wrong=wrong,
        seed=seed,
    )
    run(asked, console)


@evaluate.command("study")
def evaluate_study(
    dataset: Annotated[Path, typer.Argument(help="Folder with a manifest.json: images, labels, names and values.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the report, such as RESULTS-nano.md.")],
    model: Annotated[str, typer.Option(help="The model to study.")] = "nano",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    peer: Annotated[
        list[str] | None, typer.Option(help="Compare with these instead of geodesic, growcut and randomwalker.")
    ] = None,
    clicks: Annotated[int, typer.Option(min=1, max=200, help="Clicks on each object.")] = 20,
    capacity_clicks: Annotated[
        int, typer.Option(min=1, max=200, help="Clicks on each object where memories of 10 to 60 entries are compared.")
    ] = 70,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many objects in all.")] = None,
    study_limit: Annotated[int, typer.Option(min=1, help="At most so many objects in each study of the memory.")] = 24,
    subjects: Annotated[str, typer.Option(help="validation, training or all.")] = "validation",
    seed: Annotated[int, typer.Option(min=0, help="Of the noise: the same seed, the same noise.")] = 0,
    parts: Annotated[
        Path | None, typer.Option(help="Folder that keeps each part when it is done; run again to go on from there.")
    ] = None,
) -> None:
    """The whole proof as one Markdown report: peers, memory on and off, capacity, kinds of memory, noise, attention."""
    from .evaluation.study import PEERS, StudyOptions, study

    asked = StudyOptions(
        dataset=dataset,
        output=output,
        model=model,
        device=device,
        peers=tuple(peer) if peer else PEERS,
        clicks=clicks,
        capacity_clicks=capacity_clicks,
        limit=limit,
        study_limit=study_limit,
        subjects=subjects,
        seed=seed,
        parts=parts,
    )
    study(asked, console)


@evaluate.command("propagation")
def evaluate_propagation(
    dataset: Annotated[Path, typer.Argument(help="Folder with a manifest.json: images, labels, names and values.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a Markdown report there, such as RESULTS-slices.md.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The slice segmenter to measure; without: the default.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    peer: Annotated[
        list[str] | None,
        typer.Option(
            help="Compare with these instead of the usual ones: a slice segmenter, NAME:recent, NAME:self-sorting, "
            "NAME:similar, NAME:ours or NAME:single by its memory, copy, fill, or a model of volumes; repeatable."
        ),
    ] = None,
    axis: Annotated[str, typer.Option(help="k, j, i or all.")] = "k",
    corrections: Annotated[int, typer.Option(min=0, max=50, help="Slices corrected one by one.")] = 5,
    gap: Annotated[
        int, typer.Option(min=0, help="Also follow objects of 30 slices and more across a gap of so many.")
    ] = 0,
    subjects: Annotated[str, typer.Option(help="validation, training or all.")] = "validation",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many objects, spread over the volumes.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write every figure there.")] = None,
    parts: Annotated[
        Path | None, typer.Option(help="Folder that keeps each object when it is done; run again to go on from there.")
    ] = None,
) -> None:
    """Objects followed from true slices: Dice, slices too many and too few, slices a second, Dice after corrections."""
    from .evaluation.propagation.command import Options, run

    asked = Options(
        dataset=dataset,
        output=output,
        model=model,
        device=device,
        peers=tuple(peer) if peer else None,
        axis=axis,
        corrections=corrections,
        gap=gap,
        subjects=subjects,
        limit=limit,
        json=json,
        parts=parts,
    )
    run(asked, console)


@evaluate.command("text")
def evaluate_text(
    dataset: Annotated[Path, typer.Argument(help="Folder with a manifest.json: images, labels, names and values.")],
    queries: Annotated[
        Path | None, typer.Option(help="What is typed, and what it is to find; without: the project's queries.json.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a Markdown report there, such as RESULTS-text.md.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model that corrects and outlines; without: the default.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
    subjects: Annotated[str, typer.Option(help="Whose volumes are asked: validation, training or all.")] = "all",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many queries, at even distances.")] = None,
    curve: Annotated[bool, typer.Option(help="Also with 1, 3 and 10 remembered subjects.")] = True,
    json: Annotated[Path | None, typer.Option(help="Write every figure there.")] = None,
    parts: Annotated[
        Path | None, typer.Option(help="Folder that keeps each query when it is done; run again to go on from there.")
    ] = None,
) -> None:
    """Typed queries, the other subjects remembered: what is understood, found, its Dice before and after a click."""
    from .evaluation.text.command import Options, run

    asked = Options(
        dataset=dataset,
        queries=queries,
        model=model,
        device=device,
        subjects=subjects,
        limit=limit,
        curve=curve,
        json=json,
        output=output,
        parts=parts,
    )
    run(asked, console)


def _version(asked: bool) -> None:
    if asked:
        console.print(__version__)
        raise typer.Exit()


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more of what happens.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(message)s")


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, _already_stopping)
    raise KeyboardInterrupt


def _already_stopping(_number: int, _frame: FrameType | None) -> None:
    console.print("Stopping already; one moment.")


def _add_shell_commands() -> None:
    for entry in sorted(entry_points(group="memseg.commands"), key=lambda entry: entry.name):
        try:
            app.command(entry.name)(entry.load())
        except ImportError as error:
            log.info("The command '%s' is not available here: %s", entry.name, error)


def main() -> None:
    """Run the command line and exit: 0 done, 1 an error said in a sentence, 2 misuse, 130 Ctrl-C."""
    signal.signal(signal.SIGINT, _stop)
    try:
        _add_shell_commands()
        app()
    except MemSegError as error:
        Console(stderr=True).print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
