"""Somebody's finished segmentations: a folder with `manifest.json`, or images with their `.seg.nrrd` beside them.

`CASE.nii.gz` goes with `CASE.seg.nrrd`; a folder with one image and one segmentation, such as a scene that was saved to
a folder of its own, needs no such names. Segments may overlap: the smaller one is on top.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from ..errors import FileError
from ..evaluation import dataset
from ..files import ending, read_layers, read_volume
from ..geometry import Grid
from ..volume import Volume

_SEGMENTATION = ".seg.nrrd"
_IMAGES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
_INSIDE = 0.95  # of a structure's voxels; borders of grids may cut a little
_SAME_MM = 0.01


@dataclass(frozen=True)
class Subject:
    """One image and its segmentation. labels: name and value of each structure, None where the segmentation's own
    fields have them."""

    identity: str
    person: str
    image: Path
    truth: Path
    labels: tuple[tuple[str, int], ...] | None
    modality: str


@dataclass(frozen=True, eq=False)
class Drawn:
    """masks: names of the structures that somebody looked for in this image, each with its voxels (K, J, I) bool."""

    volume: Volume
    masks: dict[str, np.ndarray]


def find(folder: Path) -> tuple[Subject, ...]:
    """Raises FileError with what to do about it."""
    if not folder.exists():
        raise FileError(f"There is no folder {folder.name}; give the one with your images and segmentations.")
    if folder.is_file() or (folder / "manifest.json").is_file():
        entries = dataset.read(folder).entries
        found = tuple(
            Subject(entry.identity, entry.subject, entry.image, entry.label, entry.labels, entry.modality)
            for entry in entries
        )
    else:
        truths = sorted(path for path in folder.rglob("*") if ending(path) == _SEGMENTATION)
        if not truths:
            raise FileError(
                f"{folder.name} holds neither a manifest.json nor segmentations; save each segmentation as "
                "NAME.seg.nrrd beside its image NAME.nii.gz or NAME.nrrd."
            )
        found = tuple(_beside(truth, folder) for truth in truths)
    if len({subject.person for subject in found}) < 2:
        raise FileError(
            "Training needs segmentations of two subjects at least, one to learn from and one to see how well it goes; "
            "segment another one."
        )
    return found


def _beside(truth: Path, folder: Path) -> Subject:
    stem = truth.name.removesuffix(truth.name[-len(_SEGMENTATION) :])
    images = [path for path in sorted(truth.parent.iterdir()) if ending(path) in _IMAGES and path.is_file()]
    named = [path for path in images if path.name.removesuffix(path.name[-len(ending(path)) :]) == stem]
    alone = len([path for path in truth.parent.iterdir() if ending(path) == _SEGMENTATION]) == 1
    if not named and alone and len(images) == 1:
        named = images
    if len(named) != 1:
        raise FileError(
            f"Which image is {truth.name} of? Name it {stem}.nii.gz or {stem}.nrrd and put it beside the segmentation."
        )
    identity = truth.relative_to(folder).as_posix().removesuffix(truth.name[-len(_SEGMENTATION) :])
    return Subject(identity, identity, named[0], truth, None, "unknown")


def read(subject: Subject) -> Drawn:
    """Raises FileError, VolumeError or GeometryError, saying whose file is wrong and what to do about it."""
    volume = read_volume(subject.image)
    layers, grid, fields = read_layers(subject.truth)
    if subject.labels is None:
        segments = _segments(fields, subject)
    else:
        segments = {name: (0, value) for name, value in subject.labels}
    masks = {}
    for name, (layer, value) in segments.items():
        if layer >= len(layers):
            raise FileError(f"The segmentation of '{subject.identity}' is damaged; save it again.")
        masks[name] = _placed(layers[layer] == value, grid, volume, name, subject)
    if not any(mask.any() for mask in masks.values()):
        raise FileError(
            f"The segmentation of '{subject.identity}' holds none of its structures; segment them, or take it out."
        )
    return Drawn(volume, masks)


def _segments(fields: dict[str, str], subject: Subject) -> dict[str, tuple[int, int]]:
    """Name -> layer and value, as Slicer writes them."""
    segments: dict[str, tuple[int, int]] = {}
    number = 0
    while f"Segment{number}_Name" in fields:
        name = fields[f"Segment{number}_Name"].strip()
        try:
            layer = int(fields.get(f"Segment{number}_Layer", "0"))
            value = int(fields.get(f"Segment{number}_LabelValue", "1"))
        except ValueError as error:
            raise FileError(f"The segmentation of '{subject.identity}' is damaged; save it again.") from error
        if name in segments:
            raise FileError(f"The segmentation of '{subject.identity}' has two segments '{name}'; rename one of them.")
        segments[name] = (layer, value)
        number += 1
    if not segments:
        raise FileError(f"The segmentation of '{subject.identity}' names no segments; save it from Slicer again.")
    return segments


def _placed(mask: np.ndarray, grid: Grid, volume: Volume, name: str, subject: Subject) -> np.ndarray:
    """The mask on the volume's grid."""
    if grid.same_as(volume.grid, _SAME_MM):
        return mask
    whole = int(np.count_nonzero(mask)) * grid.voxel_volume_mm3
    turn = (grid.ras_to_ijk @ volume.grid.ijk_to_ras)[:3, :3][::-1, ::-1]  # from the volume's k, j, i to the mask's
    first = grid.kji_from_ras(volume.grid.ras_from_kji(np.zeros(3)))
    shape = volume.shape_kji
    placed = ndimage.affine_transform(mask.astype(np.uint8), turn, first, shape, order=0, mode="constant") > 0
    inside = int(np.count_nonzero(placed)) * volume.grid.voxel_volume_mm3
    if whole and inside < _INSIDE * whole and _beyond(mask, grid, volume) > 1 - _INSIDE:
        raise FileError(
            f"'{name}' of '{subject.identity}' lies outside its image; the segmentation may be of another one, so put "
            "the right image beside it, or take it out."
        )
    return placed


def _beyond(mask: np.ndarray, grid: Grid, volume: Volume) -> float:
    """The share of a mask's voxels whose centres are outside the volume."""
    places = volume.grid.kji_from_ras(grid.ras_from_kji(np.argwhere(mask)))
    inside = ((places > -0.5) & (places < np.array(volume.shape_kji) - 0.5)).all(axis=1)
    return 1 - float(inside.mean())


def classes_of(drawn: Drawn, names: tuple[str, ...]) -> np.ndarray:
    """uint8 (K, J, I): the place of each voxel's structure in names, from 1; the smallest structure is on top."""
    classes = np.zeros(drawn.volume.shape_kji, np.uint8)
    present = [name for name in names if name in drawn.masks]
    for name in sorted(present, key=lambda each: -np.count_nonzero(drawn.masks[each])):
        classes[drawn.masks[name]] = names.index(name) + 1
    return classes


def held_out(subjects: tuple[Subject, ...], seed: int, share: float = 0.2) -> frozenset[str]:
    """Identities of the subjects to watch training by: so large a share of the persons, one at least and never all."""
    persons = sorted({subject.person for subject in subjects})
    order = sorted(persons, key=lambda person: hashlib.sha256(f"{seed} {person}".encode()).digest())
    chosen = set(order[: min(len(order) - 1, max(1, round(len(order) * share)))])
    return frozenset(subject.identity for subject in subjects if subject.person in chosen)
