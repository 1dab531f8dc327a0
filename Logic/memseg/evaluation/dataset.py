"""Labelled data sets: a folder with `manifest.json`, a list of {id, image, label, labels: {name: value}, ...}.

The manifest is data from elsewhere: whatever is wrong with it is a FileError that says so. A *source* is the
repository (or other origin) before the "@" of an entry's "source", with its modality, such as
"github:theibsi/data_sets MR": scores are averaged over the objects of a source, then over sources.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError
from ..geometry import Box
from ..volume import Volume

SUBJECTS = ("validation", "training", "all")
MOST_OBJECTS = 12  # of one volume; whole-body atlases hold a hundred labels and would drown the other sources
FEWEST_VOXELS = 30


@dataclass(frozen=True)
class Entry:
    """One labelled volume. labels: name and voxel value, in the manifest's order."""

    identity: str
    image: Path
    label: Path
    labels: tuple[tuple[str, int], ...]
    modality: str
    source: str
    subject: str


@dataclass(frozen=True, eq=False)
class LabelledObject:
    """One object of one volume. truth: bool crop at `box`, the tight bounding box of the object."""

    entry: Entry
    name: str
    volume: Volume
    box: Box
    truth: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """Entries in the manifest's order."""

    folder: Path
    entries: tuple[Entry, ...]

    def of_subjects(self, which: str) -> Dataset:
        """Only the entries of "training" or "validation" subjects, or all of them."""
        if which not in SUBJECTS:
            raise FileError(f"There are no '{which}' subjects; choose one of: {', '.join(SUBJECTS)}.")
        if which == "all":
            return self
        kept = tuple(entry for entry in self.entries if is_validation(entry.subject) == (which == "validation"))
        return Dataset(self.folder, kept)

    def objects(self, most: int = MOST_OBJECTS) -> Iterator[LabelledObject]:
        """Every object of at least 30 voxels, volume by volume; at most `most` of one volume, evenly by size."""
        for entry in self.entries:
            yield from objects_of(entry, most)

    def count(self, most: int = MOST_OBJECTS) -> int:
        """How many objects `objects` yields at most."""
        return sum(min(most, len(entry.labels)) for entry in self.entries)


@dataclass(frozen=True)
class Selection:
    """The objects to evaluate: those of a data set's entries, at most `limit` of them, spread over the volumes.

    subjects: what the entries were chosen by. Raises FileError where nothing would be left.
    """

    dataset: Dataset
    subjects: str = "all"
    limit: int | None = None
    most_objects: int = MOST_OBJECTS

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise FileError("Nothing would be evaluated; ask for at least one object.")
        if not self.dataset.entries:
            raise FileError(f"The data set holds no {self.subjects} subjects; ask for --subjects all.")

    def numbers(self) -> frozenset[int]:
        """The places of the objects among the data set's: all, or `limit` at even distances."""
        count = self.dataset.count(self.most_objects)
        if self.limit is None or self.limit >= count:
            return frozenset(range(count))
        return frozenset(int(number) for number in np.linspace(0, count - 1, self.limit).round())

    def objects(self) -> Iterator[LabelledObject]:
        numbers = self.numbers()
        for number, labelled in enumerate(self.dataset.objects(self.most_objects)):
            if number in numbers:
                yield labelled


@lru_cache(maxsize=1)
def validation_subjects() -> tuple[str, ...]:
    """The subjects no constant of the project is fitted on (split.json)."""
    record = json.loads(resources.files(__package__).joinpath("split.json").read_text(encoding="utf-8"))
    return tuple(record["validation"])


def select(path: Path, subjects: str, limit: int | None = None, most_objects: int = MOST_OBJECTS) -> Selection:
    """Objects of the data set in a folder. Raises FileError with what to do about it."""
    return Selection(read(path).of_subjects(subjects), subjects, limit, most_objects)


def is_validation(subject: str) -> bool:
    return subject in validation_subjects()


