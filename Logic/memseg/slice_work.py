"""What a session knows of its slices, as plain functions of its values: which are agreed, what stays as it is, what is
remembered. Session holds the state and commits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from .errors import SessionError
from .geometry import AXES, Box, Grid
from .history import State
from .prompts import BoxPrompt, MaskPrompt, Prompt, Text
from .propagation import Key, SliceMark, agreed_entry
from .raster import rasterize
from .segmenters.base import Numbered
from .segmenters.slice_base import Plane, SliceSegmenter, place_of, plane_of
from .volume import MaskChange, Volume

_MOST_RENEWED = 16  # slices looked at anew after one edit; more than memory recalls
Build = Callable[[], SliceSegmenter]


def check_slice(axis: str, index: int, grid: Grid) -> int:
    """The index as an int; SessionError unless there is such a slice."""
    check_axis(axis)
    count = grid.shape_kji[AXES.index(axis)]
    if isinstance(index, bool) or int(index) != index or not 0 <= index < count:
        raise SessionError(f"There is no slice {index} along {axis}; choose one from 0 to {count - 1}.")
    return int(index)


def check_axis(axis: str) -> None:
    if axis not in AXES:
        raise SessionError(f"There is no axis '{axis}'; choose k, j or i.")


# -- agreed slices ---------------------------------------------------------------------------------------------------


def agreed_to(state: State, volume: Volume, plane: Plane, axis: str, build: Build | None, by: int = 0) -> State:
    """The state with one slice agreed to be as the plane says. build: gives the segmenter that remembers it, or
    None."""
    filled = bool(plane.mask.any())
    marks = {**state.marks, (axis, plane.index): SliceMark(1.0, True, filled, by)}
    held = state.slices.get(axis, plane.index)
    slices = state.slices.without(axis, plane.index)
    if filled and build is not None:
        entry = agreed_entry(volume, axis, plane, build(), reference=held is not None and held.reference)
        slices = slices.remember(replace(entry, pinned=held is not None and held.pinned))
    return replace(state, marks=marks, slices=slices, axis=axis)


def released(state: State, axis: str, index: int) -> State:
    """The state with an agreed slice open to propagation again; SessionError where it was not agreed."""
    mark = state.marks.get((axis, index))
    if mark is None or not mark.agreed:
        raise SessionError(f"Slice {index} along {axis} is not agreed, so there is nothing to release.")
    marks = {**state.marks, (axis, index): replace(mark, agreed=False, by=0)}
    slices, held = state.slices, state.slices.get(axis, index)
    if held is not None:
        slices = slices.without(axis, index).remember(replace(held, agreed=False, reference=False, prominence=1.0))
    return replace(state, marks=marks, slices=slices, axis=axis)


def covered(prompt: Prompt, grid: Grid) -> frozenset[Key]:
    """The slices, on every axis, that a prompt speaks of outright: where it lies. A box speaks of its slice if it is
    flat; a mask, of the whole object, and so of none."""
    if isinstance(prompt, (MaskPrompt, Text)):
        return frozenset()
    if isinstance(prompt, BoxPrompt):
        flat = prompt.flat_axis
        return frozenset() if flat is None else frozenset({(flat, prompt.box.start_kji[AXES.index(flat)])})
    box, crop = rasterize(prompt, grid)
    return _slices_where(crop != 0, box)


def _slices_where(there: np.ndarray, box: Box) -> frozenset[Key]:
    """(axis, index) of the slices in which a bool crop at the box is true somewhere."""
    found = []
    for along, axis in enumerate(AXES):
        filled = there.any(axis=tuple(other for other in range(3) if other != along))
        found += [(axis, int(place) + box.start_kji[along]) for place in np.flatnonzero(filled)]
    return frozenset(found)


def changed_slices(change: MaskChange) -> frozenset[Key]:
    """(axis, index) of the slices, on every axis, in which a change changes something."""
    return _slices_where(change.before != change.after, change.box)


def answered(
    state: State, volume: Volume, mask_kji: np.ndarray, change: MaskChange, entry: Numbered, build: Build | None
) -> State:
    """The state after a prompt that changes the mask so: on the axis worked along, the slices it speaks of are agreed,
    or for a mask those that it changes; slice memory forgets what is no longer so. mask_kji: before the change."""
    changed = changed_slices(change)
    spoken = changed if isinstance(entry.prompt, MaskPrompt) else covered(entry.prompt, volume.grid)
    if isinstance(entry.prompt, BoxPrompt):
        spoken = frozenset()
    settled = {key for key in spoken if key[0] == state.axis} | {key for key in state.agreed if key in changed}
    state = unsettled(state, changed - settled, mask_kji, change)
    keys = sorted(settled)
    looked_at = {keys[place] for place in np.linspace(0, len(keys) - 1, min(len(keys), _MOST_RENEWED)).astype(int)}
    for axis, index in keys:
        plane = _after(volume, mask_kji, change, axis, index)
        state = replace(
            agreed_to(state, volume, plane, axis, build if (axis, index) in looked_at else None, entry.number),
            axis=state.axis,
        )
    return state


def unsettled(state: State, changed: Iterable[Key], mask_kji: np.ndarray, change: MaskChange) -> State:
    """The state after slices that are not agreed have changed: no longer remembered; marked by what they hold now."""
    changed = set(changed)
    marks = dict(state.marks)
    for key in changed & marks.keys():
        if not marks[key].agreed:
            filled = bool(_plane_after(mask_kji, change, *key).any())
            marks[key] = replace(marks[key], present=filled)
    return replace(state, marks=marks, slices=state.slices.without_followed(changed))


def _after(volume: Volume, mask_kji: np.ndarray, change: MaskChange, axis: str, index: int) -> Plane:
    image, place = plane_of(volume.array_kji, axis, index), place_of(volume.grid, axis, index)
    return Plane(index, image, _plane_after(mask_kji, change, axis, index), place)


def _plane_after(mask_kji: np.ndarray, change: MaskChange, axis: str, index: int) -> np.ndarray:
    plane, along = plane_of(mask_kji, axis, index).copy(), AXES.index(axis)
    place = index - change.box.start_kji[along]
    if 0 <= place < change.box.shape_kji[along]:
        within = tuple(part for other, part in enumerate(change.box.slices) if other != along)
        plane[within] = plane_of(change.after, axis, place)
    return plane
