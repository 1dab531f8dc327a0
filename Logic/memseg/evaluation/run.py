"""`memseg evaluate clicks`: options in, progress and tables out. The command line only parses the options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .. import catalog
from ..errors import FileError
from . import dataset as datasets
from .clicks import ObjectScores, Rules, evaluate_clicks
from .dataset import Selection
from .methods import Method, methods_of
from .records import Record, machine, options_of
from .report import Summary, summarize
from .sheets import sheets_of
from .simulation import Noise


@dataclass(frozen=True)
class Options:
    """What to evaluate.

    model, peers: as methods.py spells them. memory: whether those remember that do not say. json: where to write, or
    None. protocol: whose errors place the corrections, "own" (each method's) or "shared" (the model's, for all).
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
    noise_mm: float = 0.0
    wrong: float = 0.0
    seed: int = 0


def run(options: Options, console: Console) -> tuple[Summary, ...]:
    """Evaluate, showing progress; print the tables and write the file. Raises MemSegError; Ctrl-C writes nothing."""
    rules = Rules(options.clicks, options.protocol, Noise(options.noise_mm, options.wrong, options.seed))
    selection = datasets.select(options.dataset, options.subjects, options.limit, options.most_objects)
    if options.json is not None:
        check_folder_of(options.json)
    methods = methods_of((options.model or catalog.default(), *options.peers), options.device, options.memory)
    with progress_of(console) as progress:
        record = measured(selection, methods, rules, progress)
    summaries = summarize(record.results)
    memory = "" if options.memory else ", memory off"
    console.print(title_of(record, options.subjects, rules) + memory, style="bold", markup=False)
    for sheet in sheets_of(summaries):
        console.print(sheet.table())
    for method in methods:
        if method.note:
            console.print(method.note, markup=False, highlight=False, soft_wrap=True)
    if (peak := record.machine["peak_memory_mb"]) is not None:
        console.print(f"Peak memory of the whole process, all methods and the images included: {peak} MB")
    if options.json is not None:
        record.write(options.json)
    return summaries


def check_folder_of(path: Path) -> None:
    """Raise FileError before any work where a file could not be written after it."""
    if not path.resolve().parent.is_dir():
        raise FileError(f"The folder for {path.name} does not exist; create it first.")


def make_folder(folder: Path) -> None:
    """Raises FileError where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"The folder {folder.name} cannot be made ({error.strerror}); choose another.") from error


def progress_of(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)


def measured(
    selection: Selection, methods: Sequence[Method], rules: Rules, progress: Progress, what: str = ""
) -> Record:
    """Play all objects. what: words before the object's name in the progress. Raises FileError where none is left."""
    results: list[ObjectScores] = []
    task = progress.add_task(what or "Objects", total=len(selection.numbers()))
    for result in evaluate_clicks(selection, methods, rules):
        results.append(result)
        progress.update(task, advance=1, description=f"{what}{result.entry}, {result.name}")
    progress.remove_task(task)
    if not results:
        raise FileError("None of the objects chosen is large enough to evaluate; choose more of them.")
    return Record(options_of(selection, methods, rules), machine(), tuple(results))


def title_of(record: Record, subjects: str, rules: Rules) -> str:
    sources = len({result.source for result in record.results})
    whose = "each method's own clicks" if rules.protocol == "own" else "the first method's clicks for all"
    noise = f", {rules.noise}" if str(rules.noise) else ""
    return f"{len(record.results)} objects of {sources} sources, {subjects} subjects, {whose}{noise}"
