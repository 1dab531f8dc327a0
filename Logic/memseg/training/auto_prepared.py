"""Subjects as training reads them: samples of the plan's spacing, on the disk and mapped into memory, so that a data
set may be larger than memory. Made once; found again when a run goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..automatic.frame import Frame
from ..automatic.plan import AutoPlan, to_record
from ..errors import FileError
from . import auto_subjects
from .auto_subjects import Subject

_PLACES = 2_000  # of each class, to find it by
_INDEX = "index.json"


@dataclass(frozen=True, eq=False)
class Prepared:
    """image: (K, J, I) float16 along S, A, R. classes: uint8. known: whether each class, the rest first, was looked for
    here. places: class -> (N, 3) samples of it. low: smallest value of the image."""

    image: np.ndarray
    classes: np.ndarray
    known: tuple[bool, ...]
    places: dict[int, np.ndarray]
    low: float


def identity(subjects: tuple[Subject, ...], plan: AutoPlan) -> str:
    """Changes when the files of the data set or what the plan makes of them do."""
    record = to_record(plan)
    facts = [record["names"], record["spacing_sar_mm"], record["intensities"]]
    for subject in subjects:
        sizes = [path.stat().st_size for path in (subject.image, subject.truth)]
        facts.append([subject.identity, sizes, subject.labels])
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def prepare(out: Path, subjects: tuple[Subject, ...], plan: AutoPlan, key: str) -> Iterator[tuple[int, int]]:
    """Write the subjects below `out`, unless they are there; yields (done, of). Raises FileError."""
    if _key(out) == key:
        return
    try:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        for number, subject in enumerate(subjects):
            _write(out, number, subject, plan)
            yield number + 1, len(subjects)
        (out / _INDEX).write_text(json.dumps({"key": key, "count": len(subjects)}), encoding="utf-8")
    except OSError as error:
        raise FileError(
            f"The prepared images cannot be written ({error.strerror}); choose another --out or free some space."
        ) from error


def read(out: Path, count: int) -> list[Prepared]:
    """In the order of the subjects. Raises FileError."""
    try:
        return [_read(out, number) for number in range(count)]
    except (OSError, ValueError, KeyError) as error:
        raise FileError(
            f"The prepared images in {out.name} are damaged; delete that folder and start again."
        ) from error


def _key(out: Path) -> str | None:
    try:
        return str(json.loads((out / _INDEX).read_text(encoding="utf-8"))["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(out: Path, number: int, subject: Subject, plan: AutoPlan) -> None:
    drawn = auto_subjects.read(subject)
    frame = Frame.of(drawn.volume.grid, plan.spacing_sar_mm)
    image = plan.intensities.normalised(frame.image(drawn.volume.array_kji)).astype(np.float16)
    classes = frame.labels(auto_subjects.classes_of(drawn, plan.names))
    places = {}
    for value in np.unique(classes[classes > 0]):
        found = np.argwhere(classes == value).astype(np.int32)
        places[f"places{value}"] = found[:: max(1, len(found) // _PLACES)]
    known = np.array([True, *(name in drawn.masks for name in plan.names)])
    np.save(out / f"{number}.image.npy", image)
    np.save(out / f"{number}.classes.npy", classes)
    np.savez(out / f"{number}.npz", known=known, low=np.float32(image.min()), **places)


def _read(out: Path, number: int) -> Prepared:
    image = np.load(out / f"{number}.image.npy", mmap_mode="r", allow_pickle=False)
    classes = np.load(out / f"{number}.classes.npy", mmap_mode="r", allow_pickle=False)
    with np.load(out / f"{number}.npz", allow_pickle=False) as rest:
        places = {int(name.removeprefix("places")): rest[name] for name in rest.files if name.startswith("places")}
        known = tuple(bool(value) for value in rest["known"])
        low = float(rest["low"])
    if image.shape != classes.shape:
        raise ValueError("the arrays do not belong together")
    return Prepared(image, classes, known, places, low)
