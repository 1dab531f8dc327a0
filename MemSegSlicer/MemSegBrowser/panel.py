"""The panel at the side: tools, text, segments, prompts, slices, memory, model."""

from __future__ import annotations

from trame_client.widgets.html import Div, Span
from trame_vuetify.widgets.vuetify3 import (
    Template,
    VBtn,
    VBtnGroup,
    VDivider,
    VIcon,
    VListItem,
    VNavigationDrawer,
    VProgressLinear,
    VSelect,
    VSlider,
    VSpacer,
    VTooltip,
)

from . import tools
from .actions import Actions
from .auto_panel import build_auto
from .memory_panel import PROMPT_ICONS, build_memory
from .page_state import Page
from .sections import icon_button
from .slice_panel import build_slices
from .text_panel import build_text

_TOOL_BUTTONS = (
    (tools.CLICK, "mdi-target", "Click (C)"),
    (tools.BOX, "mdi-vector-square", "Box (B)"),
    (tools.SCRIBBLE, "mdi-draw", "Scribble (S)"),
    (tools.LASSO, "mdi-lasso", "Lasso (L)"),
    (tools.NAVIGATE, "mdi-crosshairs-gps", "Navigate (N): click to move all slices there"),
    (tools.WINDOW, "mdi-contrast-circle", "Window and level (W): drag"),
)
_SIGNS = (("positive", "Add", "mdi-plus", "success"), ("negative", "Remove", "mdi-minus", "error"))


def build_panel(page: Page, actions: Actions) -> None:
    with (
        VNavigationDrawer(permanent=True, width=308, location="left", classes="ms-panel"),
        Div(classes="d-flex flex-column fill-height"),
    ):
        _build_tools(page, actions)
        VDivider()
        build_text(page, actions)
        VDivider()
        build_auto(page, actions)
        VDivider()
        _build_segments(page, actions)
        VDivider()
        _build_prompts(page, actions)
        VDivider()
        build_slices(page, actions)
        VSpacer()
        VDivider()
        build_memory(page, actions)
        VDivider()
        _build_model(page)


def _build_tools(page: Page, actions: Actions) -> None:
    name = page.name
    with Div(classes="ms-section"):
        with Div(classes="ms-tools"):
            for tool, icon, title in _TOOL_BUTTONS:
                with VBtn(
                    active=(f"{name.tool} === '{tool}'",),
                    click=(actions.shortcut, f"['{tool}']"),  # in order with what the mouse does next
                    variant="text",
                    rounded="lg",
                    color=(f"{name.tool} === '{tool}' ? 'primary' : undefined",),
                    classes=f"ms-tool-{tool}",
                    raw_attrs=[f'aria-label="{title}"'],
                ):
                    VIcon(icon, size=22)
                    VTooltip(title, activator="parent", location="bottom")
        drawing = f"!['{tools.NAVIGATE}', '{tools.WINDOW}'].includes({name.tool})"
        with Div(v_if=(drawing,), classes="d-flex align-center mt-2"):
            with VBtnGroup(density="compact", variant="outlined", divided=True, style="height: 30px;"):
                for sign, title, icon, colour in _SIGNS:
                    active = name.positive if sign == "positive" else f"!{name.positive}"
                    with VBtn(
                        active=(active,),
                        click=(actions.shortcut, f"['{sign}']"),
                        size="small",
                        color=(f"{active} ? '{colour}' : undefined",),
                        classes=f"ms-{sign}",
                    ):
                        VIcon(icon, size=16, start=True)
                        Span(title)
            Span("Ctrl or Shift inverts", classes="ms-hint ml-3")
        _slider(page, name.brush_mm, tools.SCRIBBLE, "Brush radius", (1, 20, 0.5), "{{ %s }} mm" % name.brush_mm)
        _slider(
            page,
            name.box_depth_mm,
            tools.BOX,
            "Depth",
            (0, 200, 5),
            "{{ %s ? %s + ' mm' : 'this slice' }}" % (name.box_depth_mm, name.box_depth_mm),
        )


def _slider(page: Page, model: str, tool: str, title: str, limits: tuple[float, float, float], words: str) -> None:
    with Div(v_if=(f"{page.name.tool} === '{tool}'",), classes="d-flex align-center mt-1"):
        Span(title, classes="ms-hint", style="width: 84px; flex: none;")
        VSlider(
            v_model=(model,),
            min=limits[0],
            max=limits[1],
            step=limits[2],
            hide_details=True,
            density="compact",
            thumb_size=14,
            color="primary",
            classes=f"ms-{tool}-size",
        )
        Span(words, classes="ms-hint text-right", style="width: 62px; flex: none;")


