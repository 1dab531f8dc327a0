"""The part of the panel that shows what is remembered, interactions and slices, one by one, to pin and to drop."""

from __future__ import annotations

from trame_client.widgets.html import Div, Span
from trame_vuetify.widgets.vuetify3 import VBtn, VIcon, VProgressLinear, VSpacer, VTooltip

from .actions import Action, Actions
from .page_state import Page
from .sections import folding_section, icon_button

PROMPT_ICONS = (
    "{click: 'mdi-target', box: 'mdi-vector-square', scribble: 'mdi-draw', lasso: 'mdi-lasso', "
    "mask: 'mdi-brush', text: 'mdi-format-text', slices: 'mdi-layers-triple-outline'}"
)


def build_memory(page: Page, actions: Actions) -> None:
    name = page.name
    with folding_section(name.interactions_open, "Interaction memory", lambda: _build_interaction_count(page)):
        _build_interactions(page, actions)
    with folding_section(name.slices_open, "Slice memory", lambda: _build_slice_count(page)):
        _build_slices(page, actions)
    _build_recall_line(page, actions)


def _build_interaction_count(page: Page) -> None:
    Span("{{ %s }}/{{ %s }}" % (page.name.memory_count, page.name.memory_capacity), classes="ms-memory")
    VTooltip(
        "How many of your interactions the model remembers; the oldest leaves when it is full.",
        activator="parent",
        location="top",
    )


def _build_interactions(page: Page, actions: Actions) -> None:
    name = page.name
    VProgressLinear(
        model_value=(f"100 * {name.memory_count} / Math.max(1, {name.memory_capacity})",),
        height=4,
        rounded=True,
        color="primary",
        classes="mb-1",
    )
    with Div(classes="ms-list"):
        with Div(
            v_for=f"row in {name.remembered}",
            key=("row.number",),
            classes="ms-row ms-interaction",
            click=(actions.show_prompt, "[row.index]"),
        ):
            VIcon(icon=(f"{PROMPT_ICONS}[row.kind]",), size=17, color=("row.positive ? 'success' : 'error'",))
            Span("{{ row.number }}", classes="ms-hint", style="min-width: 16px;")
            Div("{{ row.title }}", classes="ms-row-text")
            icon_button(
                "mdi-close",
                "Forget this one; prompt and mask stay",
                (actions.forget, "[row.number]"),
                classes="ms-forget",
            )
    _build_end(f"{name.remembered}.length", "Nothing remembered yet.", actions.clear_memory, "ms-clear-memory")


def _build_slice_count(page: Page) -> None:
    Span("{{ %s.length }}" % page.name.slices, classes="ms-slice-count")
    VTooltip(
        "Slices that propagation looks back to. Agreed and pinned ones stay; of the others it keeps the most useful, "
        "{{ %s }} to an axis." % page.name.slice_capacity,
        activator="parent",
        location="top",
        max_width=320,
    )


def _build_slices(page: Page, actions: Actions) -> None:
    name = page.name
    with Div(classes="ms-list"):
        with Div(
            v_for=f"row in {name.slices}",
            key=("row.key",),
            classes="ms-row ms-slice",
            click=(actions.show_slice, "[row.index, row.axis]"),
        ):
            VIcon(
                icon=("row.agreed ? 'mdi-check-bold' : 'mdi-layers-outline'",),
                size=16,
                color=("row.agreed ? 'primary' : undefined",),
            )
            Div("{{ row.title }}", classes="ms-row-text")
            with Span("{{ row.confidence }} %", classes="ms-hint ms-figure"):
                VTooltip("Confidence", activator="parent", location="top")
            with Span("×{{ row.prominence }}", classes="ms-hint ms-figure"):
                VTooltip("Prominence: how much it counts beside the others", activator="parent", location="top")
            icon_button(
                ("row.pinned ? 'mdi-pin' : 'mdi-pin-outline'",),
                "Pin: keep it whatever comes",
                (actions.pin_slice, "[row.axis, row.index, !row.pinned]"),
                classes="ms-pin",
            )
            icon_button(
                "mdi-close",
                "Drop it from memory; the mask stays",
                (actions.drop_slice, "[row.axis, row.index]"),
                classes="ms-drop",
            )
    _build_end(f"{name.slices}.length", "No slice remembered yet.", actions.clear_slices, "ms-clear-slices")


def _build_recall_line(page: Page, actions: Actions) -> None:
    """Opens the recall memory, which belongs to no segment and no image."""
    with Div(classes="ms-section"):
        with Div(
            classes="ms-section-title ms-fold ms-recall",
            click=actions.show_recall,
            raw_attrs=['role="button"', 'aria-haspopup="dialog"'],
        ):
            VIcon("mdi-bookmark-multiple-outline", size=15, classes="ms-recall-icon")
            Span("Recall memory")
            VSpacer()
            Span("{{ %s || '' }}" % page.name.recall.total, classes="ms-recall-count")
            VTooltip(
                "Structures kept under their names, to be found again in other images: look, rename, delete, share",
                activator="parent",
                location="top",
                max_width=320,
            )


def _build_end(count: str, nothing: str, clear: Action, classes: str) -> None:
    Div(nothing, v_if=(f"!{count}",), classes="ms-hint px-2 py-1")
    VBtn("Forget all", v_else=True, variant="text", size="small", density="compact", click=clear, classes=classes)
