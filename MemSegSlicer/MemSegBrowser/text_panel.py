"""The part of the panel where the user types: the text box with what it could be completed to, and how the words were
understood."""

from __future__ import annotations

from trame_client.widgets.html import Div, Li, Span, Ul
from trame_vuetify.widgets.vuetify3 import VBtn, VIcon, VTextField, VTooltip

from .actions import Actions
from .answer_panel import build_chooser, build_modality, build_working
from .page_state import Page


def build_text(page: Page, actions: Actions) -> None:
    with Div(classes="ms-section ms-text"):
        _build_box(page, actions)
        build_working(page, actions)
        with Div(v_if=(page.name.text.problem,), classes="ms-understood ms-problem"):
            VIcon("mdi-alert-circle", size=16, color="error", classes="ms-problem-icon")
            with Div():
                Div("{{ %s }}" % page.name.text.problem, classes="ms-understanding-text")
                build_modality(page, actions)
        with Div(v_else_if=(page.name.text.sentence,), classes="ms-understood"):
            _build_understanding(page)
            _build_alternatives(page, actions)
            build_chooser(page, actions)


def _build_box(page: Page, actions: Actions) -> None:
    text = page.name.text
    names = ", ".join(
        f"{name}: '{getattr(text, name)}'"
        for name in ("words", "completions", "offering", "completion", "history", "past")
    )
    with Div(classes="ms-words-box"):
        VTextField(
            v_model=(text.words,),
            placeholder="Type what to segment (T)",
            density="compact",
            variant="outlined",
            hide_details=True,
            clearable=True,
            maxlength=1000,
            loading=(text.waiting,),
            append_inner_icon="mdi-send",
            click_appendInner=(actions.type_words, f"[{text.words}]"),
            click_clear=f"{text.offering} = false; {text.problem} = ''",
            input=f"utils.memseg.typed($event, {{{names}}})",
            keydown=f"utils.memseg.typing($event, {{{names}}})",
            blur=f"{text.offering} = false",
            classes="ms-words",
            raw_attrs=['autocomplete="off"', 'spellcheck="false"', 'aria-label="What to segment, in words (T)"'],
        )
        with Div(
            v_if=(f"{text.offering} && {text.completions}.length",),
            classes="ms-completions",
            raw_attrs=['role="listbox"'],
        ):
            with Div(
                v_for=f"(words, number) in {text.completions}",
                key=("words",),
                classes=(f"['ms-row', 'ms-completion', number === {text.completion} && 'ms-row-chosen']",),
                v_on_mousedown_prevent=(actions.type_words, "[words]"),  # before the box loses the keyboard
                raw_attrs=['role="option"'],
            ):
                Div("{{ words }}", classes="ms-row-text")
                Span("Tab", v_if=(f"number === Math.max(0, {text.completion})",), classes="ms-kbd ms-tab")


def _build_understanding(page: Page) -> None:
    text = page.name.text
    Div("{{ %s }}" % text.sentence, classes="ms-understanding ms-understanding-text")
    Div("{{ %s }}" % text.instead, v_if=(text.instead,), classes="ms-instead ms-understanding-text mt-1")
    with Div(classes="d-flex align-center mt-1"):
        is_in_doubt = f"{text.percent} < 100"  # not so for what is done with the mask, such as growing it
        with Div(v_if=(is_in_doubt,), classes="ms-confidence"):
            Div(classes=(f"'ms-level-' + {text.level}",), style=(f"{{width: {text.percent} + '%'}}",))
        Span("{{ %s }} %% sure" % text.percent, v_if=(is_in_doubt,), classes="ms-hint ms-sure")
        with VBtn(
            v_if=(f"{text.links}.length",),
            variant="text",
            size="x-small",
            click=f"{text.links_open} = !{text.links_open}",
            classes="ms-why ml-auto",
            raw_attrs=[f':aria-expanded="{text.links_open}"'],
        ):
            Span("How it was found")
            VIcon(icon=(f"{text.links_open} ? 'mdi-chevron-up' : 'mdi-chevron-down'",), size=16, end=True)
    with Ul(v_if=(text.links_open,), classes="ms-links"):
        Li("{{ link }}", v_for=f"link in {text.links}", key=("link",))


def _build_alternatives(page: Page, actions: Actions) -> None:
    text = page.name.text
    with Div(v_if=(f"{text.alternatives}.length > 1",), classes="ms-alternatives"):
        with VBtn(
            v_for=f"row in {text.alternatives}",
            key=("row.number",),
            variant="tonal",
            size="x-small",
            rounded="pill",
            active=(f"row.number === {text.chosen}",),
            color=(f"row.number === {text.chosen} ? 'primary' : undefined",),
            click=(actions.choose_alternative, "[row.number]"),
            classes="ms-alternative",
        ):
            Span("{{ row.title }}", classes="ms-row-text")
            Span("{{ row.percent }} %", classes="ms-percent")
            VTooltip("{{ row.why || row.title }}", activator="parent", location="end", max_width=320)
