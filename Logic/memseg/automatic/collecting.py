"""Finished segmentations become subjects of a data set, a folder with `manifest.json`, for the next training.

A subject is known by its voxels, so that the same image again takes its own place. Its files bear hashes of what they
hold and are there before the manifest names them: a write that is broken off leaves the data set as it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError
from ..files import write_labels, write_volume
from ..geometry import Box
from ..replacing import replacing
from ..volume import Volume
from .folder import AutoFolders

Crop = tuple[Box, np.ndarray]
MOST_STRUCTURES = 254  # classes are kept as bytes, 255 is beside the volume
_MANIFEST = "manifest.json"
_UNKNOWN = "unknown"  # planning then looks at the intensities themselves


@dataclass(frozen=True)
class Collected:
    """A subject as it was written. subjects: how many the data set holds now. replaced: it was one of them before.
    empty: names that were left out, as there is nothing of them. overlapping: pairs of names, the one on top last."""

    identity: str
    subjects: int
    replaced: bool
    names: tuple[str, ...]
    empty: tuple[str, ...] = ()
    overlapping: tuple[tuple[str, str], ...] = ()

    def sentence(self, folders: AutoFolders) -> str:
        """What was done, and how to go on."""
        taken = "took the place of what was there of this image" if self.replaced else "added"
        words = [f"{listed(self.names)}: {taken}."]
        words += [f"Where {under} and {above} overlap, {above} counts, as it is smaller." for under, above in
                  self.overlapping]  # fmt: skip
        if self.empty:
            words.append(f"Left out, as there is nothing of it: {listed(self.empty)}.")
        if self.subjects < 2:
            words.append("The data set holds 1 image; training needs two at least, and twenty are a good beginning.")
        else:
            words.append(f"The data set holds {self.subjects} images. Train with: {folders.command}")
        return " ".join(words)


def collect(folder: Path, volume: Volume, structures: Mapping[str, Crop], modality: str = _UNKNOWN) -> Collected:
    """Make the volume with its structures a subject of the data set in the folder, which is made where it is not there.

    structures: by name a box, and 0/1 of its shape; outside it there is nothing. Where structures overlap, the smaller
    one is on top. modality: where it is unknown, what was said of this image before stays. Raises FileError; the data
    set is then as it was.
    """
    names = tuple(structures)
    sizes = {name: int(np.count_nonzero(values)) for name, (_, values) in structures.items()}
    present = tuple(name for name in names if sizes[name])
    _check(present)
    labels, overlapping = _labels(volume, {name: structures[name] for name in present}, sizes)
    identity = f"image-{_digest(repr(volume.shape_kji).encode(), *_planes(volume.array_kji))[:16]}"
    lies = volume.grid.ijk_to_ras.round(6).tobytes()
    image_file = f"images/{identity}-{_digest(lies)[:8]}.nii.gz"
    label_file = f"labels/{identity}-{_digest(lies, repr(present).encode(), *labels)[:8]}.nii.gz"
    record = {
        "id": identity,
        "image": image_file,
        "label": label_file,
        "labels": {name: number for number, name in enumerate(present, start=1)},
        "subject": identity,
    }
    _make(folder)
    records = _records(folder)
    before = next((place for place, each in enumerate(records) if each.get("id") == identity), None)
    former = records[before] if before is not None else {}
    record["modality"] = former.get("modality", _UNKNOWN) if modality == _UNKNOWN else modality
    after = [*records, record] if before is None else [*records[:before], record, *records[before + 1 :]]
    _write(folder, record, former, after, volume, labels)
    empty = tuple(name for name in names if not sizes[name])
    return Collected(identity, len(after), before is not None, present, empty, overlapping)


def listed(names: tuple[str, ...] | list[str]) -> str:
    """ "liver, spleen and 3 more"."""
    shown = list(names[:8])
    if len(names) > len(shown):
        shown.append(f"{len(names) - len(shown)} more")
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))


def _check(names: tuple[str, ...]) -> None:
    if not names:
        raise FileError("There is no segment to learn from; segment something and give it a name first.")
    if len(names) > MOST_STRUCTURES:
        raise FileError(f"{len(names)} segments are too many for one training; leave some out.")


def _labels(
    volume: Volume, structures: Mapping[str, Crop], sizes: Mapping[str, int]
) -> tuple[np.ndarray, tuple[tuple[str, str], ...]]:
    """uint8 (K, J, I): the number of each voxel's structure, and which pairs overlap."""
    labels = np.zeros(volume.shape_kji, np.uint8)
    numbers = {name: number for number, name in enumerate(structures, start=1)}
    overlapping: list[tuple[str, str]] = []
    for name in sorted(structures, key=lambda each: -sizes[each]):
        box, values = structures[name]
        inside = np.asarray(values) != 0
        there = labels[box.slices]
        overlapping += [(other, name) for other, number in numbers.items() if number in np.unique(there[inside])]
        there[inside] = numbers[name]
    left = np.bincount(labels.ravel(), minlength=len(numbers) + 1)
    for name, number in numbers.items():
        if not left[number]:
            above = [upper for under, upper in overlapping if under == name]
            raise FileError(
                f"Nothing of {name} can be seen under {listed(above)}, and training tells one structure from another "
                "at every voxel; leave one of them out."
            )
    return labels, tuple(overlapping)


def _make(folder: Path) -> None:
    try:
        for each in (folder, folder / "images", folder / "labels"):
            each.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"The folder {folder.name} cannot be made ({error.strerror or error}); choose another place."
        ) from error


def _records(folder: Path) -> list[dict[str, Any]]:
    """What the manifest lists, none where there is none yet."""
    manifest = folder / _MANIFEST
    if not manifest.exists():
        if any(folder.rglob("*.seg.nrrd")):
            raise FileError(
                f"{folder.name} holds segmentations that no manifest lists, and they would not be learnt from any "
                "more; choose an empty folder."
            )
        return []
    try:
        records = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"The manifest in {folder.name} cannot be read; mend it, or choose another folder.") from error
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise FileError(f"The manifest in {folder.name} is no list of images; mend it, or choose another folder.")
    return records


def _write(
    folder: Path,
    record: dict[str, Any],
    former: dict[str, Any],
    after: list[dict[str, Any]],
    volume: Volume,
    labels: np.ndarray,
) -> None:
    """The files, then the manifest that names them; then what it does not name any more goes."""
    image, label = folder / record["image"], folder / record["label"]
    new = [path for path in (image, label) if not path.exists()]
    try:
        if image in new:
            write_volume(image, volume)
        if label in new:
            write_labels(label, labels, volume)
        with replacing(folder / _MANIFEST) as temporary:
            temporary.write_text(json.dumps(after, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except BaseException:
        for path in new:
            path.unlink(missing_ok=True)
        raise
    for kind in ("image", "label"):
        own = str(former.get(kind, ""))
        if own != record[kind] and own.startswith(f"{kind}s/{record['id']}-"):
            (folder / own).unlink(missing_ok=True)


def _planes(array_kji: np.ndarray) -> Iterator[np.ndarray]:
    """Slices, alike for all types of numbers that a file may come in."""
    for plane in array_kji:
        yield np.ascontiguousarray(plane, "<f4")


def _digest(*parts: bytes | np.ndarray) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
