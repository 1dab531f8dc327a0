"""Shards: labelled volumes and label maps as small .npz files that training reads with numpy alone.

A shard holds `codes` (K, J, I) uint8 and `values` (256,) float32, so that an intensity is values[codes]: levels lie
densest where most voxels are, which keeps the soft tissue of a CT apart. `labels` (K, J, I) uint8 counts objects from
1. `spacing` (3,) mm is k, j, i; `watch` is 1 for subjects held out to watch training by. A label map has no `codes`.
Shards of a labelled data set also hold `names`, what each label is called, in order, and `ijk_to_ras` (4, 4), which way
the volume lies; older ones hold neither. Nothing tells whose volume it is.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ..errors import FileError

log = logging.getLogger(__name__)
_LEVELS = 256
_MOST_LABELS = 255
_EVENLY = 0.3  # share of the levels that lie evenly over the intensities rather than over the voxels
_WATCHED = 8  # one subject in so many
FEWEST_VOXELS = 50  # of a target


@dataclass(frozen=True, eq=False)
class Shard:
    """See the module; intensities None for a label map. names: of labels 1, 2, ..., none where they are not known; then
    ijk_to_ras is None, too."""

    labels: np.ndarray
    boxes: np.ndarray
    spacing_kji_mm: tuple[float, float, float]
    watch: bool
    codes: np.ndarray | None = None
    values: np.ndarray | None = None
    names: tuple[str, ...] = ()
    ijk_to_ras: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.names and (self.ijk_to_ras is None or self.ijk_to_ras.shape != (4, 4) or self.codes is None):
            raise ValueError("Labels that have names belong to an image of which it is known how it lies.")

    @classmethod
    def of(
        cls,
        labels: np.ndarray,
        spacing_kji_mm: tuple[float, float, float],
        watch: bool = False,
        image_kji: np.ndarray | None = None,
        names: tuple[str, ...] = (),
        ijk_to_ras: np.ndarray | None = None,
    ) -> Shard:
        codes, values = (None, None) if image_kji is None else encoded(image_kji)
        return cls(
            labels.astype(np.uint8), boxes_of(labels), spacing_kji_mm, watch, codes, values, tuple(names), ijk_to_ras
        )


def boxes_of(labels: np.ndarray) -> np.ndarray:
    """(N, 7) int32: every label of at least 50 voxels, its low corner, and its high one (half-open)."""
    from scipy import ndimage

    sizes = np.bincount(labels.ravel(), minlength=256)
    found = ndimage.find_objects(labels.astype(np.int32))
    rows = [
        [label, *(part.start for part in parts), *(part.stop for part in parts)]
        for label, parts in enumerate(found, start=1)
        if parts is not None and sizes[label] >= FEWEST_VOXELS
    ]
    return np.asarray(rows, np.int32).reshape(-1, 7)


def encoded(image_kji: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """uint8 codes of the image's shape and the 256 float32 values they stand for."""
    sample = np.sort(image_kji.ravel()[:: max(1, image_kji.size // 200_000)].astype(np.float64))
    evenly = np.linspace(sample[0], sample[-1], int(_LEVELS * _EVENLY))
    densely = np.quantile(sample, np.linspace(0, 1, _LEVELS - len(evenly)))
    values = np.sort(np.concatenate([evenly, densely])).astype(np.float32)
    middles = (values[1:] + values[:-1]) / 2
    return np.searchsorted(middles, image_kji).astype(np.uint8), values


def write(path: Path, shard: Shard) -> None:
    """Raises FileError where the disk refuses."""
    arrays = {
        "labels": shard.labels,
        "boxes": shard.boxes,
        "spacing": np.asarray(shard.spacing_kji_mm, np.float32),
        "watch": np.asarray(shard.watch, np.uint8),
    }
    if shard.codes is not None:
        arrays |= {"codes": shard.codes, "values": shard.values}
    if shard.names:
        arrays |= {"names": np.asarray(shard.names, np.str_), "ijk_to_ras": shard.ijk_to_ras}
    try:
        with open(path, "wb") as file:
            np.savez_compressed(file, **arrays)
    except OSError as error:
        raise FileError(f"The shard {path.name} cannot be written ({error.strerror}); free some space.") from error


def read(folder: Path) -> list[Shard]:
    """All shards of a folder, by name. Raises FileError where there are none or one is not what `write` wrote."""
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise FileError(
            "There are no shards (.npz) in that folder; make them with: memseg train prepare DATASET --out DIR."
        )
    return [_read_one(path) for path in paths]


def _read_one(path: Path) -> Shard:
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        labels, boxes, spacing = arrays["labels"], arrays["boxes"], tuple(map(float, arrays["spacing"]))
        codes, values = arrays.get("codes"), arrays.get("values")
        whole = labels.ndim == 3 and labels.dtype == np.uint8 and boxes.shape[1:] == (7,) and len(spacing) == 3
        fits = codes is None or (codes.shape == labels.shape and codes.dtype == np.uint8 and values.shape == (_LEVELS,))
        if not (whole and fits):
            raise ValueError("the arrays do not belong together")
        names = tuple(map(str, arrays.get("names", ())))
        return Shard(labels, boxes, spacing, bool(arrays["watch"]), codes, values, names, arrays.get("ijk_to_ras"))
    except (OSError, ValueError, KeyError, EOFError, AttributeError, BadZipFile, zlib.error) as error:
        raise FileError(f"{path.name} is no shard, or damaged; make the shards again.") from error


def prepare(folder: Path, out: Path) -> Iterator[tuple[int, int]]:
    """Write the training subjects of a data set, the label maps, or the unlabelled volumes of a folder as shards;
    yields (done, of)."""
    out.mkdir(parents=True, exist_ok=True)
    records = _records(folder)
    if all("image" not in record and "label" in record for record in records):
        made = _from_labelmaps(folder, records)
    elif all("label" not in record for record in records):
        made = _from_unlabelled(folder, records)
    else:
        made = of_subjects(folder, "training")
    for done, (total, name, shard) in enumerate(made, start=1):
        write(out / f"{name}.npz", shard)
        yield done, total


def _records(folder: Path) -> list[dict[str, Any]]:
    try:
        records = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(
            "There is no readable manifest.json there; give the folder of a data set that holds one."
        ) from error
    if not isinstance(records, list) or not records or not all(isinstance(record, dict) for record in records):
        raise FileError("The manifest holds no list of volumes; check the file.")
    return records


def of_subjects(folder: Path, which: str) -> Iterator[tuple[int, str, Shard]]:
    """How many there are at most, a name that tells nothing, and a shard, of "training" or "validation" subjects."""
    from ..evaluation import dataset

    entries = dataset.read(folder).of_subjects(which).entries
    for entry in entries:
        labels = volume = None
        names = []
        for number, found in enumerate(dataset.objects_of(entry, _MOST_LABELS), start=1):
            if labels is None:
                volume = found.volume
                labels = np.zeros(volume.shape_kji, np.uint8)
            labels[found.box.slices][found.truth] = number
            names.append(found.name)
        if labels is not None:
            grid, watch = volume.grid, _is_watched(entry.subject)
            lies = np.asarray(grid.ijk_to_ras, np.float64)
            shard = Shard.of(labels, grid.spacing_kji_mm, watch, volume.array_kji, tuple(names), lies)
            yield len(entries), _anonymous(entry.identity), shard


def _is_watched(subject: str) -> bool:
    return hashlib.sha256(subject.encode()).digest()[0] % _WATCHED == 0


def _named(record: dict[str, Any], folder: Path) -> Path:
    """The file of a record that is a label map or an unlabelled volume, right in the folder."""
    name = Path(str(record.get("label") or record.get("image") or record.get("id"))).name
    paths = [path for path in (folder / name, folder / f"{name}.nii.gz") if path.is_file()]
    if not paths:
        raise FileError("The manifest names a file that is not in its folder; check the folder.")
    return paths[0]


def _from_labelmaps(folder: Path, records: list[dict[str, Any]]) -> Iterator[tuple[int, str, Shard]]:
    import SimpleITK as sitk

    for record in records:
        path = _named(record, folder)
        try:
            image = sitk.ReadImage(str(path))
        except RuntimeError as error:
            raise FileError("A label map that the manifest names cannot be read; check the folder.") from error
        found, labels = np.unique(sitk.GetArrayFromImage(image), return_inverse=True)
        if len(found) > _MOST_LABELS:
            raise FileError("A label map holds more than 254 labels; merge some of them.")
        labels = labels.reshape(image.GetSize()[::-1]).astype(np.uint8)
        yield len(records), _anonymous(path.name), Shard.of(labels, image.GetSpacing()[::-1])


def _from_unlabelled(folder: Path, records: list[dict[str, Any]]) -> Iterator[tuple[int, str, Shard]]:
    """Supervoxels stand for objects: their borders are the image's own edges."""
    from ..files import read_volume

    for record in records:
        path = _named(record, folder)
        volume = read_volume(path)
        spacing = volume.grid.spacing_kji_mm
        labels = supervoxels(encoded(volume.array_kji)[0], spacing)
        yield len(records), _anonymous(path.name), Shard.of(labels, spacing, image_kji=volume.array_kji)


def supervoxels(codes: np.ndarray, spacing_kji_mm: tuple[float, float, float]) -> np.ndarray:
    """uint8 (K, J, I): the 255 largest basins of the edges of an image of codes, none above a quarter of the image."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(codes.astype(np.float32))
    image.SetSpacing(spacing_kji_mm[::-1])
    edges = sitk.GradientMagnitudeRecursiveGaussian(image, 1.5 * min(spacing_kji_mm))
    level = float(np.quantile(sitk.GetArrayViewFromImage(edges), 0.7))
    basins = sitk.GetArrayFromImage(sitk.MorphologicalWatershed(edges, level, markWatershedLine=False))
    sizes = np.bincount(basins.ravel())
    sizes[(sizes < FEWEST_VOXELS) | (sizes > basins.size / 4)] = 0
    numbers = np.zeros(len(sizes), np.uint8)
    largest = [basin for basin in np.argsort(-sizes, kind="stable")[:_MOST_LABELS] if sizes[basin]]
    numbers[largest] = np.arange(1, len(largest) + 1)
    return numbers[basins]


def _anonymous(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:12]
