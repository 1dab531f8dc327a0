"""What the section Auto does: a trained model guesses first, and finished segments become training data."""

from __future__ import annotations

from MemSegSlicerLib.AutoWork import AutoState
from MemSegSlicerLib.Controller import Controller

from .notices import Notices
from .page_state import Page
from .segments import Segments
from .workspace import Workspace


class Guessing:
    """Hands what is asked for to the controller's AutoWork, and shows what that says."""

    def __init__(
        self, page: Page, controller: Controller, workspace: Workspace, segments: Segments, notices: Notices
    ) -> None:
        self._page = page
        self._auto = controller.auto
        self._controller = controller
        self._workspace = workspace
        self._segments = segments
        self._notices = notices
        self._shown = self._auto.state
        self._show_folders(self._shown)
        page.data.auto.open = not self._shown.problem
        page.bind_changes({page.name.auto.open: lambda _: self._auto.look()})

    # -- what the user does ------------------------------------------------------------------------------------------

    def choose_model(self, model: str | None) -> None:
        """The folder that was typed."""
        self._auto.choose(model=model or "")

    def guess(self, model: str | None) -> None:
        """Start, or cancel what runs. model: what stands in the folder's field."""
        if self._auto.state.running:
            self._auto.cancel()
            return
        self._auto.choose(model=model or "")
        self._segments.leave()
        self._auto.guess()

    def collect(self, data: str | None) -> None:
        """data: what stands in the dialogue."""
        auto = self._page.data.auto
        self._auto.choose(data=data or "")
        auto.collect_shown, auto.open = False, True
        self._auto.collect(remembers=self._page.data.recall.always)

    def look(self) -> None:
        """A model may have been trained meanwhile."""
        self._auto.look()

    # -- what it says ------------------------------------------------------------------------------------------------

    def show_state(self, state: AutoState) -> None:
        """Listener of the controller's AutoWork."""
        auto, before = self._page.data.auto, self._shown
        self._shown = state
        auto.problem, auto.running, auto.collecting = state.problem, state.running, state.collecting
        auto.done, auto.of = state.done, state.of
        auto.failed = bool(state.error)
        auto.sentence = state.error or state.report
        if state.folders != before.folders:
            self._show_folders(state)
        if state.error and state.error != before.error:
            self._notices.complain(state.error)
        elif state.report and state.report != before.report:
            self._notices.say(state.report)
        node = self._workspace.segmentation_node
        if before.running and not state.running and node is not None and self._controller.segmentationNode is node:
            self._workspace.segment_id = self._controller.segmentId
            self._segments.refresh()

    def _show_folders(self, state: AutoState) -> None:
        auto = self._page.data.auto
        auto.problem = state.problem
        auto.model, auto.data = str(state.folders.model), str(state.folders.data)
