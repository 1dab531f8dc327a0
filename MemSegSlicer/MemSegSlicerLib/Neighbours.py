"""The other segments of a segmentation, for words that speak of them ("posterior to the aorta").

What must be copied from the scene for that is copied once for all segments on the same labelmap (8 ms where it holds 43
million voxels), and not at all where a session holds it. What each covers is looked for in the worker, again once for
all on a labelmap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import slicer
from scipy import ndimage

from memseg.geometry import Box
from memseg.session import Session

from . import SceneBridge
from .Lattice import SegmentVoxels
from .Record import Record
from .SceneState import SegmentKey

Crop = tuple[Box, np.ndarray]


class Neighbours(Mapping[str, Crop]):
    """By name: a box, and uint8 0/1 of its shape; outside it the segment is empty. For one thread.

    readers: what gives the crop of a name when it is asked for, which is once.
    """

    def __init__(self, readers: Mapping[str, Callable[[], Crop]]) -> None:
        self._readers = dict(readers)
        self._known: dict[str, Crop] = {}

    def __getitem__(self, name: str) -> Crop:
        if name not in self._known:
            self._known[name] = self._readers[name]()
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)

    @classmethod
    def of(cls, record: Record, records: Mapping[SegmentKey, Record]) -> Neighbours:
        """All but the record's own segment; of those with the same name the first. records: the sessions there are.
        For the main thread. Raises as Target's."""
        node, volumeNode = record.target.segmentationNode, record.target.volumeNode
        names = _names(node.GetSegmentation(), record.target.key.segmentId)
        readers: dict[str, Callable[[], Crop]] = {}
        unread: dict[str, str] = {}
        for name, segmentId in names.items():
            key = SegmentKey(record.target.key.volumeId, record.target.key.segmentationId, segmentId)
            session = _sessionOf(records.get(key))
            if session is None:
                unread[name] = segmentId
            else:
                readers[name] = _SessionCrop(session)
        snapshots = SceneBridge.readSegments(node, list(unread.values()), volumeNode)
        places = _Places()
        for name, segmentId in unread.items():
            if segmentId in snapshots:
                readers[name] = _SnapshotCrop(snapshots[segmentId], places)
        return cls({name: readers[name] for name in names if name in readers})


class _SessionCrop:
    """What a session holds when it is asked."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __call__(self) -> Crop:
        extent = self._session.extent
        return extent, self._session.mask_kji[extent.slices].copy()


class _SnapshotCrop:
    """What the segment covered when it was copied."""

    def __init__(self, snapshot: SegmentVoxels, places: _Places) -> None:
        self._snapshot = snapshot
        self._places = places

    def __call__(self) -> Crop:
        box = self._places.of(self._snapshot)
        extent = box.shifted(self._snapshot.extent.start_kji) if not box.is_empty else box
        return replace(self._snapshot, values=self._snapshot.values[box.slices], extent=extent).crop()


class _Places:
    """Where the labels of labelmaps are; each labelmap is passed over once (0.2 s for 300 x 512 x 512 voxels)."""

    def __init__(self) -> None:
        self._found: list[tuple[np.ndarray, list[tuple[slice, ...] | None]]] = []

    def of(self, snapshot: SegmentVoxels) -> Box:
        """The box of the segment's voxels within the snapshot's extent."""
        places = next((places for values, places in self._found if values is snapshot.values), None)
        if places is None:
            places = ndimage.find_objects(snapshot.values)
            self._found.append((snapshot.values, places))
        if snapshot.label > len(places) or places[snapshot.label - 1] is None:
            return Box.empty()
        slices = places[snapshot.label - 1]
        return Box(tuple(each.start for each in slices), tuple(each.stop for each in slices))


def _names(segmentation: slicer.vtkSegmentation, ownId: str) -> dict[str, str]:
    """Identifiers by name, in the order of the segmentation."""
    names: dict[str, str] = {}
    for segmentId in segmentation.GetSegmentIDs():
        if segmentId != ownId:
            names.setdefault(segmentation.GetSegment(segmentId).GetName() or segmentId, segmentId)
    return names


def _sessionOf(record: Record | None) -> Session | None:
    """The session that holds what the record's segment covers; None where there is none, or it may have been edited."""
    if record is None or record.session is None or record.stamp != record.target.stamp():
        return None
    return record.session