def read(path: str | Path) -> Dataset:
    """The data set in a folder, or of a manifest file. Raises FileError with what to do about it."""
    manifest = Path(path)
    if manifest.is_dir():
        manifest = manifest / "manifest.json"
    if not manifest.is_file():
        raise FileError("There is no manifest.json there; give the folder of a labelled data set that holds one.")
    try:
        records = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FileError("The manifest cannot be read as JSON; check the file.") from error
    if not isinstance(records, list) or not records:
        raise FileError("The manifest holds no list of labelled volumes; check the file.")
    entries = tuple(_entry(record, number, manifest.parent) for number, record in enumerate(records, 1))
    if len({entry.identity for entry in entries}) != len(entries):
        raise FileError("Two entries of the manifest have the same id; give each its own.")
    return Dataset(manifest.parent, entries)


def _entry(record: Any, number: int, folder: Path) -> Entry:
    if not isinstance(record, dict):
        raise FileError(f"Entry {number} of the manifest is not a record; check the file.")
    for key in ("id", "image", "label"):
        if not isinstance(record.get(key), str) or not record[key]:
            raise FileError(f"Entry {number} of the manifest has no usable '{key}'; add it.")
    labels = record.get("labels")
    if not isinstance(labels, dict) or not labels:
        raise FileError(f"Entry {number} of the manifest names no labels; add 'labels' with a name and a value each.")
    for value in labels.values():
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
            raise FileError(f"Entry {number} of the manifest has a label value that is not a positive whole number.")
    source = str(record.get("source", folder.name)).split("@")[0]
    modality = str(record.get("modality", "unknown"))
    return Entry(
        identity=record["id"],
        image=_file(folder, record["image"], number),
        label=_file(folder, record["label"], number),
        labels=tuple((str(name), value) for name, value in labels.items()),
        modality=modality,
        source=f"{source} {modality}",
        subject=str(record.get("subject", record["id"])),
    )


def _file(folder: Path, name: str, number: int) -> Path:
    """A file below the manifest's folder, links followed."""
    try:
        path = (folder / name).resolve()
        inside = path.is_relative_to(folder.resolve())
        exists = path.is_file()
    except (OSError, ValueError) as error:
        raise FileError(
            f"Entry {number} of the manifest names a file that cannot be opened; correct its path."
        ) from error
    if not inside:
        raise FileError(f"Entry {number} of the manifest names a file outside the data set's folder; move it inside.")
    if not exists:
        raise FileError(f"Entry {number} of the manifest names a file that does not exist; correct its path.")
    return path


def objects_of(entry: Entry, most: int = MOST_OBJECTS) -> Iterator[LabelledObject]:
    """The objects of one volume; where it has more than `most`, those at even ranks of size, largest first."""
    from ..files import read_volume  # SimpleITK: only when an image is read

    volume = read_volume(entry.image)
    labels_kji = read_labels(entry, volume)
    present = []
    for order, (name, value) in enumerate(entry.labels):
        voxels = int(np.count_nonzero(labels_kji == value))
        if voxels == 0:
            raise FileError(f"The label '{name}' of '{entry.identity}' is not in its label file; correct the manifest.")
        if voxels >= FEWEST_VOXELS:
            present.append((-voxels, order, name, value))
    if len(present) > most:
        ranks = np.floor(np.linspace(0, len(present) - 1, most) + 0.5).astype(int)
        present = [sorted(present)[rank] for rank in ranks]
    for _, _, name, value in sorted(present, key=lambda item: item[1]):
        truth = labels_kji == value
        box = Box.of_mask(truth)
        yield LabelledObject(entry, name, volume, box, np.ascontiguousarray(truth[box.slices]))


def read_labels(entry: Entry, volume: Volume) -> np.ndarray:
    """(K, J, I) whole label values on the volume's grid; FileError where the file is not such an image."""
    import SimpleITK as sitk

    try:
        image = sitk.ReadImage(str(entry.label))
    except RuntimeError as error:
        raise FileError(f"The label file of '{entry.identity}' cannot be read; check it.") from error
    labels_kji = sitk.GetArrayFromImage(image)
    if labels_kji.shape != volume.shape_kji:
        raise FileError(f"The label file of '{entry.identity}' has another shape than its image; correct one of them.")
    return labels_kji
