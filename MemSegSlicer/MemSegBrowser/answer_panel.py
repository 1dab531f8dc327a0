"""The parts of the panel round one answer: how far it is, which kind of image this is, and two answers side by side."""

from __future__ import annotations

from trame_client.widgets.html import Button, Div, Img, Span
from trame_vuetify.widgets.vuetify3 import VBtn, VIcon, VProgressLinear

from memseg.modality import MODALITIES

from .actions import Actions
from .page_state import Page


def build_working(page: Page, actions: Actions) -> None:
    """While an answer takes long."""
    answer = page.name.answer
    with Div(v_if=(answer.working,), classes="ms-working"):
        with Div(classes="d-flex align-center"):
            Span("{{ %s }}" % answer.working, classes="ms-hint ms-working-words")
            with VBtn(
                variant="tonal",
                size="x-small",
                click=actions.stop,
                classes="ms-stop-answer ml-auto",
                raw_attrs=['title="Nothing is changed then (Esc)"'],
            ):
                VIcon("mdi-stop", size=14, start=True)
                Span("Stop")
        VProgressLinear(
            model_value=(f"Math.max(0, {answer.percent})",),
            indeterminate=(f"{answer.percent} < 0",),
            height=4,
            rounded=True,
            color="primary",
            classes="mt-1",
        )


def build_modality(page: Page, actions: Actions) -> None:
    """Inside of what says why words were not answered."""
    with Div(v_if=(page.name.answer.asks_modality,), classes="ms-modality"):
        for name in MODALITIES:
            VBtn(
                name,
                variant="outlined",
                size="x-small",
                rounded="pill",
                click=(actions.tell_modality, f"['{name}']"),
                classes=f"ms-modality-{name.lower()}",
            )


def build_chooser(page: Page, actions: Actions) -> None:
    """Below how words were understood."""
    answer, chosen = page.name.answer, page.name.text.chosen
    with Div(v_if=(f"{answer.sides}.length",), classes="ms-chooser"):
        Div("{{ %s }}" % answer.comparison, classes="ms-hint")
        with Div(classes="ms-sides"):
            with Button(
                v_for=f"row in {answer.sides}",
                key=("row.number",),
                type="button",
                classes=(f"['ms-side', row.number === {chosen} && 'ms-side-chosen']",),
                click=(actions.choose_alternative, "[row.number]"),
                disabled=(f"row.number === {chosen}",),
                raw_attrs=[':title="row.why || row.who"', f':aria-pressed="row.number === {chosen}"'],
            ):
                Img(src=("row.picture",), alt=("row.who",))
                Span("{{ row.who }}", classes="ms-side-who")
                Span("{{ row.facts }}", classes="ms-hint ms-side-facts")
                Span("{{ row.why }}", classes="ms-hint ms-side-why")
