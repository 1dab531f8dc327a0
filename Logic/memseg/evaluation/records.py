"""What was measured, as a file: options, machine, averages and every object's scores."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import FileError
from ..files import replacing
from .clicks import ObjectScores, Rules, Scores
from .dataset import Selection
from .methods import Method
from .report import summarize


@dataclass(frozen=True)
class Record:
    """options: whatever decides the scores, as plain JSON values. machine: where they were measured."""

    options: dict[str, Any]
    machine: dict[str, Any]
    results: tuple[ObjectScores, ...]

    def write(self, path: Path) -> None:
        """The file appears whole or not at all. Raises FileError."""
        summaries = [asdict(summary) for summary in summarize(self.results)]
        write(path, self.options, self.machine, {"summary": summaries}, [asdict(result) for result in self.results])

    @classmethod
    def read(cls, path: Path) -> Record:
        """What `write` wrote. Raises FileError for anything else."""
        return cls(*read(path, _result))


def write(
    path: Path,
    options: dict[str, Any],
    machine: dict[str, Any],
    averages: dict[str, list[dict[str, Any]]],
    objects: list[dict[str, Any]],
) -> None:
    """A file of plain JSON values, averages by their names; it appears whole or not at all. Raises FileError."""
    content = {"memseg": __version__, "options": options, "machine": machine, **averages, "objects": objects}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def read(path: Path, result: Callable[[dict[str, Any]], Any]) -> tuple[dict[str, Any], dict[str, Any], tuple[Any, ...]]:
    """Options, machine, and each of the objects that `write` wrote as what `result` makes of it. Raises FileError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        results = tuple(result(each) for each in content["objects"])
        return dict(content["options"]), dict(content["machine"]), results
    except (OSError, ValueError, RecursionError, TypeError, KeyError) as error:
        raise FileError(f"{path.name} holds no results of an evaluation; delete it or name another.") from error


def _result(content: dict[str, Any]) -> ObjectScores:
    methods = [
        Scores(
            each["method"],
            tuple(each["dice"]),
            tuple(each["surface_dice"]),
            tuple(each["seconds"]),
            tuple(tuple(shares) for shares in each["attention"]),
        )
        for each in content["methods"]
    ]
    return ObjectScores(**{**content, "methods": tuple(methods)})


def options_of(selection: Selection, methods: Sequence[Method], rules: Rules) -> dict[str, Any]:
    return {
        "dataset": selection.dataset.folder.resolve().name,
        "volumes": [entry.identity for entry in selection.dataset.entries],
        "subjects": selection.subjects,
        "limit": selection.limit,
        "most_objects": selection.most_objects,
        "methods": [method.record() for method in methods],
        "clicks": rules.clicks,
        "protocol": rules.protocol,
        "noise_mm": rules.noise.mm,
        "wrong": rules.noise.wrong,
        "seed": rules.noise.seed,
    }


def machine() -> dict[str, Any]:
    """Processors, graphics card if torch uses one, versions, and the peak memory of this process so far in MB."""
    torch = sys.modules.get("torch")  # loaded only if a method runs on it
    card = torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else None
    return {
        "cpus": os.cpu_count(),
        "processor": platform.machine(),
        "graphics_card": card,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": _version("torch"),
        "peak_memory_mb": peak_memory_mb(),
    }


def in_words(machine: dict[str, Any], peaks_mb: Sequence[int | None]) -> str:
    """Sentences on the machine for a report. peaks_mb: of each run that it is about."""
    card = f", {machine['graphics_card']}" if machine["graphics_card"] else ", no graphics card"
    peak = f"{max(peaks_mb)} MB at its peak" if None not in peaks_mb else "not known on this system"
    return (
        f"Hardware: {machine['cpus']} processors ({machine['processor']}, {machine['system']}){card}; memseg "
        f"{__version__}, Python {machine['python']}, torch {machine['torch'] or 'not installed'}. Memory of the whole "
        f"process (Python, images and all methods together): {peak}."
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def peak_memory_mb() -> int | None:
    """The most memory the whole process has held so far: Python, libraries, images and all methods. None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3))  # bytes there, kilobytes elsewhere
