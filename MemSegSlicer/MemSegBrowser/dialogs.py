"""Dialogues: open, save, unsaved work, a segment's name and colour, deleting one, keys; and the notice of an error."""

from __future__ import annotations

from trame_client.widgets.html import Div, Input, Span, Table, Td, Tr
from trame_vuetify.widgets.vuetify3 import (
    VBtn,
    VCardActions,
    VCardText,
    VColorPicker,
    VProgressLinear,
    VSnackbar,
    VSpacer,
    VTextField,
)

from .actions import Actions
from .auto_panel import build_collect
from .page_state import Page
from .recall_dialogs import build_recall, build_remember
from .sections import dialogue
from .workspace import COLOURS

_KEYS = (
    ("Click", "add the structure under the mouse to the segment"),
    ("Ctrl or Shift + click", "take away (with any tool)"),
    ("Wheel", "through the slices"),
    ("Right button drag", "zoom"),
    ("Middle button drag", "pan"),
    ("C B S L", "click, box, scribble, lasso"),
    ("N W", "navigate, window and level"),
    ("P or +   M or −", "add, remove"),
    ("Ctrl+Z   Ctrl+Y", "undo, redo"),
    ("T or /", "type what to segment; Tab completes, the arrow up brings earlier words"),
    ("R", "remember the segment under its name"),
    ("G", "propagate from slice to slice, or cancel it"),
    ("A", "agree to the slice shown, or release it"),
    ("J", "jump to the slice to check next"),
    ("Delete", "delete the newest prompt"),
    ("F", "fit all views"),
    ("Esc", "give up the stroke being drawn; stop an answer that takes long"),
)


def build_dialogs(page: Page, actions: Actions) -> None:
    _build_open(page, actions)
    _build_save(page, actions)
    _build_discard(page, actions)
    _build_edit(page, actions)
    _build_delete(page, actions)
    build_remember(page, actions)
    build_recall(page, actions)
    build_collect(page, actions)
    _build_help(page)
    VSnackbar(
        "{{ %s }}" % page.name.sentence,
        v_model=(page.name.notice_shown,),
        timeout=7000,
        color="error",
        location="bottom",
        classes="ms-notice",
    )


def _build_open(page: Page, actions: Actions) -> None:
    name = page.name
    with dialogue(name.open_shown, "Open", 560), VCardText(classes="pb-0"):
        VTextField(
            v_model=(name.open_path,),
            label="File or DICOM folder on the computer that runs MemSegSlicer",
            placeholder="/path/to/image.nii.gz",
            variant="outlined",
            density="comfortable",
            autofocus=True,
            hint="NIfTI, NRRD, MetaImage, a DICOM folder, a Slicer scene (.mrb), or segments of this image (.seg.nrrd)",
            persistent_hint=True,
            keydown=f"$event.key === 'Enter' && trigger('open_path', [{name.open_path}])",
            classes="ms-open-path",
        )
        with Div(classes="d-flex align-center mt-5 mb-2"):
            with VBtn(
                variant="tonal",
                prepend_icon="mdi-upload",
                classes="text-none",
                click="$event.currentTarget.parentElement.querySelector('input').click()",
                disabled=(f"{name.upload_progress} >= 0",),
            ):
                Span("Upload from this computer")
            Input(
                type="file",
                multiple=True,
                classes="ms-upload",
                style="display: none;",
                change="utils.memseg.upload($event.target)",
            )
            VSpacer()
            VBtn("Bundled abdomen CT", variant="text", classes="text-none ms-sample", click=actions.open_sample)
        VProgressLinear(
            v_show=(f"{name.upload_progress} >= 0",),
            model_value=(name.upload_progress,),
            height=5,
            color="primary",
            rounded=True,
        )
        with VCardActions(classes="px-0"):
            VSpacer()
            VBtn("Cancel", variant="text", click=f"{name.open_shown} = false")
            VBtn(
                "Open",
                variant="flat",
                color="primary",
                click=(actions.open_path, f"[{name.open_path}]"),
                loading=(name.opening,),
                classes="ms-open-now",
            )


