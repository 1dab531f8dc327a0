"""The recall memory: structures segmented in earlier volumes, each under its name, searched by kNN.

After Memorizing SAM (arXiv 2412.13908), with what it remembers made smaller: not crops and a network's tensors, but a
few dozen descriptors of places in and around the structure (keys), what was there (values), and its coarse shape. The
memory is a value: every method returns a new one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import date
from functools import cached_property
from math import prod
from uuid import uuid4

import numpy as np

from ..errors import PromptError

VERSION = 1  # of what an entry holds; the four numbers below belong to it
KEY_NUMBERS, NEAR_NUMBERS, BINS, EMBEDDING_NUMBERS = 130, 6, 32, 48
SIDES = ("", "left", "right")
MODALITIES = ("", "CT", "MR", "PET")
LONGEST_NAME = 100
LONGEST_NOTE = 500
_WORDS = {"key": LONGEST_NAME, "subject": LONGEST_NAME, "licence": LONGEST_NOTE, "note": LONGEST_NOTE}
# Bounds of an entry, whatever a file says: four times and more of what structures as long as a body ever took.
_MOST_PLACES, _MOST_NEAR_CELLS, _MOST_SAMPLES, _LONGEST_SIDE, _WIDEST_THUMBNAIL = 8000, 100_000, 400_000, 1000, 512
_FINEST_MM = 0.5
_IDENTITY = re.compile(r"[0-9a-f]{32}")


def new_identity() -> str:
    return uuid4().hex


def today() -> str:
    return date.today().isoformat()


@dataclass(frozen=True, eq=False)
class RecallEntry:
    """One remembered structure. Millimetres are along the patient's axes R, A, S, from the centre of the structure.

    identity: 32 hexadecimal digits. name: as the user gave it. key: of its term, or the name in lower case with
    underscores; without a side. subject: a free label of whose volume it was, for leaving it out; "" where unknown.
    made: ISO date. size_mm: extent along R, A, S. embedding: (48,) of the whole volume.

    keys: (A, 130), descriptors of A places in and around the structure; -1 where a place looks out of the volume.
    values: (A, 5), of each place: 1 inside or 0, signed distance to the surface in mm (positive inside), offset R, A, S
    in mm.
    near_index: (N, 3) int16 places k, j, i (along S, A, R) of a lattice of near_spacing_mm round the structure;
    near_keys (N, 6) uint8 how it looks there. mask: packed bits of the coarse shape, mask_shape_kji samples
    mask_spacing_mm apart, the first at mask_start_mm (R, A, S). cut: (6,) bool, whether the volume ended within the
    structure at R-, R+, A-, A+, S-, S+. histograms: (2, 32), how often intensities occur inside, and close outside.
    thumbnail: (h, w) uint8, a slice from the front or above with the outline at 255. image, image_to_mm: only where
    asked, a crop of the volume's voxels and the (4, 4) matrix from its (i, j, k) to mm from the structure's centre."""

    name: str
    key: str
    keys: np.ndarray
    values: np.ndarray
    near_index: np.ndarray
    near_keys: np.ndarray
    near_spacing_mm: float
    mask: np.ndarray
    mask_shape_kji: tuple[int, int, int]
    mask_spacing_mm: float
    mask_start_mm: tuple[float, float, float]
    cut: np.ndarray
    histograms: np.ndarray
    embedding: np.ndarray
    thumbnail: np.ndarray
    size_mm: tuple[float, float, float]
    volume_ml: float
    side: str = ""
    modality: str = ""
    subject: str = ""
    licence: str = ""
    note: str = ""
    made: str = field(default_factory=today)
    identity: str = field(default_factory=new_identity)
    version: int = VERSION
    image: np.ndarray | None = None
    image_to_mm: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", checked_name(self.name))
        for name, longest in _WORDS.items():
            object.__setattr__(self, name, _shown(getattr(self, name), name, longest))
        if not self.key or self.side not in SIDES or self.modality not in MODALITIES:
            raise ValueError("An entry has a key, a known side and a known modality.")
        if not _IDENTITY.fullmatch(self.identity):
            raise ValueError("An entry's identity is 32 hexadecimal digits.")
        date.fromisoformat(self.made)
        for name in ("mask_start_mm", "size_mm"):
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))
        object.__setattr__(self, "mask_shape_kji", tuple(int(size) for size in self.mask_shape_kji))
        self._check_numbers()
        self._check_arrays()

    def _check_numbers(self) -> None:
        shape = self.mask_shape_kji
        if len(shape) != 3 or not all(1 <= size <= _LONGEST_SIDE for size in shape) or prod(shape) > _MOST_SAMPLES:
            raise ValueError("An entry's shape has three usable sizes.")
        if len(self.mask_start_mm) != 3 or len(self.size_mm) != 3:
            raise ValueError("An entry lies along three axes.")
        numbers = (*self.mask_start_mm, *self.size_mm, self.volume_ml, self.near_spacing_mm, self.mask_spacing_mm)
        if not np.isfinite(numbers).all() or np.abs(numbers).max() > 1e5:
            raise ValueError("An entry's sizes are usable numbers of mm and ml.")
        if min(*self.size_mm, self.volume_ml) <= 0 or min(self.near_spacing_mm, self.mask_spacing_mm) < _FINEST_MM:
            raise ValueError("An entry's sizes are above 0.")

    def _check_arrays(self) -> None:
        packed = (prod(self.mask_shape_kji) + 7) // 8
        wanted = {
            "keys": (np.float16, (None, KEY_NUMBERS)), "values": (np.float16, (len(self.keys), 5)),
            "near_index": (np.int16, (None, 3)), "near_keys": (np.uint8, (len(self.near_index), NEAR_NUMBERS)),
            "mask": (np.uint8, (packed,)), "cut": (bool, (6,)), "histograms": (np.float16, (2, BINS)),
            "embedding": (np.float16, (EMBEDDING_NUMBERS,)), "thumbnail": (np.uint8, (None, None)),
        }  # fmt: skip
        if self.image is not None:
            wanted |= {"image_to_mm": (np.float32, (4, 4))}
        for name, (kind, shape) in wanted.items():
            array = np.array(getattr(self, name), dtype=kind)
            if array.ndim != len(shape) or any(size not in (None, real) for size, real in zip(shape, array.shape)):
                raise ValueError(f"The array '{name}' of an entry has the shape {array.shape}.")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ValueError(f"The array '{name}' of an entry holds what is no number.")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if not (1 <= len(self.keys) <= _MOST_PLACES and 1 <= len(self.near_index) <= _MOST_PLACES):
            raise ValueError("An entry has places, far and near.")
        if prod(np.ptp(self.near_index.astype(int), axis=0) + 1) > _MOST_NEAR_CELLS:
            raise ValueError("An entry's near places lie together.")
        if not self.mask_kji.any():
            raise ValueError("An entry has a shape.")
        if max(self.thumbnail.shape) > _WIDEST_THUMBNAIL:
            raise ValueError("An entry's thumbnail is small.")
        if self.image is not None:
            image = np.array(self.image)
            if image.ndim != 3 or image.dtype.kind not in "iuf":
                raise ValueError("An entry's image is a crop of a volume.")
            image.flags.writeable = False
            object.__setattr__(self, "image", image)

    @cached_property
    def mask_kji(self) -> np.ndarray:
        """The coarse shape, bool of mask_shape_kji along S, A, R."""
        return np.unpackbits(self.mask, count=prod(self.mask_shape_kji)).reshape(self.mask_shape_kji).astype(bool)

    @property
    def title(self) -> str:
        """Its side and name in words, such as "left kidney"."""
        words = self.key.replace("_", " ")
        return f"{self.side} {words}" if self.side else words

    @property
    def size_bytes(self) -> int:
        return sum(value.nbytes for value in self.arrays().values())

    def arrays(self) -> dict[str, np.ndarray]:
        """Its arrays by field name; those that are None left out."""
        held = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in held.items() if isinstance(value, np.ndarray)}


def _shown(value: str, name: str, longest: int) -> str:
    """The text, with a space for whatever cannot be shown. PromptError where it is too long."""
    if not isinstance(value, str):
        raise ValueError(f"The {name} of an entry is text.")
    if len(value) > longest:
        raise PromptError(f"The {name} is longer than {longest} characters; shorten it.")
    return "".join(letter if letter.isprintable() else " " for letter in value)


def checked_name(name: str) -> str:
    """The name, stripped; PromptError where it is no usable one."""
    words = " ".join(str(name).split())
    if not words or not any(letter.isalnum() for letter in words):
        raise PromptError("The name is empty; give the structure a name, such as left kidney.")
    if len(words) > LONGEST_NAME:
        raise PromptError(f"The name is longer than {LONGEST_NAME} characters; use a shorter one.")
    if not words.isprintable():
        raise PromptError("The name holds characters that cannot be shown; use letters, digits and spaces.")
    return words


@dataclass(frozen=True, eq=False)
class RecallMemory:
    """Entries, oldest first, each identity once."""

    entries: tuple[RecallEntry, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", tuple(self.entries))
        if len(self._places) < len(self.entries):
            raise ValueError("A recall memory holds every entry once.")

    @cached_property
    def _places(self) -> dict[str, int]:
        return {entry.identity: place for place, entry in enumerate(self.entries)}

    @cached_property
    def _by_key(self) -> dict[tuple[str, str], tuple[RecallEntry, ...]]:
        found: dict[tuple[str, str], list[RecallEntry]] = {}
        for entry in self.entries:
            found.setdefault((entry.key, entry.side), []).append(entry)
        return {name: tuple(entries) for name, entries in found.items()}

    @cached_property
    def _embeddings(self) -> np.ndarray:
        """(N, 48) float32, in the order of entries."""
        return np.array([entry.embedding for entry in self.entries], np.float32).reshape(-1, EMBEDDING_NUMBERS)

    def get(self, identity: str) -> RecallEntry | None:
        place = self._places.get(identity)
        return None if place is None else self.entries[place]

    def named(self, key: str, side: str = "") -> tuple[RecallEntry, ...]:
        """The entries of a structure, oldest first."""
        return self._by_key.get((key, side), ())

    def with_(self, *entries: RecallEntry) -> RecallMemory:
        """With the entries added last, in place of earlier ones of their identities."""
        new = {entry.identity for entry in entries}
        kept = tuple(entry for entry in self.entries if entry.identity not in new)
        return RecallMemory((*kept, *{entry.identity: entry for entry in entries}.values()))

    def without(self, identity: str) -> RecallMemory:
        """Without that entry; the same memory where it does not hold it."""
        if identity not in self._places:
            return self
        return RecallMemory(tuple(entry for entry in self.entries if entry.identity != identity))

    def without_subject(self, subject: str) -> RecallMemory:
        """Without what was remembered of a subject; all of it where the subject is ""."""
        if not subject:
            return self
        return RecallMemory(tuple(entry for entry in self.entries if entry.subject != subject))

    def renamed(self, identity: str, name: str, key: str, side: str = "") -> RecallMemory:
        """With another name for that entry; the same memory where it does not hold it."""
        return RecallMemory(
            tuple(
                replace(entry, name=name, key=key, side=side) if entry.identity == identity else entry
                for entry in self.entries
            )
        )

    def nearest(
        self, embedding: np.ndarray, k: int, among: Iterable[RecallEntry] | None = None
    ) -> tuple[tuple[RecallEntry, float], ...]:
        """The k entries whose volumes look most like one with that embedding, nearest first, with their distances
        (Euclidean). among: only of these."""
        places = np.arange(len(self.entries))
        if among is not None:
            places = np.array([self._places[entry.identity] for entry in among], dtype=np.int64)
        apart = self._embeddings[places] - np.asarray(embedding, np.float32)
        distances = np.sqrt(np.square(apart).sum(axis=1))
        order = np.argsort(distances, kind="stable")[: max(k, 0)]
        return tuple((self.entries[places[place]], float(distances[place])) for place in order)

    def names(self) -> tuple[str, ...]:
        """What it holds, as titles such as "left kidney", sorted, each once."""
        return tuple(sorted({entry.title for entry in self.entries}))

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[RecallEntry]:
        return iter(self.entries)
