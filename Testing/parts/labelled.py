"""A small labelled data set for tests of the evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk


def write_cubes(folder: Path) -> Path:
    """Two volumes of 20 x 20 x 20 voxels of 1 mm with a 5 x 5 x 5 cube each: at 5 to 9 along every axis, and at 8 to
    12. Both are of one subject, which is in validation, and of a source each. Returns the folder."""
    records = []
    for number, start in enumerate((5, 8)):
        labels = np.zeros((20, 20, 20), np.uint8)
        labels[(slice(start, start + 5),) * 3] = 1
        for name, array in (("image", labels.astype(np.int16) * 50), ("label", labels)):
            sitk.WriteImage(sitk.GetImageFromArray(array), str(folder / f"{name}{number}.nii.gz"))
        records.append(
            {"id": str(number), "image": f"image{number}.nii.gz", "label": f"label{number}.nii.gz",
             "labels": {"cube": 1}, "modality": "CT", "source": f"place{number}@x", "subject": "sts-002"}
        )  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(records))
    return folder
