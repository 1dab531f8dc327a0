"""The recall memory that each query is answered with: the structures of the other subjects of the data set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...errors import MemSegError
from ...files import read_volume
from ...geometry import Box
from ...memory.recall import RecallEntry, RecallMemory
from ...text.recalling import remember
from ..dataset import FEWEST_VOXELS, Dataset, Entry, read_labels

MODALITIES = ("CT", "MR", "PET")


def memory_of(dataset: Dataset, tell: Callable[[str], None] = lambda _: None) -> RecallMemory:
    """Every labelled structure of at least 30 voxels, remembered under its label's name. tell: told each volume."""
    entries: list[RecallEntry] = []
    for entry in dataset.entries:
        tell(entry.identity)
        entries += remembered(entry)
    return RecallMemory(tuple(entries))


def remembered(entry: Entry) -> list[RecallEntry]:
    """What one volume gives; a structure that cannot be remembered is left out."""
    volume = read_volume(entry.image)
    labels_kji = read_labels(entry, volume)
    modality = entry.modality if entry.modality in MODALITIES else ""
    found = []
    for name, value in entry.labels:
        box = Box.of_mask(labels_kji == value)
        values = (labels_kji[box.slices] == value).astype(np.uint8)
        if np.count_nonzero(values) < FEWEST_VOXELS:
            continue
        try:
            found.append(remember(volume, box, values, name, modality=modality, subject=entry.subject))
        except MemSegError:
            continue
    return found


def without(memory: RecallMemory, dataset: Dataset, subject: str, most: int | None = None) -> RecallMemory:
    """The memory without a subject. most: of so many subjects only, of each source those that follow it in the
    manifest's order, the first after the last; None for all."""
    rest = memory.without_subject(subject)
    if most is None:
        return rest
    kept: set[str] = set()
    for source in dict.fromkeys(entry.source for entry in dataset.entries):
        subjects = list(dict.fromkeys(entry.subject for entry in dataset.entries if entry.source == source))
        start = subjects.index(subject) + 1 if subject in subjects else 0
        following = [each for each in subjects[start:] + subjects[:start] if each != subject]
        kept |= set(following[:most])
    return RecallMemory(tuple(entry for entry in rest if entry.subject in kept))


def subjects_of(memory: RecallMemory, key: str) -> int:
    """How many subjects have a structure of that key in it."""
    return len({entry.subject for entry in memory if entry.key == key})
