"""What the page shows, as typed values shared with the browser. Whoever changes one of them changes the page."""

from __future__ import annotations

from dataclasses import dataclass, field

from trame_server import Server
from trame_server.utils.typed_state import TypedState

from MemSegSlicerLib.PromptRows import PromptRow
from MemSegSlicerLib.SlicePlaces import AxisRow
from MemSegSlicerLib.SliceRows import SliceRow
from MemSegSlicerLib.Strip import Bar
from MemSegSlicerLib.TextRows import AlternativeRow


@dataclass
class SegmentRow:
    """A line of the segment list. colour: "#rrggbb"."""

    identifier: str = ""
    name: str = ""
    colour: str = "#ffffff"
    visible: bool = True


@dataclass
class ModelRow:
    """A line of the model menu, from a model card."""

    name: str = ""
    title: str = ""
    summary: str = ""
    licence: str = ""
    available: bool = True


@dataclass
class TextState:
    """What is typed, and how it was understood.

    completions: what the words in the box could be completed to; offering: whether they show; completion: which of them
    is marked, -1 none. history: earlier words, oldest first; past: which of them is in the box, counted back from 1, 0
    none. problem: why what stands in the box was not done, or "". sentence: how the last words were understood, ""
    where something else was done since. instead: on the alternative that is the mask, where that is not the first.
    percent, level: how sure that is, of 100, and by colour. chosen: its number. links: what each way of finding it
    contributed.
    """

    words: str = ""
    completions: list[str] = field(default_factory=list)
    completion: int = -1
    offering: bool = False
    history: list[str] = field(default_factory=list)
    past: int = 0
    waiting: bool = False
    problem: str = ""

    sentence: str = ""
    instead: str = ""
    percent: int = 0
    level: int = 0
    alternatives: list[AlternativeRow] = field(default_factory=list)
    chosen: int = 0
    links: list[str] = field(default_factory=list)
    links_open: bool = False


@dataclass
class SideRow:
    """One of two answers side by side. number: among the alternatives. picture: as an address that holds it."""

    number: int = 0
    who: str = ""
    facts: str = ""
    why: str = ""
    picture: str = ""


@dataclass
class AnswerState:
    """What belongs to one answer. working: how far it is, in words, "" where it does not take long; percent: of it, -1
    where nobody can tell. asks_modality: the user is to say which kind of image this is. sides: two answers to choose
    from, or none; comparison: what their pictures show."""

    working: str = ""
    percent: int = -1
    asks_modality: bool = False
    comparison: str = ""
    sides: list[SideRow] = field(default_factory=list)


@dataclass
class AutoPage:
    """The first guess of a trained model, and training data. model, data: folders. problem: why there can be no guess
    yet, or "". done windows, of so many. sentence: what was done last, or went wrong where it failed."""

    open: bool = False
    model: str = ""
    data: str = ""
    problem: str = ""
    running: bool = False
    collecting: bool = False
    done: int = 0
    of: int = 0
    sentence: str = ""
    failed: bool = False
    collect_shown: bool = False


@dataclass
class RecallRow:
    """A line of the recall memory. size, origin: in words. own: the user's, not of those that come with the program.
    thumbnail: a picture, as an address that holds it."""

    identity: str = ""
    name: str = ""
    modality: str = ""
    size: str = ""
    made: str = ""
    origin: str = ""
    own: bool = False
    thumbnail: str = ""


@dataclass
class RecallState:
    """The dialogue to remember a segment, and that which shows what is remembered.

    always: remember named segments when the user goes on to another one. rows: the first of those that fit the search;
    matching, total, exportable: how many fit, how many there are, and how many of those that fit are the user's.
    renamed, deleted: identity of the entry whose name is being changed, or that was asked to be deleted.
    """

    remember_shown: bool = False
    name: str = ""
    note: str = ""
    licence: str = ""
    always: bool = False

    shown: bool = False
    working: bool = False
    search: str = ""
    rows: list[RecallRow] = field(default_factory=list)
    matching: int = 0
    total: int = 0
    exportable: int = 0
    problems: list[str] = field(default_factory=list)
    renamed: str = ""
    new_name: str = ""
    deleted: str = ""


@dataclass
class PageState:
    """Everything the page binds to; lengths in mm.

    axis: of the image, along which propagation and strip go; axis_size, axis_low, axis_high: as in its row.
    slice_shown: by its view. slice_range: first and last slice to propagate to. starts_from: words. suggested: slice of
    the axis whose correction would help most, -1 without one; suggestion: why, and of which axis.
    """

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

    text: TextState = field(default_factory=TextState)
    answer: AnswerState = field(default_factory=AnswerState)
    recall: RecallState = field(default_factory=RecallState)
    auto: AutoPage = field(default_factory=AutoPage)

    segments: list[SegmentRow] = field(default_factory=list)
    segment_id: str = ""
    edited: SegmentRow = field(default_factory=SegmentRow)
    edit_shown: bool = False
    deleted: SegmentRow = field(default_factory=SegmentRow)
    delete_shown: bool = False

    prompts: list[PromptRow] = field(default_factory=list)
    memory_count: int = 0
    memory_capacity: int = 60
    remembered: list[PromptRow] = field(default_factory=list)
    slices: list[SliceRow] = field(default_factory=list)
    slice_capacity: int = 8
    interactions_open: bool = False
    slices_open: bool = False

    axes: list[AxisRow] = field(default_factory=list)
    axis: str = "k"
    axis_size: int = 1
    axis_low: str = ""
    axis_high: str = ""
    slice_shown: int = 0
    slice_agreed: bool = False
    slice_range: list[int] = field(default_factory=lambda: [0, 0])
    direction: str = "both"
    stops_at_end: bool = True
    starts_from: str = ""
    propagate_open: bool = True
    propagating: bool = False
    progress: str = ""
    bars: list[Bar] = field(default_factory=list)
    suggested: int = -1
    suggestion: str = ""

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
