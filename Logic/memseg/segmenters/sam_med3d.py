"""SAM-Med3D and FastSAM3D as segmenters: clicks, and boxes where the weights know them.

The protocol is the published one: the volume at 1.5 mm in a cube of 128^3 samples, the newest prompt, and the logits
answered before (zeros at first). There a crop is centred on the object, which a user has yet to find, so here it is
centred on the click, and stays where it is while clicks lie well within it.

Objects larger than the cube take several. Where what changed reaches a face beyond which the volume goes on, the cube
half an edge further on is looked at too: it is told what has been answered so far in the half they share, and given one
more click there, at the deepest point of the object (of what was taken away, for a cut). So on, always at the face that
cuts off most, to at most four cubes; a later click where the object ends opens further ones.

The answer counts in the cubes looked at, and there on the voxels it changes its mind on: what was painted finer than
the network sees stays. What the prompts say outright is honoured to the voxel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from .. import catalog, registry
from ..geometry import Box
from ..memory.interaction import Interaction
from ..networks.sam_med3d import SamMed3D
from ..networks.sam_prompts import HIGH_CORNER, LOW_CORNER, NEGATIVE, POSITIVE
from ..prompts import BoxPrompt, Click, Prompt, Text
from ..volume import Volume
from .base import Numbered, Prediction
from .geodesic import extent_of_mask, place_of, standing_prompts
from .nano import honour
from .nano_view import View
from .outright import without_looking
from .sam_before import PLACE, kept, known_logits
from .sam_engine import Answered, Engine, Said
from .sam_weights import load_fastsam3d, load_sam_med3d
from .sam_window import Mosaic, Place, Window, corners_of, window_of

_SLAB_VOXELS = 2_000_000


@dataclass(frozen=True)
class Extending:
    """windows: looked at for one prompt, at most. cut_off: changed cells on a face that call for another."""

    windows: int = 4
    cut_off: int = 4


class SamMed3DSegmenter:
    """See the module."""

    name = "sam-med3d"

    def __init__(self, network: SamMed3D, device: str = "auto", extending: Extending | None = None) -> None:
        card = catalog.card(self.name)
        self.card = replace(card, prompts=card.prompts | {"box"}) if network.config.boxes else card
        self._engine = self._built(network, card.title, device)
        self._extending = extending or Extending()

    @classmethod
    def from_file(cls, path: Path, device: str = "auto", reads: str = "both") -> SamMed3DSegmenter:
        """reads: of no effect, as there is one kind of memory. Raises ModelError for a file that is not the model's."""
        return cls(load_sam_med3d(path), device)

    def _built(self, network: SamMed3D, title: str, device: str) -> Engine:
        return Engine(network, title, device)

    def predict(
        self,
        volume: Volume,
        prompts: tuple[Numbered, ...],
        mask_kji: np.ndarray,
        memory: tuple[Interaction, ...] | None,
    ) -> Prediction:
        standing = tuple(prompt for prompt in standing_prompts(prompts) if not isinstance(prompt, Text))
        newest, config = standing[-1], self._engine.network.config
        window = window_of(standing, volume.grid, config.edge, config.cells, config.spacing_mm)
        remembered = memory or ()
        there_is_some = mask_kji[window.answer.box.slices].any()
        if not newest.positive and (isinstance(newest, BoxPrompt) or not there_is_some):
            return self._without_looking(volume, prompts, standing, mask_kji)
        before = known_logits(window.answer, mask_kji, remembered, window)
        told = before if there_is_some else np.zeros_like(before)  # as training began
        first = self._engine.answer(volume, window, _said(newest, volume), told, remembered)
        mosaic, is_cut_off = self._extended(volume, window, first.logits, before, mask_kji, remembered)
        canvas = window.canvas(mosaic.reach)
        was = known_logits(canvas, mask_kji, remembered, window)
        found, there = mosaic.seen(window.place, mosaic.reach)
        found = np.where(there & canvas.inside, found, was)
        anchor = _outside(newest, volume, prompts, mask_kji) if isinstance(newest, BoxPrompt) else Box.empty()
        box, probability = _pasted(canvas, found, was, mask_kji, place_of(newest, volume).union(anchor))
        honour(probability, box, standing, volume)
        blind = isinstance(newest, Click) and newest.positive and not ((found > 0) & there).any()
        note = " ".join(filter(None, (self._engine.take_note(), self._note(blind, is_cut_off))))
        answer = mosaic.seen(window.place)[0]
        remains = self._kept(first, newest, window, answer)
        return Prediction(box, probability, **remains, attention=self._leaned(first, remembered), note=note)

    def _kept(
        self, first: Answered, newest: Click | BoxPrompt, window: Window, logits: np.ndarray
    ) -> dict[str, np.ndarray]:
        """What the interaction memory keeps of the newest prompt, as sam_before.py has it."""
        return kept(first.tokens, newest, window, logits)

    def _leaned(self, first: Answered, remembered: tuple[Interaction, ...]) -> np.ndarray | None:
        """`attention` of a Prediction: none, as only the newest logits are read."""
        return None

    def _extended(
        self,
        volume: Volume,
        window: Window,
        logits: np.ndarray,
        before: np.ndarray,
        mask_kji: np.ndarray,
        remembered: tuple[Interaction, ...],
    ) -> tuple[Mosaic, bool]:
        """The answer in the newest prompt's window and in those it goes on in; whether it goes on beyond these too."""
        mosaic, windows, known = Mosaic(window.cells, {window.place: logits}), [window], {window.place: before}
        while (beyond := self._beyond(windows, mosaic, known)) is not None:
            if len(windows) >= self._extending.windows:
                return mosaic, True
            was = known_logits(beyond.answer, mask_kji, remembered, window)
            seen, there = mosaic.seen(beyond.place)
            said = _going_on(seen, there, was, beyond.answer)
            found = self._engine.answer(volume, beyond, said, np.where(there, seen, was), remembered)
            mosaic.answers[beyond.place], known[beyond.place] = found.logits, was
            windows.append(beyond)
        return mosaic, False

    def _beyond(self, windows: list[Window], mosaic: Mosaic, known: dict[Place, np.ndarray]) -> Window | None:
        """The window beyond the face that cuts off most of what changed; None where none cuts off enough."""
        best, most = None, self._extending.cut_off - 1
        for window in windows:
            logits = mosaic.answers[window.place]
            changed = (logits > 0) != (known[window.place] > 0)
            for axis in range(3):
                for side in (-1, 1):
                    beside = window.beside(axis, side)
                    cut = np.count_nonzero(np.take(changed, 0 if side < 0 else -1, axis=axis))
                    if cut > most and beside.place not in mosaic.answers and window.goes_on(axis, side):
                        best, most = beside, cut
        return best

    def _without_looking(
        self,
        volume: Volume,
        prompts: tuple[Numbered, ...],
        standing: tuple[Prompt, ...],
        mask_kji: np.ndarray,
    ) -> Prediction:
        """The mask with the newest prompt honoured."""
        box, probability = without_looking(volume, prompts, standing, mask_kji)
        width = self._engine.network.config.encoder.out + PLACE
        return Prediction(box, probability, np.zeros((1, width), np.float32))

    def _note(self, blind: bool, is_cut_off: bool) -> str:
        if blind:
            return f"{self.card.title} found nothing at the click; click nearer to the object's middle."
        if is_cut_off:
            return (
                f"The object goes on beyond what {self.card.title} looks at for one click; click where it is missing."
            )
        return ""


