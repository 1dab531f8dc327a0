"""The whole page: toolbar, panel, views, status line and dialogues, in the one tab that owns the session."""

from __future__ import annotations

from pathlib import Path

from trame_client.widgets.client import ClientTriggers, JSEval
from trame_client.widgets.html import Div, P
from trame_server import Server
from trame_slicer.core import LayoutManager
from trame_vuetify.ui.vuetify3 import VAppLayout
from trame_vuetify.widgets.vuetify3 import VBtn, VIcon, VMain, VProgressCircular

from .actions import Actions
from .dialogs import build_dialogs
from .page_state import Page
from .panel import build_panel
from .tabs import Tabs
from .toolbar import build_status_line, build_toolbar

DOWNLOAD = "memseg_download"
"""Name under which the page can be told to download an address."""
_STATIC = "memseg_browser"
MODULE = {
    "serve": {_STATIC: str(Path(__file__).with_name("serve"))},
    "scripts": [f"{_STATIC}/page.js"],
    "styles": [f"{_STATIC}/page.css"],
}
_THEMES = {
    "dark": {
        "background": "#101215",
        "surface": "#191c21",
        "primary": "#2ec4b6",
        "success": "#40d070",
        "error": "#ff5a52",
    },
    "light": {
        "background": "#eef0f3",
        "surface": "#ffffff",
        "primary": "#00897b",
        "success": "#1f9d50",
        "error": "#d32f2f",
    },
}


def build_layout(server: Server, page: Page, actions: Actions, layouts: LayoutManager, tabs: Tabs) -> VAppLayout:
    themes = {name: {"dark": name == "dark", "colors": colours} for name, colours in _THEMES.items()}
    config = {"theme": {"defaultTheme": "dark", "themes": themes}}
    with VAppLayout(server, vuetify_config=config) as layout:
        layout.root.theme = (f"{page.name.dark} ? 'dark' : 'light'",)
        ClientTriggers(mounted="utils.memseg.claim()")
        JSEval(exec="utils.memseg.download($event)", ref=DOWNLOAD)
        with Div(v_if=(tabs.belongs_here(),), style="display: contents;"):
            build_toolbar(page, actions)
            build_panel(page, actions)
            with VMain(style="height: 100vh;"):
                with Div(style="position: relative; height: 100%; width: 100%; display: flex;"):
                    layouts.initialize_layout_grid(layout)
                    _build_welcome(page, actions)
            build_status_line(page)
            build_dialogs(page, actions)
        with Div(v_else=True, classes="ms-elsewhere"), Div():
            VIcon("mdi-tab-unselected", size=48, classes="mb-4")
            P("MemSegSlicer is open in another tab or window, with everything you did.", classes="mb-4")
            VBtn(
                "Use it here",
                color="primary",
                variant="flat",
                click="utils.memseg.claim()",
                classes="text-none ms-claim",
            )
    return layout


def _build_welcome(page: Page, actions: Actions) -> None:
    with (
        Div(v_if=(f"!{page.name.has_image}",), classes="ms-welcome"),
        Div(classes="text-center", style="color: #e8eaed;"),
    ):
        VProgressCircular(v_if=(page.name.opening,), indeterminate=True, size=40)
        with Div(v_else=True):
            VIcon("mdi-image-search-outline", size=56, classes="mb-3")
            P("Open a volume to segment it.", classes="mb-4")
            VBtn(
                "Open a file",
                color="primary",
                variant="flat",
                click=(actions.shortcut, "['open']"),
                classes="text-none mr-2",
            )
            VBtn("Bundled abdomen CT", variant="outlined", click=actions.open_sample, classes="text-none")