def _build_save(page: Page, actions: Actions) -> None:
    name = page.name
    with dialogue(name.save_shown, "Save", 560), VCardText(classes="pb-0"):
        VTextField(
            v_model=(name.save_path,),
            label="File on the computer that runs MemSegSlicer",
            variant="outlined",
            density="comfortable",
            autofocus=True,
            hint=".seg.nrrd or .nii.gz for the segments, .mrb for the whole scene with prompts and memory",
            persistent_hint=True,
            keydown=f"$event.key === 'Enter' && trigger('save_path', [{name.save_path}])",
            classes="ms-save-path",
        )
        with Div(classes="d-flex align-center mt-4 mb-1", style="gap: 8px;"):
            Span("Or download:", classes="ms-hint")
            for kind, title in (
                (".seg.nrrd", "Segments (.seg.nrrd)"),
                (".nii.gz", "Label map (.nii.gz)"),
                (".mrb", "Scene (.mrb)"),
            ):
                VBtn(
                    title,
                    variant="tonal",
                    size="small",
                    classes=f"text-none ms-download-{kind.split('.')[1]}",
                    click=(actions.download, f"['{kind}']"),
                )
        with VCardActions(classes="px-0"):
            VSpacer()
            VBtn("Cancel", variant="text", click=f"{name.save_shown} = false")
            VBtn(
                "Save",
                variant="flat",
                color="primary",
                click=(actions.save_path, f"[{name.save_path}]"),
                loading=(name.saving,),
                classes="ms-save-now",
            )


def _build_discard(page: Page, actions: Actions) -> None:
    name = page.name
    with dialogue(name.discard_shown, "Open without saving?", 440):
        VCardText("The segments of this image were not saved. Opening another file closes them.")
        with VCardActions():
            VSpacer()
            VBtn("Cancel", variant="text", click=f"{name.discard_shown} = false")
            VBtn("Save first", variant="text", click=(actions.shortcut, "['save']"))
            VBtn("Open anyway", variant="flat", color="error", click=actions.open_waiting, classes="ms-discard")


def _build_edit(page: Page, actions: Actions) -> None:
    name = page.name
    edited = f"[{name.edited.name}, {name.edited.colour}]"
    with dialogue(name.edit_shown, "Segment", 332), VCardText(classes="pb-0"):
        VTextField(
            v_model=(name.edited.name,),
            label="Name",
            hint="Names such as “liver” or “left kidney” bring their standard codes along",
            persistent_hint=True,
            variant="outlined",
            density="comfortable",
            autofocus=True,
            keydown=f"$event.key === 'Enter' && trigger('finish_segment', {edited})",
            classes="ms-segment-name mb-3",
        )
        with Div(classes="d-flex mb-2", style="gap: 6px;"):
            for colour in COLOURS:
                Div(
                    classes="ms-dot",
                    style=f"width: 26px; height: 26px; cursor: pointer; background: {colour};",
                    click=f"{name.edited.colour} = '{colour}'",
                )
        VColorPicker(
            v_model=(name.edited.colour,),
            mode="hex",
            modes=("['hex']",),
            width=284,
            canvas_height=90,
            elevation=0,
            hide_inputs=True,
        )
        with VCardActions(classes="px-0"):
            VSpacer()
            VBtn("Cancel", variant="text", click=f"{name.edit_shown} = false")
            VBtn(
                "Apply",
                variant="flat",
                color="primary",
                click=(actions.finish_segment, edited),
                classes="ms-segment-apply",
            )


def _build_delete(page: Page, actions: Actions) -> None:
    name = page.name
    with dialogue(name.delete_shown, "Delete segment?", 400):
        VCardText("“{{ %s }}”, its prompts and its memory go; this cannot be undone." % name.deleted.name)
        with VCardActions():
            VSpacer()
            VBtn("Cancel", variant="text", click=f"{name.delete_shown} = false")
            VBtn("Delete", variant="flat", color="error", click=actions.delete_segment, classes="ms-delete-now")


def _build_help(page: Page) -> None:
    with dialogue(page.name.help_shown, "Keys and mouse", 600), VCardText(classes="pt-0"):
        with Table(style="border-spacing: 0 6px;"):
            for keys, meaning in _KEYS:
                with Tr():
                    Td(keys, style="white-space: nowrap; padding-right: 20px; font-weight: 500;")
                    Td(meaning, style="opacity: .8;")
