"""Dialogues of the recall memory: to remember a segment, and to look at what is remembered."""

from __future__ import annotations

from trame_client.widgets.html import Div, Img, Input, Span
from trame_vuetify.widgets.vuetify3 import (
    VBtn,
    VCardActions,
    VCardText,
    VCheckbox,
    VIcon,
    VProgressLinear,
    VSpacer,
    VTextField,
    VTooltip,
)

from .actions import Actions
from .page_state import Page
from .sections import dialogue, icon_button


def build_remember(page: Page, actions: Actions) -> None:
    recall = page.name.recall
    given = f"[{recall.name}, {recall.licence}, {recall.note}]"
    on_enter = f"$event.key === 'Enter' && trigger('remember', {given})"
    with dialogue(recall.remember_shown, "Remember this segment", 460), VCardText(classes="pt-0 pb-0"):
        Div(
            "Its look, size and place are kept under this name; type the name in another image, and it is looked for "
            "there. Of the image itself, only a small picture is kept.",
            classes="ms-hint mb-4",
        )
        VTextField(
            v_model=(recall.name,),
            label="Name",
            placeholder="left kidney",
            density="comfortable",
            variant="outlined",
            hide_details=True,
            autofocus=True,
            maxlength=100,
            keydown=on_enter,
            classes="ms-remember-name mb-3",
        )
        with Div(classes="d-flex", style="gap: 10px;"):
            for model, label, example in (("note", "Note", "where it is from"), ("licence", "Licence", "of the image")):
                VTextField(
                    v_model=(getattr(recall, model),),
                    label=f"{label} (optional)",
                    density="compact",
                    variant="outlined",
                    placeholder=example,
                    hide_details=True,
                    maxlength=500,
                    keydown=on_enter,
                    classes=f"ms-remember-{model}",
                )
        VCheckbox(
            v_model=(recall.always,),
            label="From now on, remember named segments by themselves when I go on to another one, or save",
            color="primary",
            density="compact",
            hide_details=True,
            classes="ms-always mt-2",
        )
        with VCardActions(classes="px-0"):
            VSpacer()
            VBtn("Cancel", variant="text", click=f"{recall.remember_shown} = false")
            VBtn(
                "Remember",
                variant="flat",
                color="primary",
                click=(actions.remember, given),
                classes="ms-remember-now",
            )


def build_recall(page: Page, actions: Actions) -> None:
    recall = page.name.recall
    with dialogue(recall.shown, "Recall memory", 720), VCardText(classes="pt-0 pb-4"):
        _build_head(page, actions)
        VProgressLinear(
            indeterminate=(recall.working,), model_value=0, height=3, color="primary", bg_opacity=0, classes="mt-1"
        )
        for_problems = f"problem in {recall.problems}"
        Div("{{ problem }}", v_for=for_problems, key=("problem",), classes="ms-hint ms-recall-problem")
        with Div(classes="ms-recall-list"):
            with Div(v_for=f"row in {recall.rows}", key=("row.identity",), classes="ms-recall-row"):
                Img(src=("row.thumbnail",), classes="ms-thumbnail", raw_attrs=[':alt="row.name"'])
                _build_entry(page, actions)
                _build_buttons(page, actions)
            Div(
                "{{ %s ? 'Nothing here fits the search.' : 'Nothing is remembered yet. Segment something, give it a "
                "name, and press the bookmark beside Segments.' }}" % recall.total,
                v_if=(f"!{recall.rows}.length && !{recall.working}",),
                classes="ms-hint text-center py-6",
            )
        Div(
            "{{ %s.length }} of {{ %s }} shown; search to see others." % (recall.rows, recall.matching),
            v_if=(f"{recall.matching} > {recall.rows}.length",),
            classes="ms-hint text-center pt-2",
        )


