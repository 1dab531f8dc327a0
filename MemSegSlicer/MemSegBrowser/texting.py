"""What the text box does: completes words, hands them to the controller, shows how they were understood."""

from __future__ import annotations

import logging

from memseg.errors import PromptError, SessionError
from memseg.prompts import Text
from MemSegSlicerLib import PromptTools, SceneBridge, SlicePlaces
from MemSegSlicerLib.Controller import Controller, SessionState
from MemSegSlicerLib.Recall import Recall
from MemSegSlicerLib.Strip import LEVELS_PERCENT
from MemSegSlicerLib.TextRows import alternativeRows, answerRows, comparisonWords, completions, insteadWords
from MemSegSlicerLib.Understanding import Understanding

from .notices import Notices
from .page_state import Page, SideRow
from .segments import Segments
from .thumbnails import address_of_picture
from .views import FourUpViews, normal_of, slice_to_ras

logger = logging.getLogger(__name__)

_HISTORY = 50


class Texting:
    """Words in, understanding out."""

    def __init__(
        self,
        page: Page,
        controller: Controller,
        segments: Segments,
        recall: Recall,
        views: FourUpViews,
        notices: Notices,
    ) -> None:
        self._text = page.data.text
        self._answer = page.data.answer
        self._views = views
        self._controller = controller
        self._segments = segments
        self._recall = recall
        self._notices = notices
        self._typed = ""
        self._is_asked = False  # for words or a choice that are still being answered
        self._shown: Understanding | None = None

    # -- what the user does ------------------------------------------------------------------------------------------

    def type(self, words: str | None) -> None:
        """The words in the text box, or one of those offered; None where it was cleared."""
        text = self._text
        text.offering, text.completions, text.completion, text.past, text.problem = False, [], -1, 0, ""
        try:
            prompt = Text(words or "")
        except PromptError as error:
            self._refuse(str(error))
            return
        if self._controller.volumeNode is None:
            raise SessionError("There is no image to segment; open one first.")
        text.words = self._typed = prompt.words
        text.history = [*(earlier for earlier in text.history if earlier != prompt.words), prompt.words][-_HISTORY:]
        self._segments.ensure_one()
        text.waiting = self._is_asked = True
        self._controller.add(prompt)

    def complete(self, words: str | None) -> None:
        """Offer what the words could be completed to."""
        if self._text.problem:
            self._text.problem = ""
            self._notices.say("")
        self._text.completions = completions(words or "", self._recall.names)

    def choose(self, number: int) -> None:
        """Take another of the alternatives."""
        self._is_asked = True
        self._controller.choose(int(number))

    def tell_modality(self, name: str) -> None:
        """Which kind of image this is, as the words that stand in the box ask for it."""
        self._text.problem = ""
        self._text.waiting = self._is_asked = True
        self._controller.tellModality(name)

    def stop(self) -> None:
        """The answer that takes long, or the propagation."""
        self._controller.stop()

    # -- what the session says ---------------------------------------------------------------------------------------

    def show_state(self, state: SessionState) -> None:
        """Listener of the controller."""
        text, understood = self._text, state.understood
        self._show_answer(state)
        if text.waiting and not state.busy:
            text.waiting = False
            if state.error:
                self._refuse(state.error)
            elif text.words == self._typed and not state.stopped:
                text.words = ""
        elif text.problem and text.problem != state.error:
            text.problem = ""
        if self._is_asked and not state.busy:
            self._is_asked = False
            if understood is not None and not state.error and not state.stopped:
                self._go_there(state)
        if understood == self._shown:
            return
        if self._shown is None or understood is None or understood.words != self._shown.words:
            text.links_open = False
        self._shown = understood
        text.sentence = understood.sentence if understood is not None else ""
        if understood is not None:
            text.percent = round(100 * understood.confidence)
            text.level = sum(text.percent >= limit for limit in LEVELS_PERCENT)
            text.alternatives, text.chosen = alternativeRows(understood), understood.chosen
            text.links = list(understood.links)
            text.instead = insteadWords(understood)
        rows = answerRows(understood)
        self._answer.comparison = comparisonWords(understood)
        self._answer.sides = [
            SideRow(row.number, row.who, row.facts, row.why, address_of_picture(row.picture)) for row in rows
        ]

    def _show_answer(self, state: SessionState) -> None:
        answer, working = self._answer, state.working
        answer.working = f"{working.words[0].upper()}{working.words[1:]}" if working is not None else ""
        answer.percent = -1 if working is None or working.fraction is None else round(100 * working.fraction)
        answer.asks_modality = state.asksModality

    def _refuse(self, sentence: str) -> None:
        self._text.problem = sentence
        self._notices.complain_beside(sentence)

    def _go_there(self, state: SessionState) -> None:
        """All views to the mask's middle, unless each shows some of it."""
        grid = SceneBridge.gridOf(self._controller.volumeNode)
        for view in self._views.slice_views:
            normal = normal_of(view)
            axis = SlicePlaces.axisAcross(grid, normal)
            index = SlicePlaces.indexAt(grid, axis, slice_to_ras(view)[:3, 3], normal)
            if index not in state.filled.get(axis, ()):
                self._views.jump_to(PromptTools.rasOfPrompt(self._controller.volume, state.prompts[-1].prompt))
                return
