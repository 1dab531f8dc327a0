"""What a user can say about one object: frozen values in voxel coordinates that check themselves when built.

Coordinates are (k, j, i). Points a user picks are continuous, so that a stroke drawn on an oblique slice stays where it
was drawn; voxel centres lie at integers. A prompt knows nothing of the volume: `check_fits` compares the two.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .errors import PromptError
from .geometry import AXES, Box, Grid, nearest_voxel

_LARGEST_COORDINATE = 1e6
_LARGEST_NUMBER_OF_POINTS = 20_000
_LARGEST_MASK_VOXELS = 2**31
_LONGEST_TEXT = 1000
_FLATNESS_VOX = 1.0  # how far a lasso's points may lie off their common plane


def _points(values: Any, least: int, what: str) -> tuple[tuple[float, float, float], ...]:
    """Checked (N, 3) coordinates as a tuple of tuples, without repeated neighbours."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 3:
        raise PromptError(f"A {what} needs points of three coordinates each.")
    if not np.isfinite(array).all() or np.abs(array).max(initial=0) > _LARGEST_COORDINATE:
        raise PromptError(f"A {what} holds a coordinate that is not a usable number; draw it again.")
    if len(array) > _LARGEST_NUMBER_OF_POINTS:
        raise PromptError(f"A {what} of {len(array)} points is too long; draw it in pieces.")
    if len(array) > 1:
        array = array[np.r_[True, np.any(np.diff(array, axis=0) != 0, axis=1)]]
    if len(array) < least:
        raise PromptError(
            f"A {what} needs at least {least} different {'point' if least == 1 else 'points'}; draw a longer one."
        )
    return tuple(tuple(float(value) for value in point) for point in array)


@dataclass(frozen=True)
class Click:
    """One voxel that belongs to the object (positive) or does not (negative)."""

    point_kji: tuple[int, int, int]
    positive: bool = True
    kind: ClassVar[str] = "click"

    def __post_init__(self) -> None:
        point = _points([self.point_kji], 1, "click")[0]
        object.__setattr__(self, "point_kji", tuple(int(value) for value in nearest_voxel(point)))
        object.__setattr__(self, "positive", bool(self.positive))


@dataclass(frozen=True)
class BoxPrompt:
    """A half-open box that holds the object (positive), or holds nothing of it (negative).

    One voxel thick along an axis, it is a 2D box: it bounds the object on that slice only.
    """

    start_kji: tuple[int, int, int]
    stop_kji: tuple[int, int, int]
    positive: bool = True
    kind: ClassVar[str] = "box"

    def __post_init__(self) -> None:
        corners = np.asarray([self.start_kji, self.stop_kji], dtype=np.float64)
        if corners.shape != (2, 3) or not np.isfinite(corners).all() or np.abs(corners).max() > _LARGEST_COORDINATE:
            raise PromptError("A box needs two corners of three usable coordinates each.")
        if (corners[1] <= corners[0]).any():
            raise PromptError("The box is empty; draw it from one corner of the object to the opposite one.")
        for name, corner in zip(("start_kji", "stop_kji"), corners):
            object.__setattr__(self, name, tuple(int(value) for value in corner))
        object.__setattr__(self, "positive", bool(self.positive))

    @property
    def box(self) -> Box:
        return Box(self.start_kji, self.stop_kji)

    @property
    def flat_axis(self) -> str | None:
        """The axis ("k", "j" or "i") along which the box is one voxel thick; None for a box in 3D."""
        flat = [axis for axis, extent in zip(AXES, self.box.shape_kji) if extent == 1]
        return flat[0] if len(flat) == 1 else None


@dataclass(frozen=True)
class Scribble:
    """A stroke through voxels that belong to the object (positive) or do not; radius_mm is the brush's."""

    points_kji: tuple[tuple[float, float, float], ...]
    positive: bool = True
    radius_mm: float = 0.0
    kind: ClassVar[str] = "scribble"

    def __post_init__(self) -> None:
        object.__setattr__(self, "points_kji", _points(self.points_kji, 1, "scribble"))
        object.__setattr__(self, "positive", bool(self.positive))
        if not 0 <= float(self.radius_mm) <= 100:
            raise PromptError("A scribble's radius lies between 0 and 100 mm.")
        object.__setattr__(self, "radius_mm", float(self.radius_mm))


@dataclass(frozen=True)
class Lasso:
    """A closed outline, on any plane, round a part of the object's cross-section (positive) or of its surroundings."""

    points_kji: tuple[tuple[float, float, float], ...]
    positive: bool = True
    kind: ClassVar[str] = "lasso"

    def __post_init__(self) -> None:
        points = _points(self.points_kji, 3, "lasso")
        if points[0] == points[-1]:
            points = points[:-1]
        centred = np.asarray(points) - np.mean(points, axis=0)
        _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
        if len(points) < 3 or lengths[1] < 1e-3:
            raise PromptError("The lasso encloses no area; draw an outline round a part of the object.")
        if len(points) > 3 and np.abs(centred @ directions[2]).max() > _FLATNESS_VOX:
            raise PromptError("The lasso does not lie in one plane; draw it within a single slice view.")
        object.__setattr__(self, "points_kji", points)
        object.__setattr__(self, "positive", bool(self.positive))