def _build_head(page: Page, actions: Actions) -> None:
    recall = page.name.recall
    with Div(classes="d-flex align-center flex-wrap", style="gap: 8px;"):
        VTextField(
            v_model=(recall.search,),
            placeholder="Search names, modality, notes",
            density="compact",
            variant="outlined",
            hide_details=True,
            clearable=True,
            autofocus=True,
            prepend_inner_icon="mdi-magnify",
            classes="ms-recall-search",
        )
        with VBtn(
            variant="tonal",
            prepend_icon="mdi-import",
            click="$event.currentTarget.parentElement.querySelector('input[type=file]').click()",
            disabled=(recall.working,),
            classes="ms-recall-import",
        ):
            Span("Import")
            VTooltip("Add entries from a file that was exported here or elsewhere", activator="parent", location="top")
        Input(
            type="file",
            accept=".zip",
            style="display: none;",
            change="utils.memseg.upload($event.target, 'import_recalled')",
            classes="ms-recall-upload",
        )
        with VBtn(
            variant="tonal",
            prepend_icon="mdi-export",
            click=actions.export_recalled,
            disabled=(f"{recall.working} || !{recall.exportable}",),
            classes="ms-recall-export",
        ):
            Span("Export {{ %s || '' }}" % recall.exportable)
            VTooltip("Download your own entries that fit the search, as one file", activator="parent", location="top")


def _build_entry(page: Page, actions: Actions) -> None:
    recall = page.name.recall
    renaming = f"row.identity === {recall.renamed}"
    new_name = f"[row.identity, {recall.new_name}]"
    with Div(classes="ms-recall-entry"):
        VTextField(
            v_if=(renaming,),
            v_model=(recall.new_name,),
            density="compact",
            variant="underlined",
            hide_details=True,
            autofocus=True,
            maxlength=100,
            keydown=f"$event.key === 'Enter' ? trigger('rename_recalled', {new_name}) "
            f": $event.key === 'Escape' && ($event.stopPropagation(), {recall.renamed} = '')",
            classes="ms-recall-new-name",
        )
        with Div(v_else=True, classes="ms-recall-name"):
            Span("{{ row.name }}")
            with Span("comes with MemSegSlicer", v_if=("!row.own",), classes="ms-shipped"):
                VTooltip("It cannot be renamed or deleted.", activator="parent", location="top")
        with Div(classes="ms-hint ms-recall-facts"):
            Span("{{ [row.modality, row.size, row.made].filter(Boolean).join(' · ') }}")
        Div("{{ row.origin }}", v_if=("row.origin",), classes="ms-hint ms-row-text", raw_attrs=[':title="row.origin"'])


def _build_buttons(page: Page, actions: Actions) -> None:
    recall = page.name.recall
    with Div(v_if=(f"row.identity === {recall.deleted}",), classes="ms-recall-buttons"):
        Span("Delete for good?", classes="ms-hint mr-1")
        VBtn(
            "Delete",
            variant="flat",
            color="error",
            size="small",
            click=(actions.delete_recalled, "[row.identity]"),
            classes="ms-recall-delete-now",
        )
        VBtn("Keep", variant="text", size="small", click=f"{recall.deleted} = ''")
    with Div(v_else_if=(f"row.identity === {recall.renamed}",), classes="ms-recall-buttons"):
        VBtn(
            "Rename",
            variant="flat",
            color="primary",
            size="small",
            click=(actions.rename_recalled, f"[row.identity, {recall.new_name}]"),
            classes="ms-recall-rename-now",
        )
        VBtn("Keep", variant="text", size="small", click=f"{recall.renamed} = ''")
    with Div(v_else_if=("row.own",), classes="ms-recall-buttons"):
        icon_button(
            "mdi-pencil-outline",
            "Rename",
            f"{recall.new_name} = row.name; {recall.renamed} = row.identity; {recall.deleted} = ''",
            classes="ms-recall-rename",
        )
        icon_button(
            "mdi-delete-outline",
            "Delete",
            f"{recall.deleted} = row.identity; {recall.renamed} = ''",
            classes="ms-recall-delete",
        )
    with Div(v_else=True, classes="ms-recall-buttons"):
        VIcon("mdi-lock-outline", size=15, style="opacity: .4;")
