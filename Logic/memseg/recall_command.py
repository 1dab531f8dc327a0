"""`memseg recall`: the structures remembered from earlier volumes: list, add, remove, rename, export, import.

What ships with the program is listed and can be exported; only the user's own entries can be removed or renamed. An
entry is named by the first digits of its identity, as the list shows them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from .errors import FileError, PromptError
from .files import read_mask, read_volume
from .geometry import Box
from .memory.recall import RecallEntry, RecallMemory
from .memory.recall_files import RecallFolder, default_folder, export, starter

app = typer.Typer(help="Structures remembered from earlier volumes, found again by their names.", no_args_is_help=True)
console = Console()
_SHOWN = 8  # digits of an identity
_Digits = Annotated[list[str], typer.Argument(help="First digits of identities, as the list shows them.")]


@app.command("list")
def list_(
    search: Annotated[str, typer.Argument(help="Only names that contain this.")] = "",
    own: Annotated[bool, typer.Option("--own", help="Only your own, not what ships with the program.")] = False,
) -> None:
    """List what is remembered: its name, kind of image, size, date and licence."""
    mine, shipped = _own(), RecallMemory() if own else starter()
    entries = [entry for entry in (*mine, *shipped) if search.casefold() in entry.title.casefold()]
    if not entries:
        console.print("Nothing is remembered under such a name." if search else "Nothing is remembered yet.")
        return
    table = Table("entry", "name", "image", "ml", "made", "of", "licence")
    for entry in sorted(entries, key=lambda each: (each.title.casefold(), each.made, each.identity)):
        whose = "yours" if mine.get(entry.identity) is not None else "shipped"
        size = f"{entry.volume_ml:.1f}"
        table.add_row(
            entry.identity[:_SHOWN], entry.title, entry.modality or "?", size, entry.made, whose, entry.licence
        )
    console.print(table)
    console.print(f"{len(entries)} entries of {len({entry.title.casefold() for entry in entries})} structures.")


@app.command()
def add(
    image: Annotated[Path, typer.Argument(help="NIfTI, NRRD or MetaImage file, or a folder with one DICOM series.")],
    mask: Annotated[Path, typer.Argument(help="A label map on the image's grid.")],
    name: Annotated[str, typer.Argument(help="What the structure is called, such as 'left kidney'.")],
    value: Annotated[int | None, typer.Option(help="The label's value; without: all that is not zero.")] = None,
    licence: Annotated[str, typer.Option(help="Of the image, kept with the entry.")] = "",
    note: Annotated[str, typer.Option(help="Where it comes from, or whatever is worth keeping.")] = "",
    subject: Annotated[str, typer.Option(help="A label of whose image it is.")] = "",
    keep_image: Annotated[
        bool, typer.Option("--keep-image", help="Keep the voxels round the structure too, not only how it looks.")
    ] = False,
) -> None:
    """Remember a structure of an image under its name."""
    from .text.recalling import remember

    with console.status(f"Reading {image.name}"):
        volume = read_volume(image)
        labelled = read_mask(mask, volume, value)
    box = Box.of_mask(labelled)
    with console.status(f"Remembering {name}"):
        entry = remember(
            volume,
            box,
            labelled[box.slices],
            name,
            subject=subject,
            licence=licence,
            note=note,
            keep_image=keep_image,
        )
        RecallFolder(default_folder()).add(entry)
    kind = f" in {entry.modality}" if entry.modality else ""
    size = f"{entry.volume_ml:.1f} ml, {entry.size_bytes / 1000:.0f} kB"
    console.print(f"{entry.title}{kind} is remembered as {entry.identity[:_SHOWN]}: {size}.", highlight=False)


@app.command()
def remove(digits: _Digits) -> None:
    """Forget entries of your own."""
    chosen = _chosen(digits, _own())
    for entry in chosen:
        RecallFolder(default_folder()).remove(entry.identity)
        console.print(f"{entry.title} ({entry.identity[:_SHOWN]}) is forgotten.", highlight=False)


@app.command()
def rename(
    digits: Annotated[str, typer.Argument(help="First digits of the entry's identity.")],
    name: Annotated[str, typer.Argument(help="Its new name.")],
) -> None:
    """Give an entry of your own another name."""
    from .text.naming import key_of

    (entry,) = _chosen([digits], _own())
    renamed = RecallFolder(default_folder()).rename(entry.identity, name, *key_of(name))
    console.print(f"{entry.title} is called {renamed.title} from now on.", highlight=False)


@app.command("export")
def export_(
    target: Annotated[Path, typer.Argument(help="A .zip file, or a folder.")],
    digits: Annotated[list[str] | None, typer.Argument(help="Which entries; without: all of your own.")] = None,
) -> None:
    """Write entries to a file that another machine can import."""
    mine = _own()
    chosen = _chosen(digits, mine.with_(*starter().entries)) if digits else list(mine)
    if not chosen:
        raise FileError("There is nothing of your own to export; name entries that the list shows.")
    console.print(f"{target}: {export(chosen, target)} entries", highlight=False, soft_wrap=True)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="A .zip file or a folder that was exported.")],
) -> None:
    """Add what somebody exported; what is here already stays as it is."""
    added, problems = RecallFolder(default_folder()).import_(source)
    for sentence in problems:
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    console.print(f"{len(added)} entries were added.", highlight=False)


def _own() -> RecallMemory:
    """The user's entries; what cannot be read is told."""
    memory, problems = RecallFolder(default_folder()).read()
    for sentence in problems:
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    return memory


def _chosen(digits: list[str], memory: RecallMemory) -> list[RecallEntry]:
    """The entries whose identities begin so, each once; nothing is done where one of them is unclear."""
    chosen: dict[str, RecallEntry] = {}
    for start in digits:
        found = [entry for entry in memory if start and entry.identity.startswith(start.lower())]
        if not found:
            raise PromptError(f"No entry that can be used here begins with '{start}'; see: memseg recall list")
        if len(found) > 1:
            raise PromptError(f"{len(found)} entries begin with '{start}'; give more digits.")
        chosen[found[0].identity] = found[0]
    return list(chosen.values())
