"""What a session does when the user types. Session is the door: it owns mask, state and history, which change here only
through its `_commit`.

What the words mean is found in `text`: parse -> ground. The winner becomes a mask prompt that says where it comes from,
so that undo, removal, replay and saving treat it like any other.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING
from weakref import ref

import numpy as np

from . import catalog, slice_work
from .build import build
from .errors import ModalityUnknownError, PromptError, SessionError
from .geometry import Box
from .history import State
from .memory.recall import RecallEntry, RecallMemory
from .prompts import Click, MaskPrompt, Text, to_record
from .propagation import spared
from .segmenters.base import Numbered
from .volume import MaskChange

if TYPE_CHECKING:
    from .segmenters.base import Segmenter
    from .session import Session
    from .text.comparing import Comparison
    from .text.grounding import Found, Grounding, Segments, Surroundings

log = logging.getLogger(__name__)


class Talking:
    """See the module. recall: None reads the starter memory and the user's own when they are first needed."""

    def __init__(self, session: Session, recall: RecallMemory | None) -> None:
        self._owner = ref(session)  # as in slicing.py
        self._recall = recall
        self._segments: Segments = MappingProxyType({})
        self._understood: Grounding | None = None
        self._compared: tuple[Grounding, Comparison] | None = None
        # The states of the session in which the last words are what was done last, and which alternative each is.
        self._holds: list[tuple[State, int]] = []

    @property
    def _session(self) -> Session:
        return self._owner()

    # -- what it is given ----------------------------------------------------------------------------------------

    @property
    def recall(self) -> RecallMemory:
        if self._recall is None:
            from .memory.recall_files import everything

            self._recall = everything()
        return self._recall

    @recall.setter
    def recall(self, recall: RecallMemory) -> None:
        self._recall = recall

    @property
    def segments(self) -> Segments:
        return self._segments

    @segments.setter
    def segments(self, segments: Segments) -> None:
        self._segments = MappingProxyType(_checked(segments, self._session.volume.grid.box))

    def _surroundings(self) -> Surroundings:
        from .text.grounding import Surroundings

        session = self._session
        clicks = [each.prompt for each in session.prompts if isinstance(each.prompt, Click) and each.prompt.positive]
        return Surroundings(
            volume=session.volume,
            segmenter=session._segmenter,
            mask_kji=session.mask_kji,
            extent=session.extent,
            click_kji=clicks[-1].point_kji if clicks else None,
            segments=self._segments,
            recall=self.recall,
            reader=self._reader(),
        )

    def _reader(self) -> Segmenter | None:
        """The model for words, where the session's own takes none and one was added here."""
        card = self._session._segmenter.card
        name = "" if Text.kind in card.prompts else catalog.default_for_text()
        return build(name, self._session._device) if name else None

    # -- the kind of image ---------------------------------------------------------------------------------------

    @property
    def modality(self) -> str:
        from .modality import told

        return told(self._session.volume)

    def tell_modality(self, name: str) -> None:
        from .modality import tell

        if name != self.modality:
            tell(self._session.volume, name)
            self._session._write({"do": "tell_modality", "name": name})

    def _listen_for_modality(self, words: str) -> None:
        """Words may say it in passing, "liver in MR"; what the image itself tells goes first."""
        from .modality import guess, named_in

        said = named_in(words)
        if said and not self.modality and not guess(self._session.volume):
            self.tell_modality(said)

    # -- words ---------------------------------------------------------------------------------------------------

    @property
    def understood(self) -> Grounding | None:
        return self._understood if self.chosen is not None else None

    @property
    def chosen(self) -> int | None:
        return next((number for state, number in self._holds if state is self._session._state), None)

    def add(self, prompt: Text) -> MaskChange:
        """Raises PromptError where the words cannot be understood or nothing fits them; then nothing has changed."""
        from .text.ground import ground
        from .text.parse import parse

        self._listen_for_modality(prompt.words)
        try:
            query = parse(prompt.words, self.recall.names())
        except PromptError as error:
            return self._read(prompt, error)
        self._session.end_propagation()
        grounding = ground(query, self._surroundings())
        change = self._take(grounding.found[0], prompt.words)
        self._understood, self._holds = grounding, [(self._session._state, 0)]
        return change

    def is_command(self, prompt: Text) -> bool:
        """Whether the words change the mask there is, whatever model answers to names."""
        from .text.parse import parse
        from .text.query import Command

        try:
            return isinstance(parse(prompt.words, ()).asked, Command)
        except PromptError:
            return False

    def _read(self, prompt: Text, unclear: PromptError) -> MaskChange:
        """Words of which the grammar makes nothing, as a model for words takes them. Raises `unclear` without one."""
        reader = self._reader()
        if reader is None:
            raise unclear
        from .text.grounding import Found

        self._session.end_propagation()
        volume = self._session.volume
        empty = np.zeros(volume.shape_kji, np.uint8)
        try:
            answer = reader.predict(volume, (Numbered(1, prompt),), empty, None)
        except ModalityUnknownError:
            raise
        except PromptError as error:
            raise PromptError(f"{unclear} {error}") from error
        change = self._take(
            Found(prompt.words, answer.box, answer.mask, 1.0, f"{reader.card.title} found it.", "model"), prompt.words
        )
        self._understood, self._holds = None, []
        return change

    @property
    def compared(self) -> Comparison | None:
        """Drawn when it is first asked for; the same one until other words are understood."""
        from .text.comparing import compare, pair_of

        grounding = self.understood
        if grounding is None or pair_of(grounding.found) is None:
            return None
        if self._compared is None or self._compared[0] is not grounding:
            session = self._session
            card = session._segmenter.card
            name = "" if Text.kind in card.prompts else catalog.default_for_text()
            reader = catalog.any_card(name) if name else card
            drawn = compare(session.volume, grounding.found, pair_of(grounding.found), reader.title, card.title)
            self._compared = grounding, drawn
        return self._compared[1]

    def choose(self, number: int) -> MaskChange:
        grounding = self.understood
        if grounding is None:
            raise SessionError("There is nothing to choose from; type what to segment first.")
        if isinstance(number, bool) or int(number) != number or not 0 <= number < len(grounding.found):
            raise SessionError(f"There is no alternative {number}; choose one from 0 to {len(grounding.found) - 1}.")
        self._session.end_propagation()
        change = self._take(grounding.found[int(number)], grounding.query.words)
        self._holds.append((self._session._state, int(number)))
        return change

    def _take(self, found: Found, words: str) -> MaskChange:
        """Make it the mask; agreed slices, and all outside the guard, stay as they are."""
        session = self._session
        whole = session.extent.union(found.box)
        values = np.zeros(whole.shape_kji, np.uint8)
        values[found.box.relative_to(whole).slices] = found.values
        values = spared(session.mask_kji, whole, values, session._state.agreed)
        if session.guard is not None:
            values = session.guard.kept(session.mask_kji, whole, values)
        return self.repeat(MaskPrompt.within(session.volume.shape_kji, whole, values, words))

    def repeat(self, prompt: MaskPrompt) -> MaskChange:
        """Take the mask that words led to; none of its slices counts as agreed for it."""
        session = self._session
        change = session._change_to(prompt.box, prompt.values)
        state = session._state
        if state.marks or len(state.slices):
            state = slice_work.unsettled(state, slice_work.changed_slices(change), session.mask_kji, change)
        after = session.slicing._with_prompt(state, prompt)
        session._note = ""
        return session._commit(change, after, {"do": "say", "prompt": to_record(prompt)})

    # -- the recall memory -----------------------------------------------------------------------------------------

    def remember(self, name: str, licence: str, note: str) -> RecallEntry:
        from .memory.recall_files import RecallFolder, default_folder
        from .text.recalling import remember

        session = self._session
        box = session.extent
        tight = Box.of_mask(session.mask_kji[box.slices]).shifted(box.start_kji)
        if tight.is_empty:
            raise SessionError("The mask is empty, so there is nothing to remember; segment the object first.")
        values = session.mask_kji[tight.slices]
        entry = remember(session.volume, tight, values, name, licence=licence, note=note)
        RecallFolder(default_folder()).add(entry)
        self._recall = self.recall.with_(entry)
        log.info("remembered one structure of %d", len(self._recall.entries))
        return entry


