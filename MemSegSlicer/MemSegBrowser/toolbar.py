"""The bar at the top and the status line at the bottom."""

from __future__ import annotations

from trame_client.widgets.html import Div, Img, Span
from trame_vuetify.widgets.vuetify3 import (
    VAppBar,
    VBtn,
    VDivider,
    VFooter,
    VIcon,
    VList,
    VListItem,
    VMenu,
    VProgressCircular,
    VSpacer,
    VTooltip,
)

from . import windowing
from .actions import Action, Actions
from .page_state import Page


def build_toolbar(page: Page, actions: Actions) -> None:
    name = page.name
    with VAppBar(density="compact", flat=True, border="b", height=46):
        Img(src=("trame__favicon",), width=24, height=24, classes="ml-3 mr-2")
        Span("MemSegSlicer", classes="ms-product font-weight-medium mr-4")
        # The server opens the dialogues that it closes: a value that the page sets may reach it after what it asks for.
        _button("Open (Ctrl+O)", "mdi-folder-open-outline", (actions.shortcut, "['open']"), classes="ms-open")
        _button(
            "Save (Ctrl+S)",
            "mdi-content-save-outline",
            (actions.shortcut, "['save']"),
            disabled=(f"!{name.has_image}",),
            classes="ms-save",
        )
        VDivider(vertical=True, classes="mx-2 my-3")
        _button("Undo (Ctrl+Z)", "mdi-undo", actions.undo, disabled=(f"!{name.can_undo}",), classes="ms-undo")
        _button("Redo (Ctrl+Y)", "mdi-redo", actions.redo, disabled=(f"!{name.can_redo}",), classes="ms-redo")
        _button(
            "Reset: empty this segment and its prompts",
            "mdi-restart",
            actions.reset,
            disabled=(f"!{name.prompts}.length",),
            classes="ms-reset",
        )
        VDivider(vertical=True, classes="mx-2 my-3")
        _window_menu(page, actions)
        _button("Fit all views (F)", "mdi-fit-to-page-outline", actions.fit, disabled=(f"!{name.has_image}",))
        _button(
            "Surface in 3D",
            "mdi-cube-outline",
            actions.toggle_surface,
            disabled=(f"!{name.has_image}",),
            color=(f"{name.surface_shown} ? 'primary' : undefined",),
            classes="ms-surface",
        )
        VSpacer()
        Span("{{ %s }}" % name.image_name, classes="ms-image-name text-body-2 mr-2", style="opacity: .8;")
        Span("{{ %s }}" % name.image_summary, classes="ms-summary text-caption mr-3")
        _button("Keys and mouse (H)", "mdi-help-circle-outline", f"{name.help_shown} = true")
        _button("Light or dark", "mdi-theme-light-dark", actions.toggle_theme, classes="ms-theme mr-1")


def build_status_line(page: Page) -> None:
    name = page.name
    with VFooter(app=True, border="t", classes="py-0 px-3 ms-status", height=30):
        with Div(style="width: 22px; flex: none;"):
            VProgressCircular(
                v_if=(f"{name.busy} || {name.opening} || {name.saving}",), indeterminate=True, size=14, width=2
            )
            VIcon(
                icon=(f"{name.sentence_is_error} ? 'mdi-alert-circle' : 'mdi-information-outline'",),
                v_else=True,
                size=15,
                color=(f"{name.sentence_is_error} ? 'error' : undefined",),
            )
        Div("{{ %s }}" % name.sentence, classes="ms-status-text ms-sentence")
        Span("{{ %s }}" % name.size, classes="ms-size ml-4", style="opacity: .8;")
        Span("{{ %s }}" % name.timing, classes="ms-timing ml-4 font-weight-medium")


def _window_menu(page: Page, actions: Actions) -> None:
    with VBtn(
        variant="text",
        size="small",
        classes="ms-window text-none px-2",
        disabled=(f"!{page.name.has_image}",),
        append_icon="mdi-menu-down",
    ):
        VIcon("mdi-contrast-circle", size=18, classes="mr-2")
        Span("{{ %s }} · {{ %s }}" % (page.name.window_preset, page.name.window))
        VTooltip("Window and level; drag with the window tool for your own", activator="parent", location="bottom")
        with VMenu(activator="parent"), VList(density="compact"):
            for choice in windowing.CHOICES:
                VListItem(title=choice, click=(actions.choose_window, f"['{choice}']"))


def _button(title: str, icon: str, click: Action | str, **options: object) -> None:
    label = [f'aria-label="{title}"']
    with VBtn(icon=True, variant="text", size="small", click=click, raw_attrs=label, **options):
        VIcon(icon, size=20)
        VTooltip(title, activator="parent", location="bottom")
