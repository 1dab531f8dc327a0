"""Window and level of the shown volume: named presets, and dragging."""

from __future__ import annotations

import numpy as np
from slicer import vtkMRMLScalarVolumeNode
from trame_slicer.core.volume_window_level import VolumeWindowLevel

from memseg.volume import Volume

# Window and level in Hounsfield units, as radiologists use them.
PRESETS: dict[str, tuple[float, float]] = {
    "soft tissue": (400.0, 40.0),
    "liver": (160.0, 70.0),
    "lung": (1500.0, -600.0),
    "bone": (1800.0, 400.0),
    "brain": (80.0, 40.0),
}
AUTOMATIC = "automatic"
FULL = "full range"
CHOICES = (*PRESETS, AUTOMATIC, FULL)
_PIXELS_ACROSS = 500.0  # dragging this far changes the window by the image's whole range


def first_choice(volume: Volume) -> str:
    """Soft tissue for what looks like CT (air far below zero), automatic for everything else."""
    low, high = volume.intensity_range
    return "soft tissue" if low <= -500 and high >= 200 else AUTOMATIC


def apply(volume_node: vtkMRMLScalarVolumeNode, volume: Volume, choice: str) -> tuple[float, float]:
    """Set one of CHOICES and return (window, level)."""
    if choice in PRESETS:
        window, level = PRESETS[choice]
    elif choice == FULL:
        window, level = VolumeWindowLevel.min_max_to_window_level(*volume.intensity_range)
    else:
        window, level = _automatic(volume)
    VolumeWindowLevel.set_volume_node_window_level(volume_node, window, level)
    return window, level


def drag(volume_node: vtkMRMLScalarVolumeNode, volume: Volume, right_px: float, up_px: float) -> tuple[float, float]:
    """Widen the window by dragging right, raise the level by dragging up; returns (window, level)."""
    low, high = VolumeWindowLevel.get_volume_display_range(volume_node)
    window, level = VolumeWindowLevel.min_max_to_window_level(low, high)
    span = volume.intensity_range[1] - volume.intensity_range[0]
    step = max(min(span, 4 * window), span / 1000) / _PIXELS_ACROSS  # finer where the window is narrow already
    window = max(window + right_px * step, span / 10_000)
    level = level + up_px * step
    VolumeWindowLevel.set_volume_node_window_level(volume_node, window, level)
    return window, level


def _automatic(volume: Volume) -> tuple[float, float]:
    """From the 0.5th to the 99.5th percentile of at most 200,000 voxels."""
    flat = volume.array_kji.reshape(-1)
    sample = flat[:: max(1, flat.size // 200_000)]
    low, high = np.percentile(sample, (0.5, 99.5))
    if high <= low:
        low, high = volume.intensity_range
    return VolumeWindowLevel.min_max_to_window_level(float(low), float(high))