class FastSam3DSegmenter(SamMed3DSegmenter):
    """The same with the student's image encoder."""

    name = "fastsam3d"

    @classmethod
    def from_file(cls, path: Path, device: str = "auto", reads: str = "both") -> FastSam3DSegmenter:
        """See SamMed3DSegmenter; a file with the image encoder alone needs SAM-Med3D's to be added too."""
        return cls(load_fastsam3d(path, registry.path_of(SamMed3DSegmenter.name)), device)


def _said(prompt: Click | BoxPrompt, volume: Volume) -> Said:
    if isinstance(prompt, BoxPrompt):
        return Said(corners_of(prompt, volume.grid), (LOW_CORNER, HIGH_CORNER))
    return Said(corners_of(prompt, volume.grid), (POSITIVE if prompt.positive else NEGATIVE,))


def _going_on(seen: np.ndarray, there: np.ndarray, before: np.ndarray, view: View) -> Said:
    """A click for the next window in the half that has been answered: where the object is deepest, or what was taken
    away where that is more than what was added."""
    added, taken = there & (seen > 0) & (before <= 0), there & (seen <= 0) & (before > 0)
    grows = np.count_nonzero(added) >= np.count_nonzero(taken)
    depth = ndimage.distance_transform_edt(np.pad(there & (seen > 0) if grows else taken, 1))[1:-1, 1:-1, 1:-1]
    cell = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return Said((view.first_kji + np.asarray(cell) * view.step_kji)[None], (POSITIVE if grows else NEGATIVE,))


def _outside(newest: BoxPrompt, volume: Volume, prompts: tuple[Numbered, ...], mask_kji: np.ndarray) -> Box:
    """Where a positive box empties the mask."""
    return extent_of_mask(mask_kji, volume, prompts) if newest.positive else Box.empty()


def _pasted(
    canvas: View, found: np.ndarray, was: np.ndarray, mask_kji: np.ndarray, place: Box
) -> tuple[Box, np.ndarray]:
    """A box and its probabilities: the answer on voxels it has another opinion on than the logits before; the mask as
    it was on the others. place: voxels that the box holds in any case."""
    changed = (found > 0) != (was > 0)
    box = canvas.native_box(changed).union(place)
    probability = np.empty(box.shape_kji, np.float32)
    for slab in _slabs(box):
        now, then = (canvas.written(logits, slab) for logits in (found, was))
        after = 1 / (1 + np.exp(-np.clip(now, -30, 30)))
        as_it_was = mask_kji[slab.slices].astype(np.float32)
        inside = _inside(canvas, slab)
        probability[slab.relative_to(box).slices] = np.where(((now > 0) == (then > 0)) | ~inside, as_it_was, after)
    return box, probability


def _inside(canvas: View, slab: Box) -> np.ndarray:
    """Bool of the slab's shape: voxels that the canvas covers; beyond it, written values are those of its faces."""
    shared = slab.intersection(canvas.box)
    inside = np.zeros(slab.shape_kji, bool)
    inside[shared.relative_to(slab).slices] = True
    return inside


def _slabs(box: Box) -> Iterator[Box]:
    """The box cut along k, so that what is worked on at a time stays small."""
    (start, j_start, i_start), (stop, j_stop, i_stop) = box.start_kji, box.stop_kji
    thickness = max(1, _SLAB_VOXELS // max(1, box.shape_kji[1] * box.shape_kji[2]))
    for low in range(start, stop, thickness):
        yield Box((low, j_start, i_start), (min(stop, low + thickness), j_stop, i_stop))