@dataclass(frozen=True, eq=False)
class MaskPrompt:
    """The whole object as it should now be: a manual edit, or a mask from elsewhere. Outside the box it is empty.

    box: half-open, inside a volume of shape_kji. values: uint8 0/1 of the box's shape, read-only. origin: what made it,
    in words, where that was not the user, such as "propagated along k from slice 40"; prompts are equal without it.
    """

    shape_kji: tuple[int, int, int]
    box: Box
    values: np.ndarray
    origin: str = ""
    kind: ClassVar[str] = "mask"
    positive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        shape = tuple(int(value) for value in self.shape_kji)
        values = np.array(np.asarray(self.values) != 0, dtype=np.uint8)
        if values.shape != self.box.shape_kji:
            raise PromptError(
                f"The mask's values have shape {values.shape}, its box {self.box.shape_kji}; they must agree."
            )
        if not Box.of_shape(shape).covers(self.box):
            raise PromptError("The mask lies outside the volume it was made for.")
        values.flags.writeable = False
        if not isinstance(self.origin, str) or len(self.origin) > _LONGEST_TEXT:
            raise PromptError(f"A mask's origin is at most {_LONGEST_TEXT} characters of text.")
        object.__setattr__(self, "shape_kji", shape)
        object.__setattr__(self, "values", values)

    @classmethod
    def from_mask(cls, mask_kji: np.ndarray) -> MaskPrompt:
        """From a full (K, J, I) mask, kept as the crop of its bounding box."""
        mask = np.asarray(mask_kji)
        if mask.ndim != 3:
            raise PromptError(f"The mask has {mask.ndim} dimensions; a volume's mask has three.")
        return cls.within(mask.shape, Box.of_shape(mask.shape), mask)

    @classmethod
    def within(cls, shape_kji: tuple[int, int, int], box: Box, values: np.ndarray, origin: str = "") -> MaskPrompt:
        """From a crop at the box, kept as the crop of its bounding box."""
        tight = Box.of_mask(values)
        return cls(shape_kji, tight.shifted(box.start_kji), values[tight.slices], origin)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, MaskPrompt)
            and (self.shape_kji, self.box) == (other.shape_kji, other.box)
            and np.array_equal(self.values, other.values)
        )

    def __hash__(self) -> int:
        return hash((self.shape_kji, self.box))


@dataclass(frozen=True)
class Text:
    """What the user typed, stripped; at most 1000 characters."""

    words: str
    kind: ClassVar[str] = "text"
    positive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        words = " ".join(str(self.words).split())
        if not words:
            raise PromptError("The text is empty; type what to segment.")
        if len(words) > _LONGEST_TEXT:
            raise PromptError(f"The text is longer than {_LONGEST_TEXT} characters; say it in fewer words.")
        object.__setattr__(self, "words", words)


Prompt = Click | BoxPrompt | Scribble | Lasso | MaskPrompt | Text
KINDS: dict[str, type] = {kind.kind: kind for kind in (Click, BoxPrompt, Scribble, Lasso, MaskPrompt, Text)}


def check_fits(prompt: Prompt, grid: Grid) -> None:
    """Raise PromptError unless the prompt touches the volume: clicks inside it, strokes and boxes at least in part."""
    if isinstance(prompt, Click) and not grid.box.holds(prompt.point_kji):
        raise PromptError("The click lies outside the volume; click on the image.")
    if isinstance(prompt, BoxPrompt) and prompt.box.clipped(grid.shape_kji).is_empty:
        raise PromptError("The box lies outside the volume; draw it on the image.")
    if (
        isinstance(prompt, (Scribble, Lasso))
        and Box.around(np.asarray(prompt.points_kji)).clipped(grid.shape_kji).is_empty
    ):
        raise PromptError(f"The {prompt.kind} lies outside the volume; draw it on the image.")
    if isinstance(prompt, MaskPrompt) and prompt.shape_kji != grid.shape_kji:
        raise PromptError(
            f"The mask has shape {prompt.shape_kji}, the volume {grid.shape_kji}; resample it to that grid first."
        )


def to_record(prompt: Prompt) -> dict[str, Any]:
    """The prompt as plain JSON values; `from_record` gives back an equal prompt."""
    if isinstance(prompt, MaskPrompt):
        packed = base64.b64encode(zlib.compress(np.packbits(prompt.values).tobytes(), 6)).decode()
        record = {
            "kind": prompt.kind,
            "shape_kji": prompt.shape_kji,
            "start_kji": prompt.box.start_kji,
            "stop_kji": prompt.box.stop_kji,
            "values": packed,
        }
        return {**record, "origin": prompt.origin} if prompt.origin else record
    return {"kind": prompt.kind, **vars(prompt)}


def from_record(record: dict[str, Any]) -> Prompt:
    """A prompt from JSON values of any origin; PromptError where they are not one."""
    try:
        fields = dict(record)
        kind = KINDS[fields.pop("kind")]
        if kind is MaskPrompt:
            return _mask_from_record(fields)
        if "positive" in fields and not isinstance(fields["positive"], bool):
            raise TypeError("positive must be true or false")
        return kind(**fields)
    except PromptError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, binascii.Error, zlib.error) as error:
        raise PromptError(
            "The file holds a prompt that cannot be read; it is damaged or of another program."
        ) from error


def _mask_from_record(fields: dict[str, Any]) -> MaskPrompt:
    box = Box(tuple(fields["start_kji"]), tuple(fields["stop_kji"]))
    if box.size > _LARGEST_MASK_VOXELS:
        raise PromptError("The file holds a mask too large to be one; it is damaged.")
    expected = (box.size + 7) // 8
    unpacker = zlib.decompressobj()
    packed = unpacker.decompress(base64.b64decode(fields["values"], validate=True), expected + 1)
    if len(packed) != expected:
        raise ValueError("the mask's bits do not fill its box")
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=box.size)
    return MaskPrompt(tuple(fields["shape_kji"]), box, bits.reshape(box.shape_kji), fields.get("origin", ""))
