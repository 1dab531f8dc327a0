"""What the page shows, as typed values shared with the browser. Whoever changes one of them changes the page."""

from __future__ import annotations

from dataclasses import dataclass, field

from trame_server import Server
from trame_server.utils.typed_state import TypedState


@dataclass
class SegmentRow:
    """A line of the segment list. colour: "#rrggbb"."""

    identifier: str = ""
    name: str = ""
    colour: str = "#ffffff"
    visible: bool = True


@dataclass
class PromptRow:
    """A line of the prompt list. index: position in the session's prompts, 0 the oldest. number: for the user.

    leaned: how much the present mask leaned on it, "42 %", or "" where that is not known. bar: the same as a length,
    1 for the largest in the list.
    """

    index: int = 0
    number: int = 0
    kind: str = ""
    positive: bool = True
    title: str = ""
    leaned: str = ""
    bar: float = 0.0


@dataclass
class ModelRow:
    """A line of the model menu, from a model card."""

    name: str = ""
    title: str = ""
    summary: str = ""
    licence: str = ""
    available: bool = True


@dataclass
class PageState:
    """Everything the page binds to; lengths in mm."""

    owner: str = ""
    dark: bool = True
    has_image: bool = False
    image_name: str = ""
    image_summary: str = ""
    opening: bool = False
    saving: bool = False

    tool: str = "click"
    positive: bool = True
    brush_mm: float = 4.0
    box_depth_mm: float = 0.0
    words: str = ""

    segments: list[SegmentRow] = field(default_factory=list)
    segment_id: str = ""
    edited: SegmentRow = field(default_factory=SegmentRow)
    edit_shown: bool = False
    deleted: SegmentRow = field(default_factory=SegmentRow)
    delete_shown: bool = False

    prompts: list[PromptRow] = field(default_factory=list)
    memory_count: int = 0
    memory_capacity: int = 60
    models: list[ModelRow] = field(default_factory=list)
    model: str = ""
    can_undo: bool = False
    can_redo: bool = False
    busy: bool = False
    timing: str = ""
    size: str = ""
    sentence: str = ""
    sentence_is_error: bool = False
    notice_shown: bool = False

    window_preset: str = "soft tissue"
    window: str = ""
    surface_shown: bool = False
    enlarged: str = ""

    open_shown: bool = False
    open_path: str = ""
    upload_progress: int = -1
    save_shown: bool = False
    save_path: str = ""
    discard_shown: bool = False
    help_shown: bool = False


Page = TypedState[PageState]


def page_of(server: Server) -> Page:
    """The page's values on this server; names in templates come from `.name`, values from `.data`."""
    return TypedState(server.state, PageState)
