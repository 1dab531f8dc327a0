"""`memseg models`: what can segment here; `get`, `add`, `remove` and `purge` for weights that their authors publish."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from . import catalog, downloads, registry
from .build import check_weights
from .downloads import Kept
from .errors import ModelError
from .fetching import Arrived, Progress
from .segmenters.base import ModelCard

app = typer.Typer(invoke_without_command=True)
console = Console()
_Name = Annotated[str, typer.Argument(help="The model's name, as the list has it.")]
_Yes = Annotated[
    bool, typer.Option("--yes", "-y", "--accept-licence", help="Accept the licence of the weights without being asked.")
]


@app.callback()
def models(context: typer.Context) -> None:
    """List the models, what they take, and whether they can run here; get, add or remove published weights."""
    if context.invoked_subcommand is None:
        list_()


@app.command("list")
def list_() -> None:
    """The same list."""
    table = Table("name", "prompts", "licence", "here", "about")
    known = list(dict.fromkeys((*catalog.cards(), *catalog.slice_cards())))
    for card in known:
        default = " (default)" if card.name in (catalog.default(), catalog.default_slices()) else ""
        takes = ", ".join(sorted(card.prompts)) or "slices, to propagate"
        table.add_row(card.name + default, takes, card.licence, _here(card), card.summary)
    console.print(table)
    for card in known:
        if card.is_brought and catalog.lacks_weights(card):
            _say(f"{card.title}: {catalog.how_to_get(card)}. {card.hardware}")


@app.command()
def show(name: _Name) -> None:
    """All that is known of a model: where it is from, its licence, its files with size and SHA-256, what it needs."""
    card = catalog.any_card(name)
    whose = catalog.owner(card)
    rows = {
        "name": card.name,
        "good for": card.summary,
        "takes": ", ".join(sorted(card.prompts)) or "slices, to propagate",
        "from": card.source,
        "licence": card.licence + (" (to be accepted before use)" if catalog.needs_a_yes(card) else ""),
        "published at": card.published_at or _origin(card),
        "runs on": card.hardware,
        "here": _here(card),
    }
    if entry := registry.registered().get(whose.name):
        rows |= {"file here": entry.path, "its SHA-256": entry.sha256, "added": entry.accepted}
    table = Table(title=card.title, show_header=False, box=None, title_justify="left")
    for title, words in rows.items():
        if words:
            table.add_row(title, words)
    console.print(table)
    for file in whose.files:
        size = f"{file.size_mb} MB" if file.size_mb else "size not known"
        _say(f"{file.name}: {size}, SHA-256 {file.sha256 or 'not known'}. {file.about}".rstrip())


@app.command()
def get(
    name: _Name,
    file: Annotated[str | None, typer.Option(help="Which of its files; without: the one recommended.")] = None,
    yes: _Yes = False,
) -> None:
    """Download weights from where their authors publish them, check them, and let the model run with them.

    What is stopped goes on where it stopped the next time.
    """
    card = catalog.owner(catalog.any_card(name))
    chosen = downloads.file_of(card, file)
    _accept(card, yes)
    try:
        arrived = _shown(downloads.download(card, chosen), chosen.name)
    except KeyboardInterrupt:
        _say(f"What has arrived of {chosen.name} is kept; the same command goes on from there.")
        raise
    with console.status(f"Reading {chosen.name}"):
        entry = downloads.register(card, chosen, arrived)
    checked = "is the one published" if arrived.checked else "nothing is known to compare with"
    _say(f"{chosen.name} is here; choose it with: --model {name}")
    _say(f"SHA-256 {entry.sha256}, which {checked}.")


@app.command()
def add(
    name: _Name,
    file: Annotated[Path, typer.Argument(help="The weights as its authors publish them; they stay where they are.")],
    yes: _Yes = False,
) -> None:
    """Use weights you have downloaded: they are checked, and their place is remembered."""
    card = catalog.any_card(name)
    if card.published_at and not card.weights_of:
        _accept(card, yes)
    with console.status(f"Reading {file.name}"):
        check_weights(name, file)
        entry = registry.add(name, file, card.licence)
    published = {each.sha256: each.name for each in card.files if each.sha256}
    known = f", that of {published[entry.sha256]} as published" if entry.sha256 in published else ""
    _say(f"{file.name} is added; choose it with: --model {name}")
    _say(f"SHA-256 {entry.sha256}{known}.")


@app.command()
def remove(name: _Name) -> None:
    """Forget the weights of a model; the file stays where it is."""
    card = catalog.any_card(name)
    registry.remove(card.name)
    _say(f"The weights of {card.name} are forgotten; the file stays.")
    if any(file.model == card.name for file in downloads.kept()):
        _say(f"To delete what was downloaded: memseg models purge {card.name}")


@app.command()
def purge(
    names: Annotated[list[str] | None, typer.Argument(help="Models; without: you are asked.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Only downloads that were never finished.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="All that was downloaded.")] = False,
) -> None:
    """Look at what was downloaded, and delete what you choose. Files you have added from elsewhere are left alone."""
    there = [file for file in downloads.kept() if not (partial and file.whole)]
    if not there:
        _say("No download was left unfinished." if partial else "Nothing was downloaded.")
        return
    if names or everything or partial:
        chosen = _of_models(names, there) if names else there
    else:
        chosen = _asked_for(there)
    for file in chosen:
        downloads.delete(file)
        _say(f"{file.path.name} of {file.model} is deleted ({_size(file)}).")
    if not chosen:
        _say("Nothing was deleted.")


def _origin(card: ModelCard) -> str:
    """Where weights come from that nobody publishes."""
    if card.trained_by:
        return f"nowhere; trained with: {card.trained_by}"
    return "ships with the program" if card.weights else ""


# -- asking ------------------------------------------------------------------------------------------------------------


def _accept(card: ModelCard, yes: bool) -> None:
    """Say the licence of weights; raise ModelError unless one that does not allow everything is accepted."""
    _say(f"The weights of {card.title} are published under {card.licence} at {card.published_at}.")
    if not catalog.needs_a_yes(card) or yes:
        return
    if not _somebody_is_there():
        raise ModelError(
            "That licence has to be accepted, and there is nobody here to ask; read it, then run the command again "
            "with --yes."
        )
    if _answer("Have you read it, and do you accept it? Type yes: ").lower() not in ("yes", "y"):
        raise ModelError("The licence was not accepted, so nothing was done.")


def _asked_for(there: list[Kept]) -> list[Kept]:
    table = Table("", "model", "file", "size", "state")
    for number, file in enumerate(there, start=1):
        state = "in use" if file.in_use else "not in use" if file.whole else "unfinished"
        table.add_row(str(number), file.model, file.path.name, _size(file), state)
    console.print(table)
    if not _somebody_is_there():
        raise ModelError("Nothing is deleted unasked; name models, or give --partial or --all.")
    words = _answer("Numbers to delete, or all; nothing keeps everything: ").replace(",", " ").split()
    if words == ["all"]:
        return there
    if not all(word.isascii() and word.isdigit() and 1 <= int(word) <= len(there) for word in words):
        raise ModelError("That is none of the numbers in the list, so nothing was deleted.")
    return [there[number - 1] for number in sorted({int(word) for word in words})]


def _of_models(names: list[str], there: list[Kept]) -> list[Kept]:
    """Raises ModelError where nothing was downloaded for one of them."""
    if unknown := [name for name in names if name not in {file.model for file in there}]:
        raise ModelError(f"Nothing was downloaded for '{unknown[0]}'; see what there is with: memseg models purge")
    return [file for file in there if file.model in names]


def _answer(question: str) -> str:
    try:
        return console.input(question).strip()
    except EOFError:
        return ""


def _somebody_is_there() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


# -- showing -----------------------------------------------------------------------------------------------------------


def _shown(steps: Generator[Progress, None, Arrived], title: str) -> Arrived:
    """What a download ends with, its progress shown meanwhile."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value
            bar.update(task, completed=step.done, total=step.total)


def _here(card: ModelCard) -> str:
    """Whether a model can run here, or what it needs."""
    missing = catalog.missing_packages(card)
    missing += (card.weights,) if catalog.lacks_weights(card) else ()
    return f"needs {', '.join(missing)}" if missing else "yes"


def _size(file: Kept) -> str:
    return f"{file.size_bytes / 1e6:.1f} MB"


def _say(words: str) -> None:
    console.print(words, markup=False, highlight=False, soft_wrap=True)
