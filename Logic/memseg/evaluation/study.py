"""`memseg evaluate study`: a model against its peers and against itself with other memories, as one Markdown report.

The report is written when everything has been measured; with a folder for the parts each is kept there as it is done,
and a part found there with equal options (weights included) is not measured again.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from ..errors import ModelError
from ..files import replacing
from . import dataset as datasets
from .clicks import Rules
from .dataset import Selection
from .methods import Method, method_of
from .records import Record, in_words, options_of
from .report import summarize
from .run import check_folder_of, make_folder, measured, progress_of, title_of
from .sheets import sheets_of
from .simulation import Noise

PEERS = ("geodesic", "growcut", "randomwalker")
CAPACITIES = (10, 30, 60)


@dataclass(frozen=True)
class StudyOptions:
    """limit, study_limit: how many objects the comparison and each of the studies take at most; None for all.
    capacity_clicks: of the study of capacities, which cannot differ before the smaller one is full. parts: a folder."""

    dataset: Path
    output: Path
    model: str = "nano"
    device: str = "auto"
    peers: tuple[str, ...] = PEERS
    clicks: int = 20
    capacity_clicks: int = 70
    limit: int | None = None
    study_limit: int | None = 24
    subjects: str = "validation"
    seed: int = 0
    parts: Path | None = None

    @property
    def command(self) -> str:
        """What to type to get this report; of a data set given by a full path only the name."""
        dataset = self.dataset.name if self.dataset.is_absolute() else str(self.dataset)
        words = ["memseg", "evaluate", "study", dataset, "-o", self.output.name, "--model", self.model]
        words += [word for peer in self.peers for word in ("--peer", peer)] if self.peers != PEERS else []
        for name in ("device", "clicks", "capacity_clicks", "limit", "study_limit", "subjects", "seed"):
            value = getattr(self, name)
            words += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
        return shlex.join(words)


@dataclass(frozen=True)
class Part:
    """One run of some methods on the same objects. key: the name of its file. text: what a reader should know."""

    key: str
    title: str
    text: str
    methods: tuple[str, ...]
    rules: Rules
    limit: int | None


def parts_of(options: StudyOptions) -> tuple[Part, ...]:
    """The comparison, then the studies."""
    model, rules = options.model, Rules(options.clicks)
    off = f"{model}:off"
    few = min((limit for limit in (options.limit, options.study_limit) if limit is not None), default=None)
    long_rules = Rules(options.capacity_clicks)
    capacities = tuple(f"{model}:{capacity}" for capacity in CAPACITIES)
    noisy = tuple(dict.fromkeys((model, off, "geodesic")))
    same = [str(capacity) for capacity in CAPACITIES if capacity >= options.capacity_clicks]
    never_full = f" Memories of {' and '.join(same)} entries were never full and cannot differ." if same else ""
    parts = [
        Part("comparison", "Comparison", "", tuple(dict.fromkeys((model, off, *options.peers))), rules, options.limit),
        Part(
            "capacity",
            "How many interactions the memory holds",
            f"`{capacities[0]}` holds {CAPACITIES[0]} and so on; the oldest leaves first.{never_full}",
            capacities,
            long_rules,
            few,
        ),
        Part(
            "kinds",
            "Which memories are read",
            "Points (sparse), masks (dense), both, or none (off).",
            (*(f"{model}:{kind}" for kind in ("sparse", "dense", "both")), off),
            rules,
            few,
        ),
    ]
    noises = {
        "noise-5": ("Clicks 5 mm off", Noise(mm=5.0, seed=options.seed)),
        "noise-10": ("Clicks 10 mm off", Noise(mm=10.0, seed=options.seed)),
        "wrong-10": ("One click in ten with the wrong sign", Noise(wrong=0.1, seed=options.seed)),
    }
    for key, (title, noise) in noises.items():
        text = "The same directions and the same wrong clicks for every method."
        parts.append(Part(key, title, text, noisy, replace(rules, noise=noise), few))
    return tuple(parts)


def study(options: StudyOptions, console: Console) -> None:
    """Measure all parts, showing progress, and write the report. Raises MemSegError; Ctrl-C writes no report."""
    selection = datasets.select(options.dataset, options.subjects, options.limit)
    parts = parts_of(options)
    selections = [replace(selection, limit=part.limit) for part in parts]
    check_folder_of(options.output)
    method_of(options.model, options.device)  # a wrong model is no peer to leave out
    if options.parts is not None:
        make_folder(options.parts)
    left_out: dict[str, str] = {}
    notes: list[str] = []
    records = []
    with progress_of(console) as progress:
        for number, (part, selected) in enumerate(zip(parts, selections), start=1):
            methods = _methods(part, options.device, left_out)
            notes += [method.note for method in methods if method.note and method.note not in notes]
            what = f"{number} of {len(parts)}, {part.key}: "
            records.append(_measured(part, selected, methods, progress, what, options.parts))
    chapters = [_chapter(part, record, options.subjects) for part, record in zip(parts, records)]
    with replacing(options.output) as temporary:
        temporary.write_text("\n".join([_opening(options, records, left_out, notes), *chapters]), encoding="utf-8")
    console.print(f"{options.output.name}: {len(parts)} parts, {len(records[0].results)} objects compared")


def _methods(part: Part, device: str, left_out: dict[str, str]) -> tuple[Method, ...]:
    """Those of the part that can be built here; why others cannot goes into `left_out`."""
    methods = []
    for spelling in part.methods:
        try:
            methods.append(method_of(spelling, device))
        except ModelError as error:
            left_out[spelling] = str(error)
    return tuple(methods)


def _measured(
    part: Part, selection: Selection, methods: tuple[Method, ...], progress: Progress, what: str, folder: Path | None
) -> Record:
    """The part's results, from the folder where it holds them."""
    path = None if folder is None else folder / f"{part.key}.json"
    if path is not None and path.exists():
        record = Record.read(path)
        if record.options == options_of(selection, methods, part.rules):
            return record
    record = measured(selection, methods, part.rules, progress, what)
    if path is not None:
        record.write(path)
    return record


