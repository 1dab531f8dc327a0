"""A small labelled data set for tests of the evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from memseg.evaluation.dataset import Entry, LabelledObject
from memseg.geometry import Box, Grid
from memseg.volume import Volume


def write_cubes(folder: Path) -> Path:
    """Two volumes of 20 x 20 x 20 voxels of 1 mm with a 5 x 5 x 5 cube each: at 5 to 9 along every axis, and at 8 to
    12. Both are of one subject, which is in validation, and of a source each. Returns the folder."""
    cubes = []
    for start in (5, 8):
        labels = np.zeros((20, 20, 20), np.uint8)
        labels[(slice(start, start + 5),) * 3] = 1
        cubes.append(labels)
    return _write(folder, cubes, "cube")


def write_bar(folder: Path) -> Path:
    """One volume of 40 x 20 x 20 voxels of 1 mm with a bar of 36 x 5 x 5 in slices 2 to 37 along k, as above."""
    labels = np.zeros((40, 20, 20), np.uint8)
    labels[2:38, 5:10, 5:10] = 1
    return _write(folder, [labels], "bar")


def _write(folder: Path, volumes: list[np.ndarray], label: str) -> Path:
    records = []
    for number, labels in enumerate(volumes):
        for name, array in (("image", labels.astype(np.int16) * 50), ("label", labels)):
            sitk.WriteImage(sitk.GetImageFromArray(array), str(folder / f"{name}{number}.nii.gz"))
        records.append(
            {"id": str(number), "image": f"image{number}.nii.gz", "label": f"label{number}.nii.gz",
             "labels": {label: 1}, "modality": "CT", "source": f"place{number}@x", "subject": "sts-002"}
        )  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(records))
    return folder


def labelled_object(
    truth: np.ndarray,
    image: np.ndarray | None = None,
    spacing_kji_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    source: str = "place CT",
) -> LabelledObject:
    """An object of no file. image: without one, 100 in the object and 0 elsewhere."""
    image = np.where(truth, 100, 0).astype(np.int16) if image is None else image
    entry = Entry("0", Path("image"), Path("label"), (("object", 1),), "CT", source, "sts-002")
    box = Box.of_mask(truth)
    volume = Volume(image, Grid.from_spacing(truth.shape, spacing_kji_mm))
    return LabelledObject(entry, "object", volume, box, np.asarray(truth[box.slices], bool))
