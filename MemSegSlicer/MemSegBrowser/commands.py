"""`memseg app` and `memseg demo`: what the command line shows of the browser shell. VTK is imported when they run."""

from __future__ import annotations

import logging
import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

logger = logging.getLogger(__name__)

_IMAGE = "An image, a DICOM folder or a Slicer scene to open; the bundled abdomen CT where none is given."


def app(
    image: Annotated[Path | None, typer.Argument(help=_IMAGE)] = None,
    host: Annotated[
        str, typer.Option(help="Address to serve on; others than loopback let your network in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes 8080, or the next one that is free.")] = 0,
    model: Annotated[str | None, typer.Option(help="Model to start with.")] = None,
    device: Annotated[str, typer.Option(help="Where models run: auto, cpu or cuda.")] = "auto",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser where there is one.")] = True,
) -> None:
    """Segment in the browser: four views, clicks, corrections, undo."""
    from .run import run

    run(image, host, port, model, device, lambda address: _announce(address, browser))


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path("demo"),
    model: Annotated[str | None, typer.Option(help="Model to segment with; without: all that are here.")] = None,
) -> None:
    """Segment the bundled CT without a person, and write segmentation, pictures and a report."""
    from .demo import run

    console = Console()
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("Starting", total=1.0)
        results = run(output, model, lambda what, done: bar.update(task, description=what, completed=done))
        bar.update(task, description="Done", completed=1.0)
    table = Table("Organ", "Model", "Clicks", "Dice after 1", "Dice at the end", "Seconds a click")
    for organ in next(iter(results.values())):
        for name, organs in results.items():
            clicks = organs[organ]
            seconds = sum(click.seconds for click in clicks) / len(clicks)
            scores = (f"{clicks[0].dice:.2f}", f"{clicks[-1].dice:.2f}")
            table.add_row(organ, name, str(len(clicks)), *scores, f"{seconds:.2f}")
        table.add_section()
    console.print(table)
    console.print(f"Written to {output}", markup=False, highlight=False, soft_wrap=True)


def _announce(address: str, open_browser: bool) -> None:
    typer.echo(f"MemSegSlicer is at {address} (Ctrl-C stops it)")
    sys.stdout.flush()
    if open_browser and _has_display():
        webbrowser.open(address)


def _has_display() -> bool:
    return (
        os.name == "nt"
        or sys.platform == "darwin"
        or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    )