def _opening(options: StudyOptions, records: list[Record], left_out: dict[str, str], notes: list[str]) -> str:
    """What was measured, how and where. notes: on the weights."""
    volumes = len({result.entry for result in records[0].results})
    peaks_mb = [record.machine["peak_memory_mb"] for record in records]
    lines = [
        f"# {options.model}: what was measured\n",
        f"    {options.command}\n",
        f"Data: `{records[0].options['dataset']}`, {options.subjects} subjects. The comparison has "
        f"{len(records[0].results)} objects of {volumes} volumes, the studies {len(records[1].results)}. Objects are "
        "averaged within their source (repository and modality), then sources. `:off` is the same model without its "
        "interaction memory.\n",
        f"{in_words(records[0].machine, peaks_mb)}\n",
        "*area* is the area under the curve over clicks, from 0 to 1; *reach 85 %* the part of the objects that ever "
        "came to a Dice of 85 %, *clicks to it* the median of how many those needed; *s a click* the median and 95th "
        "percentile of the seconds from a click to its mask. Every table is one run on the same objects.\n",
    ]
    lines += [f"{note}\n" for note in notes]
    lines += [f"Left out: `{spelling}`. {reason}\n" for spelling, reason in left_out.items()]
    return "\n".join(lines)


def _chapter(part: Part, record: Record, subjects: str) -> str:
    sheets = "\n".join(sheet.markdown() for sheet in sheets_of(summarize(record.results)))
    counted = f"{title_of(record, subjects, part.rules)}, {part.rules.clicks} clicks each at most."
    return "\n".join([f"## {part.title}\n", f"{counted} {part.text}".rstrip() + "\n", sheets])
