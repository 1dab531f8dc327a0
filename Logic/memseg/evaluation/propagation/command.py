"""`memseg evaluate propagation`: options in, progress, tables, a file and a Markdown report out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from ... import catalog
from ...errors import FileError, ModelError
from ...files import replacing
from ...geometry import AXES
from .. import dataset as datasets
from ..dataset import Selection
from ..records import in_words, machine, read, write
from ..run import check_folder_of, make_folder, progress_of
from ..sheets import Sheet
from .cases import LONG, cases_of
from .methods import Method, Propagation, method_of, methods_of, peers_of
from .parts import Parts
from .play import Rules, evaluate_object
from .scores import CaseScores
from .summary import sheets_of, summarize

ALL_AXES = "all"


@dataclass(frozen=True)
class Options:
    """What to evaluate.

    model, peers: as methods.py spells them; peers None: those there are, without what is not installed. axis: "k", "j",
    "i" or "all". gap: slices taken out of long objects for one more chapter, 0 for none. json, output: files to write,
    or None. parts: a folder that keeps each object when it is done, or None.
    """

    dataset: Path
    model: str | None = None
    device: str = "auto"
    peers: tuple[str, ...] | None = None
    axis: str = "k"
    corrections: int = 5
    gap: int = 0
    subjects: str = "validation"
    limit: int | None = None
    json: Path | None = None
    output: Path | None = None
    parts: Path | None = None

    def __post_init__(self) -> None:
        if self.axis not in (*AXES, ALL_AXES):
            raise FileError(f"There is no axis '{self.axis}'; choose {', '.join(AXES)} or {ALL_AXES}.")
        if not 0 <= self.gap <= 1000:
            raise FileError(f"A gap of {self.gap} slices cannot be made; give a number from 1 on, or 0 for none.")

    @property
    def axes(self) -> tuple[str, ...]:
        return AXES if self.axis == ALL_AXES else (self.axis,)

    @property
    def command(self) -> str:
        """What to type to measure this again; of a data set given by a full path only the name."""
        dataset = self.dataset.name if self.dataset.is_absolute() else str(self.dataset)
        words = ["memseg", "evaluate", "propagation", dataset]
        words += ["-o", self.output.name] if self.output is not None else []
        words += [word for peer in self.peers or () for word in ("--peer", peer)]
        for name in ("model", "device", "axis", "corrections", "gap", "subjects", "limit"):
            value = getattr(self, name)
            words += [f"--{name}", str(value)] if value is not None else []
        return shlex.join(words)


@dataclass(frozen=True)
class Record:
    """options: whatever decides the scores, as plain JSON values. machine: where they were measured."""

    options: dict[str, Any]
    machine: dict[str, Any]
    results: tuple[CaseScores, ...]

    def of_gap(self, gapped: bool) -> tuple[CaseScores, ...]:
        return tuple(result for result in self.results if bool(result.gap) == gapped)

    def write(self, path: Path) -> None:
        """The file appears whole or not at all. Raises FileError."""
        averages = {
            name: [asdict(summary) for summary in summarize(self.of_gap(gapped))]
            for name, gapped in (("summary", False), ("gap_summary", True))
        }
        write(path, self.options, self.machine, averages, [asdict(result) for result in self.results])

    @classmethod
    def read(cls, path: Path) -> Record:
        """What `write` wrote. Raises FileError for anything else."""
        return cls(*read(path, CaseScores.from_record))


@dataclass(frozen=True)
class Chapter:
    """One run of some methods over the objects, as they are (gap 0) or with a gap."""

    title: str
    gap: int
    methods: tuple[Method, ...]
    rules: Rules


def run(options: Options, console: Console) -> Record:
    """Evaluate, showing progress; print the tables and write the files. Raises MemSegError; Ctrl-C writes neither."""
    rules = Rules(options.corrections)
    selection = datasets.select(options.dataset, options.subjects, options.limit)
    for path in (options.json, options.output):
        if path is not None:
            check_folder_of(path)
    methods, left_out = _methods(options)
    if options.parts is not None:
        make_folder(options.parts)
    chapters = [Chapter("Objects as they are", 0, methods, rules)]
    if options.gap:
        title = f"Objects of {LONG} slices and more with a gap of {options.gap}"
        following = tuple(method for method in methods if isinstance(method, Propagation))
        chapters.append(Chapter(title, options.gap, following, replace(rules, corrections=0, several=())))
    results: list[CaseScores] = []
    with progress_of(console) as progress:
        for chapter in chapters:
            results += _measured(options, selection, chapter, progress)
            if not results:
                raise FileError("None of the objects chosen is large enough to be followed; choose more of them.")
    record = Record(_options(options, selection, chapters), machine(), tuple(results))
    for chapter in chapters:
        console.print(f"{chapter.title}: {_counted(chapter, record, options)}", style="bold", markup=False)
        for sheet in _sheets(chapter, record):
            console.print(sheet.table())
    for note in filter(None, (method.note for method in methods)):
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    for spelling, reason in left_out.items():
        console.print(f"Left out: {spelling}. {reason}", markup=False)
    if options.json is not None:
        record.write(options.json)
    if options.output is not None:
        text = _report(options, chapters, record, left_out)
        with replacing(options.output) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return record


def _methods(options: Options) -> tuple[tuple[Method, ...], dict[str, str]]:
    """The model and what it is compared with; why some of the usual peers are not there, by their names."""
    name = options.model or catalog.default_slices()
    if options.peers is not None:
        methods, left_out = methods_of((name, *options.peers), options.device), {}
    else:
        methods, left_out = (method_of(name, options.device),), {}
        for spelling in peers_of(name):
            try:
                methods += (method_of(spelling, options.device),)
            except ModelError as error:
                left_out[spelling] = str(error)
    if not isinstance(methods[0], Propagation):
        names = ", ".join(card.name for card in catalog.slice_cards())
        raise ModelError(f"'{name}' does not go from slice to slice; measure one of: {names}, with it as a --peer.")
    return methods, left_out


def _measured(options: Options, selection: Selection, chapter: Chapter, progress: Progress) -> list[CaseScores]:
    """Play all objects of a chapter, apart from those whose scores the folder of parts holds."""
    decisive = _decisive(selection, chapter)
    parts = None if options.parts is None else Parts(options.parts, decisive, machine())
    results: list[CaseScores] = []
    task = progress.add_task("Objects", total=len(selection.numbers()))
    for labelled in selection.objects():
        for case in cases_of(labelled, options.axes, chapter.gap):
            where = f"{labelled.entry.identity}, {labelled.name}, axis {case.axis}"
            progress.update(task, description=where + (f", gap of {chapter.gap}" if chapter.gap else ""))
            scores = parts.of(case) if parts is not None else None
            if scores is None:
                scores = evaluate_object(case, chapter.methods, chapter.rules)
                if parts is not None:
                    parts.keep(scores)
            results.append(scores)
        progress.advance(task)
    progress.remove_task(task)
    return results


def _decisive(selection: Selection, chapter: Chapter) -> dict[str, Any]:
    """What decides the scores of a single object."""
    return {
        "dataset": selection.dataset.folder.resolve().name,
        "methods": [method.record() for method in chapter.methods],
        "corrections": chapter.rules.corrections,
        "several": list(chapter.rules.several),
    }


def _options(options: Options, selection: Selection, chapters: Sequence[Chapter]) -> dict[str, Any]:
    return {
        **_decisive(selection, chapters[0]),
        "volumes": [entry.identity for entry in selection.dataset.entries],
        "subjects": selection.subjects,
        "limit": selection.limit,
        "axes": list(options.axes),
        "gap": options.gap,
    }


def _counted(chapter: Chapter, record: Record, options: Options) -> str:
    results = record.of_gap(chapter.gap > 0)
    objects, sources = len({(each.entry, each.name) for each in results}), len({each.source for each in results})
    axes = f"axis {options.axis}" if len(options.axes) == 1 else f"axes {', '.join(options.axes)}"
    counted = f"{objects} object{'' if objects == 1 else 's'} of {sources} source{'' if sources == 1 else 's'}"
    return f"{counted}, {options.subjects} subjects, {axes}"


def _sheets(chapter: Chapter, record: Record) -> tuple[Sheet, ...]:
    results = record.of_gap(chapter.gap > 0)
    return sheets_of(summarize(results)) if results else ()


def _report(options: Options, chapters: Sequence[Chapter], record: Record, left_out: dict[str, str]) -> str:
    """What was measured, how and where, as Markdown."""
    model = chapters[0].methods[0].name
    lines = [
        f"# {model}: how objects are followed\n",
        f"    {options.command}\n",
        f"Data: `{record.options['dataset']}`, {options.subjects} subjects, objects of 50 voxels and 3 slices or more. "
        "Objects are averaged within their source (repository and modality), then sources. The reference is the "
        "object's largest slice as the truth has it. All figures are of one run.\n",
        f"{in_words(record.machine, [record.machine['peak_memory_mb']])}\n",
        f"`{model}:recent`, `:self-sorting` and `:similar` are other rules for what slice memory keeps; `:single` does "
        "not tell recent slices from long-lived ones; `:consistent` evens out the slices that were followed. `copy` "
        "has the reference on every slice between the object's true ends, `fill` is Slicer's Fill between slices; both "
        "are told where the object ends, as is propagation from several slices. A model of volumes, such as `nano`, "
        "gets a click where the reference slice is deepest, and the slice itself afterwards.\n",
        "*over*: slices with a mask beyond the object's end; *missed*: slices of the object left empty there; both are "
        "means of the two ends. *inside*: slices of the object left empty between those. *slices/s*: median over the "
        "objects, of the steps alone; *s*: median for an object. *suggested*: each corrected slice is the one that the "
        "session suggests, replaced by the truth and followed again from there; *worst*: it is the one with most wrong "
        "voxels, which the truth alone tells.\n",
    ]
    lines += [f"{method.note}\n" for method in chapters[0].methods if method.note]
    lines += [f"Left out: `{spelling}`. {reason}\n" for spelling, reason in left_out.items()]
    for chapter in chapters:
        lines += [f"## {chapter.title}\n", f"{_counted(chapter, record, options)}.\n"]
        lines += [sheet.markdown() for sheet in _sheets(chapter, record)]
    return "\n".join(lines)
