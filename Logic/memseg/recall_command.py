"""`memseg recall`: the structures remembered from earlier volumes: list, add, remove, rename, export, import.

What ships with the program is listed and can be exported; only the user's own entries can be removed or renamed. An
entry is named by the first digits of its identity, as the list shows them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .errors import FileError, PromptError
from .files import read_mask, read_volume
from .geometry import Box
from .memory.bank import Bank
from .memory.recall import RecallEntry, RecallMemory, checked_name
from .memory.recall_files import RecallFolder, default_folder, export, starter

app = typer.Typer(help="Structures remembered from earlier volumes, found again by their names.", no_args_is_help=True)
console = Console()
_SHOWN = 8  # digits of an identity
_Digits = Annotated[
    list[str], typer.Argument(metavar="ENTRY", help="First digits of identities, as the list shows them.")
]


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
        words = escape(entry.title), entry.modality or "?", f"{entry.volume_ml:.1f}", entry.made, whose
        table.add_row(entry.identity[:_SHOWN], *words, escape(entry.licence))
    console.print(table)
    count = len({entry.title.casefold() for entry in entries})
    _say(f"{_counted(len(entries))} of {count} structure{'' if count == 1 else 's'}.")


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
        bool, typer.Option("--keep-image", help="Keep the image round it too; the model memorizing-sam leans on that.")
    ] = False,
) -> None:
    """Remember a structure of an image under its name."""
    from .segmenters.surroundings import surroundings_of
    from .text.recalling import remember

    name = checked_name(name)
    with console.status(f"Reading {escape(image.name)}"):
        volume = read_volume(image)
        labelled = read_mask(mask, volume, value)
    box = Box.of_mask(labelled)
    with console.status(f"Remembering {escape(name)}"):
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
        if keep_image:
            Bank(default_folder()).keep(surroundings_of(volume, box, labelled[box.slices], entry.identity))
    kind = f" in {entry.modality}" if entry.modality else ""
    size = f"{entry.volume_ml:.1f} ml, {entry.size_bytes / 1000:.0f} kB"
    _say(f"{entry.title}{kind} is remembered as {entry.identity[:_SHOWN]}: {size}.")


@app.command()
def remove(digits: _Digits) -> None:
    """Forget entries of your own."""
    chosen = _chosen(digits, _own())
    for entry in chosen:
        RecallFolder(default_folder()).remove(entry.identity)
        _say(f"{entry.title} ({entry.identity[:_SHOWN]}) is forgotten.")


@app.command()
def rename(
    digits: Annotated[str, typer.Argument(metavar="ENTRY", help="First digits of the entry's identity.")],
    name: Annotated[str, typer.Argument(help="Its new name.")],
) -> None:
    """Give an entry of your own another name."""
    from .text.naming import key_of

    (entry,) = _chosen([digits], _own())
    renamed = RecallFolder(default_folder()).rename(entry.identity, name, *key_of(name))
    _say(f"{entry.title} is called {renamed.title} from now on.")


@app.command("export")
def export_(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A .zip file, or a folder.")],
    digits: Annotated[
        list[str] | None, typer.Argument(metavar="ENTRY", help="Which entries; without: all of your own.")
    ] = None,
) -> None:
    """Write entries to a file that another machine can import."""
    mine = _own()
    chosen = _chosen(digits, mine.with_(*starter().entries)) if digits else list(mine)
    if not chosen:
        raise FileError("There is nothing of your own to export; name entries that the list shows.")
    _say(f"{target}: {_counted(export(chosen, target))}")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="A .zip file or a folder that was exported.")],
) -> None:
    """Add what somebody exported; what is here already stays as it is."""
    added, problems = RecallFolder(default_folder()).import_(source)
    for sentence in problems:
        _say(sentence)
    _say(f"{_counted(len(added))} added.")


def _say(sentence: str) -> None:
    """As it is: names from elsewhere are no markup."""
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def _counted(entries: int) -> str:
    return "1 entry" if entries == 1 else f"{entries} entries"


def _own() -> RecallMemory:
    """The user's entries; what cannot be read is told."""
    memory, problems = RecallFolder(default_folder()).read()
    for sentence in problems:
        _say(sentence)
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
