"""The part of the panel where a trained model guesses first, and where finished segments go back as training data."""

from __future__ import annotations

from trame_client.widgets.html import Div, Span
from trame_vuetify.widgets.vuetify3 import (
    VBtn,
    VCardActions,
    VCardText,
    VIcon,
    VProgressLinear,
    VSpacer,
    VTextField,
    VTooltip,
)

from .actions import Actions
from .page_state import Page
from .sections import dialogue, folding_section


def build_auto(page: Page, actions: Actions) -> None:
    with folding_section(page.name.auto.open, "Auto", lambda: _build_count(page)):
        _build_model(page, actions)
        _build_buttons(page, actions)
        _build_words(page)


def _build_count(page: Page) -> None:
    auto = page.name.auto
    Span("{{ %s }}/{{ %s }}" % (auto.done, auto.of), v_if=(f"{auto.running} && {auto.of}",), classes="ms-auto-count")


def _build_model(page: Page, actions: Actions) -> None:
    auto = page.name.auto
    with VTextField(
        v_model=(auto.model,),
        label="Folder of the trained model",
        density="compact",
        variant="outlined",
        hide_details=True,
        disabled=(auto.running,),
        change=(actions.choose_auto, f"[{auto.model}]"),
        keydown=f"$event.key === 'Enter' && trigger('choose_auto', [{auto.model}])",
        classes="ms-auto-model mt-1 mb-2",
        raw_attrs=['spellcheck="false"', 'autocomplete="off"'],
    ):
        VTooltip("What memseg train auto wrote with --out: {{ %s }}" % auto.model, activator="parent", location="end")


def _build_buttons(page: Page, actions: Actions) -> None:
    name, auto = page.name, page.name.auto
    with Div(classes="d-flex align-center", style="gap: 6px;"):
        with VBtn(
            click=(actions.guess, f"[{auto.model}]"),
            disabled=(f"!{auto.running} && (!{name.has_image} || !!{auto.problem} || {auto.collecting})",),
            color=(f"{auto.running} ? undefined : 'primary'",),
            variant=(f"{auto.running} ? 'outlined' : 'flat'",),
            size="small",
            height=32,
            classes="ms-auto flex-grow-1",
        ):
            VIcon(icon=(f"{auto.running} ? 'mdi-stop' : 'mdi-auto-fix'",), size=17, start=True)
            Span("{{ %s ? 'Cancel' : 'Auto' }}" % auto.running)
            VTooltip(
                "Have the trained model propose every structure it knows, each a segment that clicks correct; again to "
                "cancel",
                activator="parent",
                location="end",
                max_width=320,
            )
        with VBtn(
            click=f"{auto.collect_shown} = true",
            disabled=(f"!{name.segments}.length || {auto.running} || {auto.collecting}",),
            loading=(auto.collecting,),
            variant="tonal",
            size="small",
            height=32,
            classes="ms-ask-collect",
        ):
            Span("Add to training data…")
            VTooltip("Let the next training learn from what is finished here", activator="parent", location="end")
    VProgressLinear(
        v_if=(auto.running,),
        indeterminate=(f"!{auto.of}",),
        model_value=(f"100 * {auto.done} / Math.max(1, {auto.of})",),
        height=3,
        color="primary",
        classes="ms-auto-progress mt-1",
    )


def _build_words(page: Page) -> None:
    auto = page.name.auto
    problem = f"{auto.problem} && !{auto.running} && !{auto.sentence}"
    Div("{{ %s }}" % auto.problem, v_if=(problem,), classes="ms-hint ms-auto-words ms-auto-problem")
    Div(
        "{{ %s }}" % auto.sentence,
        v_if=(auto.sentence,),
        classes=(f"['ms-hint', 'ms-auto-words', 'ms-auto-sentence', {auto.failed} && 'ms-auto-failed']",),
    )


def build_collect(page: Page, actions: Actions) -> None:
    """The dialogue that asks where to."""
    name, auto = page.name, page.name.auto
    with dialogue(auto.collect_shown, "Add to training data", 520):
        with VCardText(classes="pt-0 pb-0"):
            Div(
                "The image and its named segments are copied into this data set, without names or paths, for the next "
                "training. An image that is there already takes its own place. Add only what is finished: where a "
                "segment stops short, the training learns that the structure ends.",
                classes="ms-hint mb-4",
            )
            VTextField(
                v_model=(auto.data,),
                label="Folder of the data set",
                density="comfortable",
                variant="outlined",
                hide_details=True,
                autofocus=True,
                keydown=f"$event.key === 'Enter' && trigger('collect', [{auto.data}])",
                classes="ms-collect-folder",
                raw_attrs=['spellcheck="false"', 'autocomplete="off"'],
            )
            Div(
                "The recall memory remembers the segments, too, as you have chosen there.",
                v_if=(name.recall.always,),
                classes="ms-hint mt-3 ms-collect-remembers",
            )
        with VCardActions(classes="pa-4"):
            VSpacer()
            VBtn("Cancel", variant="text", click=f"{auto.collect_shown} = false")
            VBtn(
                "Add",
                variant="flat",
                color="primary",
                click=(actions.collect, f"[{auto.data}]"),
                classes="ms-collect",
            )
