"""`memseg evaluate clicks`: options in, progress and a table out. The command line only parses the options."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..build import build
from ..errors import FileError, ModelError
from ..segmenters.base import Segmenter
from . import dataset as datasets
from .clicks import PROTOCOLS, ObjectScores, evaluate_clicks, spread
from .report import Summary, summarize, tables_of, write_json

PEER_GROUP = "memseg.peers"


@dataclass(frozen=True)
class Options:
    """What to evaluate.

    peers: names of the entry-point group "memseg.peers", or of models. json: where to write, or None.
    protocol: whose errors place the corrections, "own" (each method's) or "shared" (the model's, for all).
    """

    dataset: Path
    model: str | None = None
    device: str = "auto"
    memory: bool = True
    peers: tuple[str, ...] = ()
    clicks: int = 10
    subjects: str = "validation"
    protocol: str = "own"
    json: Path | None = None
    limit: int | None = None
    most_objects: int = datasets.MOST_OBJECTS


def run(options: Options, console: Console) -> tuple[Summary, ...]:
    """Evaluate, showing progress; print the table and write the file. Raises MemSegError; Ctrl-C writes nothing."""
    if options.protocol not in PROTOCOLS:
        raise ModelError(f"There is no '{options.protocol}' protocol for clicks; choose own or shared.")
    if options.clicks < 1 or (options.limit is not None and options.limit < 1):
        raise FileError("Nothing would be evaluated; ask for at least one click and one object.")
    chosen = datasets.read(options.dataset).of_subjects(options.subjects)
    if not chosen.entries:
        raise FileError(f"The data set holds no {options.subjects} subjects; ask for --subjects all.")
    if options.json is not None and not options.json.resolve().parent.is_dir():
        raise FileError(f"The folder for {options.json.name} does not exist; create it first.")
    segmenters = [build(options.model, options.device), *(peer(name) for name in options.peers)]
    results: list[ObjectScores] = []
    total = len(spread(chosen, options.most_objects, options.limit))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Objects", total=total)
        for result in evaluate_clicks(
            chosen,
            segmenters,
            options.clicks,
            options.memory,
            options.protocol,
            options.most_objects,
            options.limit,
        ):
            results.append(result)
            progress.update(task, advance=1, description=f"{result.entry}, {result.name}")
    if not results:
        raise FileError("None of the objects chosen is large enough to evaluate; choose more of them.")
    summaries = summarize(results)
    for table in tables_of(summaries, title_of(options, results)):
        console.print(table)
    if options.json is not None:
        record = {**asdict(options), "dataset": options.dataset.name, "json": options.json.name}
        write_json(options.json, record, results)
    return summaries


def title_of(options: Options, results: list[ObjectScores]) -> str:
    sources = len({result.source for result in results})
    whose = "each method's own clicks" if options.protocol == "own" else "the model's clicks for all"
    memory = "memory on" if options.memory else "memory off"
    return f"{len(results)} objects of {sources} sources, {options.subjects} subjects, {whose}, {memory}"


def peer(name: str) -> Segmenter:
    """A method to compare with: an installed peer of that name, or else a model. Raises ModelError."""
    for entry in entry_points(group=PEER_GROUP):
        if entry.name == name:
            try:
                return entry.load()()
            except ImportError as error:
                raise ModelError(
                    f"The peer '{name}' needs Slicer's libraries; "
                    "install them with: pip install 'memsegslicer[browser]'."
                ) from error
    return build(name)