def _checked(segments: Segments, whole: Box) -> dict[str, tuple[Box, np.ndarray]]:
    """ValueError for a crop that does not fit its box, or a box outside the volume."""
    kept = {}
    for name, (box, values) in segments.items():
        if np.shape(values) != box.shape_kji or not whole.covers(box):
            raise ValueError(f"The segment '{name}' does not fit its box, or the volume.")
        kept[str(name)] = (box, values)
    return kept


class Spoken:
    """The doors of a Session that lead to what is said in words; all the work is Talking's."""

    talking: Talking

    @property
    def understood(self) -> Grounding | None:
        """How the last text prompt was understood and what else it may mean; None after anything else; not saved."""
        return self.talking.understood

    @property
    def chosen(self) -> int | None:
        """Which of `understood.found` is the mask, by its place from 0; None where `understood` is."""
        return self.talking.chosen

    def choose(self, number: int) -> MaskChange:
        """Take another of `understood.found`, by its place from 0; a step to undo."""
        return self.talking.choose(number)

    @property
    def compared(self) -> Comparison | None:
        """The best of `understood.found` beside the best that was found in another way; None without two such."""
        return self.talking.compared

    @property
    def modality(self) -> str:
        """What was said of the volume's kind of image, such as "CT", in any session on it; "" where nothing was."""
        return self.talking.modality

    def tell_modality(self, name: str) -> None:
        """Say which kind of image the volume is, for models that have to know and where its values do not tell; one of
        memseg.modality.MODALITIES. Kept with the session."""
        self.talking.tell_modality(name)

    @property
    def segments(self) -> Mapping[str, tuple[Box, np.ndarray]]:
        """Other segments of this volume by name, as box and 0/1 crop, which words may refer to; set by a shell."""
        return self.talking.segments

    @segments.setter
    def segments(self, segments: Mapping[str, tuple[Box, np.ndarray]]) -> None:
        self.talking.segments = segments

    @property
    def recall(self) -> RecallMemory:
        """Structures kept from earlier volumes under their names: the starter memory and the user's own, unless set."""
        return self.talking.recall

    @recall.setter
    def recall(self, recall: RecallMemory) -> None:
        self.talking.recall = recall

    def remember(self, name: str, licence: str = "", note: str = "") -> RecallEntry:
        """Keep the mask under a name in the user's recall folder. Raises SessionError where it is empty, FileError."""
        return self.talking.remember(name, licence, note)
