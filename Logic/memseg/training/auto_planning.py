"""The plan of a run, from the data set and the machine: spacing, patch, channels and strides, by nnU-Net's rules
(Isensee et al., Nature Methods 2021), coarser and narrower where there is no graphics card."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import torch

from ..automatic.collecting import MOST_STRUCTURES
from ..automatic.frame import shape_sar, spacing_of
from ..automatic.plan import AutoPlan, Intensities
from ..errors import FileError, ModelError
from ..networks.segmamba import AutoConfig, Triple
from .auto_subjects import Drawn, Subject

Spacing = tuple[float, float, float]
_STAGES, _MOST_CHANNELS, _SHORTEST = 6, 320, 4  # shortest side of the deepest features
_SAMPLED_VOXELS = 20_000
_CT_AIR, _CT_METAL = -900, 35_000
_SIDES = {"left": "right", "right": "left", "l": "r", "r": "l", "lt": "rt", "rt": "lt"}


@dataclass(frozen=True)
class Machine:
    """voxels of a patch, channels of the first stage, and patches that a usual volume is made of at most."""

    voxels: int
    channels: int
    patches: float

    @classmethod
    def of(cls, device: torch.device) -> Machine:
        if device.type != "cuda":
            return cls(48**3, 16, 8)
        gigabytes = torch.cuda.get_device_properties(device).total_memory / 2**30
        return cls(128**3, 32, 64) if gigabytes > 20 else cls(96**3, 32, 64)


@dataclass(frozen=True, eq=False)
class Survey:
    """What planning needs to know of one subject. voxels: by name, of every structure that was looked for. sample:
    intensities in the structures."""

    subject: Subject
    shape_sar: Triple
    spacing_sar_mm: Spacing
    voxels: dict[str, int]
    range: tuple[float, float]
    sample: np.ndarray

    @classmethod
    def of(cls, subject: Subject, drawn: Drawn) -> Survey:
        volume = drawn.volume
        union = np.zeros(volume.shape_kji, bool)
        for mask in drawn.masks.values():
            union |= mask
        inside = volume.array_kji[union].astype(np.float32)
        return cls(
            subject,
            shape_sar(volume.grid),
            spacing_of(volume.grid),
            {name: int(np.count_nonzero(mask)) for name, mask in drawn.masks.items()},
            volume.intensity_range,
            inside[:: max(1, len(inside) // _SAMPLED_VOXELS)],
        )


@dataclass(frozen=True)
class Told:
    """What the user decides; None: planned."""

    spacing_mm: Spacing | None = None
    patch: Triple | None = None
    channels: int | None = None


def planned(
    surveys: list[Survey], network: str, machine: Machine, told: Told = Told(), watched: frozenset[str] = frozenset()
) -> tuple[AutoPlan, list[str]]:
    """The plan, and sentences on what was noticed. watched: identities that nothing is learnt from. Raises FileError or
    ModelError."""
    taught = [survey for survey in surveys if survey.subject.identity not in watched]
    names, notes = _names(surveys, taught)
    finest = _usual_spacing(surveys)
    spacing = told.spacing_mm or _affordable(surveys, finest, machine)
    notes += _about_spacing(surveys, finest, spacing, told)
    shape = np.median([_samples(survey, spacing) for survey in surveys], axis=0)
    channels = told.channels or machine.channels
    wanted = told.patch or _patch(shape, spacing, machine.voxels)
    strides, kernels, patch = topology(wanted, spacing)
    if told.patch is not None and patch != told.patch:
        notes.append(f"The patch is {_by(patch)}, as its sides have to be divisible by what the network halves.")
    stages = len(strides)
    try:
        config = AutoConfig(
            variant=network,
            classes=len(names) + 1,
            channels=tuple(min(channels * 2**stage, max(_MOST_CHANNELS, channels)) for stage in range(stages)),
            kernels=kernels,
            strides=strides,
            blocks=(2,) * stages,
            decoder_blocks=(2,) * (stages - 1),
        )
        plan = AutoPlan(config, names, spacing, patch, _intensities(taught), mirrored(names))
    except ValueError as error:
        raise ModelError(f"There is no such plan: {error}") from error
    if plan.mirror is None:
        notes.append("Images are not mirrored from left to right, as a structure of one side has no counterpart.")
    return plan, notes


def mirrored(names: tuple[str, ...]) -> tuple[int, ...] | None:
    """Classes of the mirror image: left and right change places. None where one of a pair is missing."""
    mirror = [0]
    for name in names:
        words = [_SIDES.get(word.lower(), word.lower()) for word in _words(name)]
        others = [number for number, other in enumerate(names, 1) if [w.lower() for w in _words(other)] == words]
        if len(others) != 1:
            return None
        mirror.append(others[0])
    return tuple(mirror) if sorted(mirror) == list(range(len(names) + 1)) else None


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", name)


def _names(surveys: list[Survey], taught: list[Survey]) -> tuple[tuple[str, ...], list[str]]:
    order = list(dict.fromkeys(name for survey in taught for name in survey.voxels))
    names = tuple(name for name in order if any(survey.voxels.get(name) for survey in taught))
    if not names:
        raise FileError("No structure holds a voxel in the subjects to learn from; segment some of them first.")
    if len(names) > MOST_STRUCTURES:
        raise FileError(f"The data set has {len(names)} structures; train on {MOST_STRUCTURES} of them at most.")
    notes = []
    for name in dict.fromkeys(name for survey in surveys for name in survey.voxels):
        drawn = sum(name in survey.voxels for survey in surveys)
        if name not in names:
            notes.append(f"'{name}' is left out: no subject to learn from has a voxel of it.")
        elif drawn < len(surveys):
            notes.append(
                f"'{name}' is segmented in {drawn} of {len(surveys)} subjects; the others teach nothing about it."
            )
    return names, notes


def _usual_spacing(surveys: list[Survey]) -> Spacing:
    """The median along each axis; along a much coarser one the 10th percentile, as in nnU-Net."""
    steps = np.array([survey.spacing_sar_mm for survey in surveys])
    usual = np.median(steps, axis=0)
    worst = int(np.argmax(usual))
    others = np.delete(usual, worst)
    if usual[worst] > 3 * others.max():
        usual[worst] = max(np.quantile(steps[:, worst], 0.1), others.max())
    return tuple(float(round(step, 4)) for step in usual)


def _affordable(surveys: list[Survey], spacing: Spacing, machine: Machine) -> Spacing:
    """Coarser until a usual volume is made of few enough patches; the finest axes give way first."""
    steps = np.array(spacing)
    shape = np.median([_samples(survey, spacing) for survey in surveys], axis=0)
    extent_mm, most = shape * steps, machine.voxels * machine.patches
    low, high = steps.min(), max(steps.max(), float(np.cbrt(np.prod(extent_mm) / most)) * 4)
    if np.prod(extent_mm / steps) <= most:
        return spacing
    for _ in range(40):
        middle = (low + high) / 2
        if np.prod(extent_mm / np.maximum(steps, middle)) > most:
            low = middle
        else:
            high = middle
    return tuple(float(np.ceil(step * 100) / 100) for step in np.maximum(steps, high))


def _about_spacing(surveys: list[Survey], finest: Spacing, spacing: Spacing, told: Told) -> list[str]:
    steps = np.array([survey.spacing_sar_mm for survey in surveys])
    notes = []
    if (steps.max(axis=0) > 1.2 * steps.min(axis=0)).any():
        notes.append(
            f"Spacings differ, from {_mm(steps.min(axis=0))} to {_mm(steps.max(axis=0))}; all are resampled to "
            f"{_mm(spacing)}."
        )
    if told.spacing_mm is None and spacing != finest:
        notes.append(
            f"Samples are {_mm(spacing)} where the images have {_mm(finest)}, so that this machine can learn whole "
            "structures; --spacing says otherwise."
        )
    return notes


def _samples(survey: Survey, spacing: Spacing) -> np.ndarray:
    return np.maximum(1, np.round(np.multiply(survey.shape_sar, survey.spacing_sar_mm) / spacing))


def _patch(shape: np.ndarray, spacing: Spacing, voxels: int) -> Triple:
    """As even in mm as the usual volume and the number of voxels allow."""
    steps = np.array(spacing)
    low, high = 0.0, float((shape * steps).max())
    if np.prod(shape) <= voxels:
        low = high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if np.prod(np.minimum(shape, middle / steps)) <= voxels else (low, middle)
    return tuple(max(1, int(side + 0.01)) for side in np.minimum(shape, np.maximum(1, low / steps)))


def topology(wanted: Triple, spacing: Spacing) -> tuple[tuple[Triple, ...], tuple[Triple, ...], Triple]:
    """Strides and kernels of each stage, and the patch, its sides rounded to what strides divide. An axis is halved
    while it is long enough and not much coarser than the finest one; kernels begin flat along coarse axes."""
    sides, steps, halvings = np.array(wanted), np.array(spacing, float), np.zeros(3, int)
    strides: list[Triple] = [(1, 1, 1)]
    kernels = [_kernel(steps)]
    while len(strides) < _STAGES:
        long = sides >= 2 * _SHORTEST
        if not long.any():
            break
        halved = long & (steps < 2 * steps[long].min())
        strides.append(tuple(int(step) for step in np.where(halved, 2, 1)))
        sides, steps = np.where(halved, sides // 2, sides), np.where(halved, steps * 2, steps)
        halvings += halved
        kernels.append(_kernel(steps))
    if len(strides) == 1:
        raise FileError(
            f"A patch of {_by(wanted)} samples is too small to be halved once; give a larger --patch or a finer "
            "--spacing."
        )
    divisor = 2**halvings
    patch = np.maximum(1, np.round(np.array(wanted) / divisor)).astype(int) * divisor
    return tuple(strides), tuple(kernels), tuple(int(side) for side in patch)


def _kernel(steps: np.ndarray) -> Triple:
    return tuple(1 if step > 2 * steps.min() else 3 for step in steps)


def _intensities(surveys: list[Survey]) -> Intensities:
    known = [survey.subject.modality.upper() for survey in surveys]
    ct = all(word == "CT" for word in known) or (
        all(word == "UNKNOWN" for word in known)
        and all(low <= _CT_AIR and high < _CT_METAL for low, high in (survey.range for survey in surveys))
    )
    return Intensities.of_ct(np.concatenate([survey.sample for survey in surveys])) if ct else Intensities("each")


def halved(plan: AutoPlan) -> Triple | None:
    """The patch with its longest side halved that allows it; None where no side does."""
    divisor = plan.network.divisor
    for axis in np.argsort([-side for side in plan.patch_sar], kind="stable"):
        side = plan.patch_sar[axis] // 2 // divisor[axis] * divisor[axis]
        if side and math.prod(plan.patch_sar) // plan.patch_sar[axis] * side > math.prod(divisor):
            return tuple(side if other == axis else edge for other, edge in enumerate(plan.patch_sar))
    return None


def _by(sides: Triple) -> str:
    return " x ".join(map(str, sides))


def _mm(steps: Spacing | np.ndarray) -> str:
    return " x ".join(f"{step:.2f}" for step in steps) + " mm"
