"""The part of the panel that goes slice by slice: where to propagate, the strip, agreeing, where to correct next."""

from __future__ import annotations

from trame_client.widgets.html import Div, HtmlElement, Span, Svg
from trame_vuetify.widgets.vuetify3 import VBtn, VBtnGroup, VIcon, VProgressLinear, VRangeSlider, VSwitch, VTooltip

from MemSegSlicerLib.Strip import LEVELS_PERCENT

from .actions import Actions
from .page_state import Page
from .sections import folding_section, icon_button

_DIRECTIONS = (("down", "mdi-arrow-left"), ("both", "mdi-arrow-left-right"), ("up", "mdi-arrow-right"))
_LEGEND = (
    ("agreed", "agreed", "Agreed slices are never overwritten; low bars: agreed not to hold the object"),
    ("absent", "absent", "Slices that propagation found not to hold the object"),
    ("held", "untouched", "Slices with a mask that no propagation has made"),
)


def build_slices(page: Page, actions: Actions) -> None:
    with folding_section(page.name.propagate_open, "Propagate"):
        _build_axes(page, actions)
        _build_strip(page)
        _build_range(page)
        _build_course(page)
        _build_start(page, actions)
        _build_review(page, actions)


def _build_axes(page: Page, actions: Actions) -> None:
    name = page.name
    with VBtnGroup(density="compact", variant="outlined", divided=True, classes="ms-choice"):
        VBtn(
            "{{ row.title }}",
            v_for=f"row in {name.axes}",
            key=("row.axis",),
            active=(f"row.axis === {name.axis}",),
            color=(f"row.axis === {name.axis} ? 'primary' : undefined",),
            click=(actions.choose_axis, "[row.axis]"),
            size="small",
            classes="ms-axis",
        )


def _build_strip(page: Page) -> None:
    name = page.name
    pointed = f"utils.memseg.strip($event, {name.axis_size}, {name.bars})"
    low, high = f"{name.slice_range}[0]", f"{name.slice_range}[1]"
    with Div(
        classes="ms-strip",
        mousedown=pointed,
        mousemove=pointed,
        raw_attrs=['role="img"', 'aria-label="What is known of every slice; click to go to one"'],
    ):
        with Svg(raw_attrs=[f':viewBox="`0 0 ${{{name.axis_size}}} 100`"', 'preserveAspectRatio="none"']):
            HtmlElement(
                "rect",
                v_for=f"bar in {name.bars}",
                key=("bar.start",),
                classes=("['ms-bar-' + bar.kind, 'ms-level-' + bar.level]",),
                raw_attrs=[
                    ':x="bar.start"',
                    ':width="bar.count"',
                    ':y="100 - utils.memseg.height(bar)"',
                    ':height="utils.memseg.height(bar)"',
                ],
            )
        for side, share in (("left", low), ("right", f"({name.axis_size} - 1 - {high})")):
            width = f"{{width: 100 * {share} / {name.axis_size} + '%'}}"
            Div(classes=f"ms-strip-out ms-{side}-out", style=(width,))
        for kind, index, shown in (
            ("suggested", name.suggested, f"{name.suggested} >= 0"),
            ("shown", name.slice_shown, name.bars),
        ):
            left = f"{{left: 100 * ({index} + 0.5) / {name.axis_size} + '%'}}"
            Div(v_if=(shown,), classes=f"ms-strip-{kind}", style=(left,))


def _build_range(page: Page) -> None:
    name = page.name
    VRangeSlider(
        v_model=(name.slice_range,),
        min=0,
        max=(f"{name.axis_size} - 1",),
        step=1,
        strict=True,
        hide_details=True,
        density="compact",
        thumb_size=12,
        track_size=2,
        color="primary",
        disabled=(name.propagating,),
        classes="ms-range",
    )
    with Div(classes="ms-hint ms-ends"):
        Span("{{ %s }} {{ %s[0] }}" % (name.axis_low, name.slice_range), classes="ms-first")
        Span("slice {{ %s }}{{ %s ? ', agreed' : '' }}" % (name.slice_shown, name.slice_agreed), classes="ms-shown")
        Span("{{ %s[1] }} {{ %s }}" % (name.slice_range, name.axis_high), classes="ms-last")


