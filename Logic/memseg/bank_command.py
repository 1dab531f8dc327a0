"""`memseg recall bank`: what the model memorizing-sam leans on."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from .build import build
from .memory.bank import Bank
from .memory.recall_files import RecallFolder, default_folder

console = Console()


def bank(
    clear: Annotated[
        bool, typer.Option("--clear", help="Delete what is kept of images; the structures stay remembered.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 or mps.")] = "auto",
) -> None:
    """Make what was remembered with its image ready for the model memorizing-sam, and say what there is.

    The model does so by itself when it starts; this does it beforehand.
    """
    kept = Bank(default_folder())
    identities = kept.identities()
    if not identities:
        _say("No structure was remembered with its image: memseg recall add IMAGE MASK NAME --keep-image")
        return
    if clear:
        for identity in identities:
            kept.forget(identity)
        _say(f"What was kept of {_structures(len(identities))} is deleted; they stay remembered by how they look.")
        return
    with console.status(f"Looking at {_structures(len(identities))}"):
        build("memorizing-sam", device)
    known = {entry.identity: entry.title for entry in RecallFolder(default_folder()).read()[0]}
    identities = kept.identities()
    for identity in identities:
        _say(f"{identity[:8]} {known.get(identity, '')}")
    _say(f"{_structures(len(identities))}, {kept.size_bytes() / 1e6:.0f} MB; --model memorizing-sam leans on them.")


def _structures(count: int) -> str:
    return "1 structure" if count == 1 else f"{count} structures"


def _say(words: str) -> None:
    console.print(words, markup=False, highlight=False, soft_wrap=True)