def _build_segments(page: Page, actions: Actions) -> None:
    name = page.name
    with Div(classes="ms-section"):
        with Div(classes="ms-section-title"):
            Span("Segments")
            VSpacer()
            icon_button(
                "mdi-bookmark-plus-outline",
                "Remember this segment, to find it in other images by its name (R)",
                actions.ask_remember,
                size=18,
                disabled=(f"!{name.size} || {name.size}.startsWith('0 ')",),
                classes="ms-ask-remember",
            )
            icon_button("mdi-plus", "Add a segment", actions.add_segment, size=20, classes="ms-add-segment")
        with Div(classes="ms-list"):
            with Div(
                v_for=f"row in {name.segments}",
                key=("row.identifier",),
                classes=(f"['ms-row', 'ms-segment', row.identifier === {name.segment_id} && 'ms-row-chosen']",),
                click=(actions.choose_segment, "[row.identifier]"),
                dblclick=(actions.edit_segment, "[row.identifier]"),
            ):
                Div(classes="ms-dot", style=("{background: row.colour}",))
                Div("{{ row.name }}", classes="ms-row-text", style=("{opacity: row.visible ? 1 : .5}",))
                icon_button(
                    "mdi-pencil-outline",
                    "Name and colour",
                    (actions.edit_segment, "[row.identifier]"),
                    classes="ms-edit",
                )
                icon_button(
                    ("row.visible ? 'mdi-eye-outline' : 'mdi-eye-off-outline'",),
                    "Show or hide",
                    (actions.toggle_segment, "[row.identifier]"),
                    classes="ms-eye",
                )
                icon_button(
                    "mdi-delete-outline",
                    "Delete",
                    (actions.ask_delete_segment, "[row.identifier]"),
                    classes="ms-delete",
                )
            Div("No segment yet.", v_if=(f"!{name.segments}.length",), classes="ms-hint px-2 py-1")


def _build_prompts(page: Page, actions: Actions) -> None:
    name = page.name
    with Div(classes="ms-section"):
        with Div(classes="ms-section-title"):
            Span("Prompts")
            Span("{{ %s.length || '' }}" % name.prompts, classes="ml-2")
            VSpacer()
            Span("leaned on", v_if=(f"{name.prompts}.some((row) => row.leaned)",), classes="ms-leaned-title")
        with Div(classes="ms-list"):
            with Div(
                v_for=f"row in {name.prompts}",
                key=("row.number",),
                classes="ms-row ms-prompt",
                click=(actions.show_prompt, "[row.index]"),
            ):
                VIcon(icon=(f"{PROMPT_ICONS}[row.kind]",), size=17, color=("row.positive ? 'success' : 'error'",))
                Span("{{ row.number }}", classes="ms-hint", style="min-width: 16px;")
                Div("{{ row.title }}", classes="ms-row-text")
                with Div(v_if=("row.leaned",), classes="ms-leaned"):
                    Span("{{ row.leaned }}")
                    VProgressLinear(model_value=("100 * row.bar",), height=3, rounded=True, color="primary")
                    VTooltip("The mask leaned on this by {{ row.leaned }}", activator="parent", location="bottom")
                icon_button(
                    "mdi-close",
                    "Delete this prompt",
                    (actions.remove_prompt, "[row.index]"),
                    classes="ms-remove-prompt",
                )
            Div(
                "Clicks, boxes and strokes appear here; click one to go to it.",
                v_if=(f"!{name.prompts}.length",),
                classes="ms-hint px-2 py-1",
            )


def _build_model(page: Page) -> None:
    name = page.name
    with (
        Div(classes="ms-section pb-3"),
        VSelect(
            v_model=(name.model,),
            items=(name.models,),
            item_title="title",
            item_value="name",
            label="Model",
            density="compact",
            variant="outlined",
            hide_details=True,
            classes="ms-model mt-1",
        ),
    ):
        with Template(v_slot_item="{ props, item }"):
            with VListItem(v_bind="props", lines="three", disabled=("!(item.raw || item).available",), max_width=420):
                with Template(v_slot_subtitle=True):
                    Span("{{ (item.raw || item).summary }} {{ (item.raw || item).licence }}")
