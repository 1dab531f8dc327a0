"""`memseg evaluate text`: options in, progress, tables, a file and a Markdown report out."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from ... import catalog
from ...errors import FileError
from ...files import replacing
from ...memory.recall import RecallMemory
from ...text.terminology import of_name
from .. import dataset as datasets
from ..records import in_words, machine, write
from ..run import check_folder_of, make_folder, progress_of
from .cases import Case, Selection
from .memories import memory_of, subjects_of, without
from .parts import Parts
from .play import Player, Score, by_volume
from .summary import confidence_sheet, curve_sheet, goals_of, sheets_of

QUERIES = Path(__file__).resolve().parents[4] / "Testing" / "data" / "queries.json"
CURVE = (1, 3, 10)
ALL = "all"


@dataclass(frozen=True)
class Options:
    """What to evaluate. queries: the file, None for the one in the project's Testing/data. subjects: whose volumes are
    asked. curve: also with 1, 3 and 10 remembered subjects. json, output: files to write, or None. parts: a folder that
    keeps each query when it is done, or None."""

    dataset: Path
    queries: Path | None = None
    model: str | None = None
    device: str = "auto"
    subjects: str = "all"
    limit: int | None = None
    curve: bool = True
    json: Path | None = None
    output: Path | None = None
    parts: Path | None = None

    @property
    def command(self) -> str:
        """What to type to measure this again; of paths only the names."""
        words = ["memseg", "evaluate", "text", self.dataset.name]
        words += ["--queries", self.queries.name] if self.queries is not None else []
        words += ["-o", self.output.name] if self.output is not None else []
        for name in ("model", "subjects", "limit"):
            value = getattr(self, name)
            words += [f"--{name}", str(value)] if value is not None and (name, value) != ("subjects", "all") else []
        return shlex.join([*words, *([] if self.curve else ["--no-curve"])])


@dataclass(frozen=True)
class Record:
    """scores: each query with all other subjects remembered. curve: by number of remembered subjects, those queries
    that have as many. options: whatever decides the scores. machine: where they were measured."""

    options: dict[str, Any]
    machine: dict[str, Any]
    scores: tuple[Score, ...]
    curve: dict[str, tuple[Score, ...]]

    def write(self, path: Path) -> None:
        """The file appears whole or not at all. Raises FileError."""
        curve = [{"remembered": name, "scores": [asdict(score) for score in self.curve[name]]} for name in self.curve]
        goals = [dict(zip(("goal", "asked for", "measured", "queries"), row)) for row in goals_of(self.scores)]
        averages = {"goals": goals, "curve": curve}
        write(path, self.options, self.machine, averages, [asdict(score) for score in self.scores])


def run(options: Options, console: Console) -> Record:
    """Evaluate, showing progress; print the tables and write the files. Raises MemSegError; Ctrl-C writes neither."""
    dataset = datasets.read(options.dataset)
    selection = Selection.read(dataset, options.queries or QUERIES, options.subjects, options.limit)
    for path in (options.json, options.output):
        if path is not None:
            check_folder_of(path)
    if options.parts is not None:
        make_folder(options.parts)
    player = Player(options.model or catalog.default(), options.device)
    with progress_of(console) as progress:
        memory = _remembered(dataset, progress)
        decisive = _decisive(options, selection, player, memory)
        parts = Parts(options.parts, decisive, machine()) if options.parts is not None else None
        run = _Run(selection, player, memory, parts, progress)
        scores = tuple(run.scores(selection.cases, None))
        curve = {}
        if options.curve:
            asked = [case for case in selection.cases if run.has_subjects(case, CURVE[-1])]
            for count in CURVE if asked else ():
                curve[f"{count} {'subject' if count == 1 else 'subjects'}"] = tuple(run.scores(asked, count))
            if asked:
                identities = {case.identity for case in asked}
                curve["all others"] = tuple(score for score in scores if score.identity in identities)
    record = Record({**decisive, "subjects": options.subjects, "limit": options.limit}, machine(), scores, curve)
    console.print(_title(record, options), style="bold", markup=False)
    for sheet in _sheets(record):
        console.print(sheet.table())
    if options.json is not None:
        record.write(options.json)
    if options.output is not None:
        with replacing(options.output) as temporary:
            temporary.write_text(_report(options, player, record), encoding="utf-8")
    return record


class _Run:
    """Plays the queries, apart from those whose scores the folder of parts holds."""

    def __init__(
        self, selection: Selection, player: Player, memory: RecallMemory, parts: Parts | None, progress: Progress
    ) -> None:
        self._selection, self._player, self._memory = selection, player, memory
        self._parts, self._progress = parts, progress

    def has_subjects(self, case: Case, count: int) -> bool:
        """Whether it asks for one structure that so many other subjects have remembered, or nearly (10 of 9 are)."""
        return case.family == "anatomy" and self._subjects(case) >= min(count, 9)

    def scores(self, cases: Sequence[Case], most: int | None) -> Iterator[Score]:
        """most: remembered subjects of each source, None for all."""
        kept = ALL if most is None else str(most)
        task = self._progress.add_task("Queries", total=len(cases))
        for case in by_volume(cases):
            where, subject = (case.entry.identity, case.entry.subject) if case.entry else ("words", "")
            self._progress.update(task, description=f"{where}, {case.words[:40]}")
            score = self._parts.of(case.identity, kept) if self._parts is not None else None
            if score is None:
                memory = without(self._memory, self._selection.dataset, subject, most)
                score = self._player.play(case, memory, self._subjects(case), corrected=most is None)
                if self._parts is not None:
                    self._parts.keep(score, kept)
            yield score
            self._progress.advance(task)
        self._progress.remove_task(task)

    def _subjects(self, case: Case) -> int:
        """Other subjects with the structure that the truth names."""
        named = of_name(case.truth) if isinstance(case.truth, str) and case.truth else None
        if named is None or case.entry is None:
            return 0
        return subjects_of(self._memory.without_subject(case.entry.subject), named[0].key)


def _remembered(dataset: datasets.Dataset, progress: Progress) -> RecallMemory:
    task = progress.add_task("Remembering", total=len(dataset.entries))
    memory = memory_of(dataset, lambda name: progress.update(task, advance=1, description=f"Remembering {name}"))
    progress.remove_task(task)
    if not len(memory):
        raise FileError("Nothing of the data set can be remembered; check its labels.")
    return memory


def _decisive(options: Options, selection: Selection, player: Player, memory: RecallMemory) -> dict[str, Any]:
    """What decides the score of a query."""
    queries = (options.queries or QUERIES).read_bytes()
    return {
        "dataset": selection.dataset.folder.resolve().name,
        "queries": sha256(queries).hexdigest()[:16],
        "model": player.model,
        "remembered": len(memory),
    }


def _title(record: Record, options: Options) -> str:
    placed = [each for each in record.scores if each.entry]
    volumes, subjects = (len({getattr(each, name) for each in placed}) for name in ("entry", "subject"))
    more = len(record.scores) - len(placed)
    words = f" and {more} that are only to be understood" if more else ""
    return f"{len(placed)} queries in {volumes} volumes of {subjects} subjects ({options.subjects}){words}"


def _sheets(record: Record) -> list:
    sheets = [*sheets_of(record.scores), confidence_sheet(record.scores)]
    if record.curve:
        sheets.append(curve_sheet(list(record.curve.items())))
    return sheets


def _report(options: Options, player: Player, record: Record) -> str:
    """What was measured, how and where, as Markdown."""
    lost = [each for each in record.scores if each.entry and not each.is_found]
    misread = [each for each in record.scores if not each.understood]
    lines = [
        "# Text prompts: what is found by its name, place, size and looks\n",
        f"    {options.command}\n",
        f"{_title(record, options)}. Each query is typed in a new session with the model `{player.model}` and a recall "
        "memory of the labelled structures of all other subjects of the data set (leave one subject out); of its own "
        "subject nothing is remembered. Nothing was tuned on validation subjects (split.json).\n",
        f"{in_words(record.machine, [record.machine['peak_memory_mb']])}\n",
        "*understood*: the words are parsed to just what the query is to ask for. *found*: the first answer overlaps "
        "the truth with an IoU above 0.3. *among 5*: one of the answers offered does. *after a click*: Dice after one "
        "corrective click, by the rule of the evaluation of clicks. *s*: seconds from the words to the mask, median; "
        "nothing of the volume is cached before. *with named segments*: structures that no other subject of the "
        "data set has are given as segments of the volume, as a user would have them who asks for the larger or the "
        "upper half of one. A query that is to be refused counts as found where it is.\n",
    ]
    lines += [sheet.markdown() for sheet in _sheets(record)]
    lines += ["## Not understood as meant\n", *(f"- {each.words}" for each in misread), ""] if misread else []
    lines += ["## Not found\n"]
    lines += [f"- `{each.entry}`: {each.words} ({each.link or each.trouble}; IoU {each.overlap:.2f})" for each in lost]
    return "\n".join(lines) + "\n"