def _build_course(page: Page) -> None:
    name = page.name
    titles = {
        "down": f"Towards {{{{ {name.axis_low} }}}} only",
        "both": "Both ways",
        "up": f"Towards {{{{ {name.axis_high} }}}} only",
    }
    with Div(classes="d-flex align-center mt-1"):
        with VBtnGroup(density="compact", variant="outlined", divided=True, classes="ms-directions"):
            for direction, icon in _DIRECTIONS:
                with VBtn(
                    active=(f"{name.direction} === '{direction}'",),
                    color=(f"{name.direction} === '{direction}' ? 'primary' : undefined",),
                    click=f"{name.direction} = '{direction}'",
                    size="small",
                    classes=f"ms-direction-{direction}",
                    raw_attrs=[f'aria-label="{direction}"'],
                ):
                    VIcon(icon, size=16)
                    VTooltip(titles[direction], activator="parent", location="bottom")
        with VSwitch(
            v_model=(name.stops_at_end,),
            color="primary",
            density="compact",
            hide_details=True,
            label="Stop at its end",
            classes="ms-stop ml-3",
        ):
            VTooltip(
                "Stop where two slices in a row do not hold the object; else go through the whole range.",
                activator="parent",
                location="bottom",
            )


def _build_start(page: Page, actions: Actions) -> None:
    name = page.name
    with VBtn(
        click=(actions.propagate, f"[{name.slice_range}, {name.direction}, {name.stops_at_end}]"),
        disabled=(f"!{name.has_image}",),
        color=(f"{name.propagating} ? undefined : 'primary'",),
        variant=(f"{name.propagating} ? 'outlined' : 'flat'",),
        block=True,
        size="small",
        height=32,
        classes="ms-propagate mt-1",
    ):
        VIcon(icon=(f"{name.propagating} ? 'mdi-stop' : 'mdi-layers-triple-outline'",), size=17, start=True)
        Span("{{ %s ? 'Cancel' : 'Propagate' }}" % name.propagating)
        VTooltip("Follow the object from slice to slice (G); again to cancel", activator="parent", location="end")
    VProgressLinear(
        indeterminate=(name.propagating,),
        model_value=0,
        height=3,
        color="primary",
        bg_opacity=0,
        classes="ms-propagating",
    )
    Div(
        "{{ %s ? %s : %s }}" % (name.propagating, name.progress, name.starts_from),
        classes="ms-hint ms-progress",
    )


def _build_review(page: Page, actions: Actions) -> None:
    name = page.name
    with Div(classes="ms-review mt-2"):
        with VBtn(
            click=actions.agree,
            disabled=(f"!{name.has_image}",),
            active=(name.slice_agreed,),
            variant="tonal",
            size="small",
            classes="ms-agree",
        ):
            VIcon(
                icon=(f"{name.slice_agreed} ? 'mdi-lock-open-variant-outline' : 'mdi-check-bold'",), size=15, start=True
            )
            Span("{{ %s ? 'Release' : 'Agree' }}" % name.slice_agreed)
            VTooltip("The slice shown is right and stays as it is (A)", activator="parent", location="bottom")
        with VBtn(
            click=actions.show_suggested,
            disabled=(f"!{name.suggestion} || {name.propagating}",),
            variant="tonal",
            size="small",
            classes="ms-suggested",
        ):
            VIcon("mdi-eye-arrow-right-outline", size=15, start=True)
            Span("Next to check")
            VTooltip(
                "{{ %s || 'After a propagation: to the slice whose correction helps most (J)' }}" % name.suggestion,
                activator="parent",
                location="bottom",
                max_width=320,
            )
        icon_button(
            "mdi-creation-outline",
            "Make consistent: smooth the propagated slices, drop loose parts",
            actions.make_consistent,
            disabled=(f"!{name.bars}.some((bar) => bar.kind === 'propagated') || {name.propagating}",),
            classes="ms-consistent",
        )
    with Div(classes="ms-legend mt-2"):
        limits = ", ".join(str(limit) for limit in LEVELS_PERCENT)
        with Div():
            Span("unsure")
            for level in range(len(LEVELS_PERCENT) + 1):
                Div(classes=f"ms-swatch ms-level-{level}")
            Span("sure")
            VTooltip(
                f"Confidence of propagated slices: the colour changes at {limits} %, and the bars grow with it",
                activator="parent",
                location="bottom",
            )
        for kind, title, words in _LEGEND:
            with Div():
                Div(classes=f"ms-swatch ms-swatch-{kind}")
                Span(title)
                VTooltip(words, activator="parent", location="bottom")
