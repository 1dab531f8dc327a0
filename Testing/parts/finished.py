"""Finished segmentations for tests of the first guess: small bright balls and darker boxes in noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from memseg.files import write_segmentation
from memseg.geometry import Grid
from memseg.volume import Volume

SHAPE = (20, 24, 24)


def ball_and_box(seed: int, shape: tuple[int, int, int] = SHAPE) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """An image with a ball of 300, a box of -200 and noise of 20 round 0, and the masks of both."""
    source = np.random.default_rng(seed)
    places = np.indices(shape)
    middle = np.array([shape[0] // 2, shape[1] // 2, 7]) + source.integers(-2, 3, 3)
    ball = ((places - middle[:, None, None, None]) ** 2).sum(axis=0) <= 16
    box = np.zeros(shape, bool)
    j = 6 + int(source.integers(0, 6))
    box[6:13, j : j + 7, 14:20] = True
    image = source.normal(0, 20, shape) + 300 * ball - 200 * box
    return image.astype(np.float32), {"ball": ball, "box": box}


def write_image(path: Path, volume: Volume) -> None:
    image = sitk.GetImageFromArray(volume.array_kji)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.grid.ijk_to_ras
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    sitk.WriteImage(image, str(path))


def write_subject(folder: Path, name: str, seed: int, spacing_kji_mm: tuple[float, float, float] = (2.0, 1.0, 1.0)):
    """`name.nii.gz` and `name.seg.nrrd`; returns volume and masks."""
    image, masks = ball_and_box(seed)
    volume = Volume(image, Grid.from_spacing(image.shape, spacing_kji_mm))
    write_image(folder / f"{name}.nii.gz", volume)
    write_segmentation(folder / f"{name}.seg.nrrd", {key: mask.astype(np.uint8) for key, mask in masks.items()}, volume)
    return volume, masks


def write_finished(folder: Path, count: int = 4) -> Path:
    """Subjects `case0`, `case1`, ...; returns the folder."""
    for number in range(count):
        write_subject(folder, f"case{number}", number)
    return folder
