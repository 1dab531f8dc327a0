"""Everything a button or a key can do, by name: what the page's widgets are given to call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Action = Callable[..., Any]


@dataclass(frozen=True)
class Actions:
    """Each shows its errors as a sentence.

    Arguments come from the page: identifiers, positions in a list, and what was typed, since the copy of a text field
    that the server holds may lie a few letters behind.
    """

    undo: Action
    redo: Action
    reset: Action
    show_prompt: Action
    remove_prompt: Action
    forget: Action
    clear_memory: Action

    choose_axis: Action
    propagate: Action
    agree: Action
    show_suggested: Action
    make_consistent: Action
    show_slice: Action
    pin_slice: Action
    drop_slice: Action
    clear_slices: Action

    type_words: Action
    complete_words: Action
    choose_alternative: Action
    tell_modality: Action
    stop: Action
    ask_remember: Action
    remember: Action
    show_recall: Action
    rename_recalled: Action
    delete_recalled: Action
    export_recalled: Action
    import_recalled: Action

    guess: Action
    choose_auto: Action
    collect: Action

    add_segment: Action
    choose_segment: Action
    toggle_segment: Action
    edit_segment: Action
    finish_segment: Action
    ask_delete_segment: Action
    delete_segment: Action

    open_path: Action
    open_sample: Action
    open_waiting: Action
    uploaded: Action
    upload_failed: Action
    save_path: Action
    download: Action

    choose_window: Action
    toggle_surface: Action
    fit: Action
    toggle_theme: Action
    claim: Action
    shortcut: Action
