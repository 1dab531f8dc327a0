"""What panel and dialogues are made of: a section that folds, a small button inside a row, a dialogue's frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trame_client.widgets.html import Div, Span
from trame_vuetify.widgets.vuetify3 import VBtn, VCard, VCardTitle, VDialog, VIcon, VSpacer, VTooltip

from .actions import Action


@contextmanager
def folding_section(opened: str, title: str, fill_title: Callable[[], None] | None = None) -> Iterator[None]:
    """A section under a title that shows and hides it. opened: name of the page's value that says whether it shows.
    fill_title: builds what stands at the title's end."""
    with Div(classes="ms-section"):
        with Div(
            classes="ms-section-title ms-fold",
            click=f"{opened} = !{opened}",
            raw_attrs=['role="button"', f':aria-expanded="{opened}"'],
        ):
            VIcon(icon=(f"{opened} ? 'mdi-chevron-down' : 'mdi-chevron-right'",), size=18, classes="ms-chevron")
            Span(title)
            if fill_title is not None:
                VSpacer()
                fill_title()
        with Div(v_if=(opened,)):
            yield


def icon_button(
    icon: str | tuple[str],
    title: str,
    click: Action | tuple | str,
    size: int = 17,
    classes: str = "",
    **options: object,
) -> None:
    """Its click stays its own, where the row has one too."""
    with VBtn(
        icon=True,
        variant="text",
        density="compact",
        size="small",
        v_on_click_stop=click,
        raw_attrs=[f'aria-label="{title}"'],
        classes=f"ms-icon {classes}",
        **options,
    ):
        VIcon(icon=icon, size=size)
        VTooltip(title, activator="parent", location="bottom")


@contextmanager
def dialogue(shown: str, title: str, width: int) -> Iterator[None]:
    """shown: name of the page's value that says whether it shows. width: in pixels, or less in a narrow window."""
    with VDialog(v_model=(shown,), width=width, max_width="94vw"), VCard(rounded="lg"):
        with VCardTitle(classes="d-flex align-center text-subtitle-1 font-weight-medium"):
            Span(title)
            VSpacer()
            with VBtn(icon=True, variant="text", size="small", click=f"{shown} = false"):
                VIcon("mdi-close", size=18)
        yield
