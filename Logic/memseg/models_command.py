"""`memseg models`: what can segment here, and `add` and `remove` for weights that a user has downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from . import catalog, registry
from .build import check_weights
from .errors import ModelError
from .segmenters.base import ModelCard

app = typer.Typer(invoke_without_command=True)
console = Console()


@app.callback()
def models(context: typer.Context) -> None:
    """List the models, what they take, and whether they can run here; add or remove weights you have downloaded."""
    if context.invoked_subcommand is not None:
        return
    table = Table("name", "prompts", "licence", "here", "about")
    for card in (*catalog.cards(), *catalog.slice_cards()):
        default = " (default)" if card.name in (catalog.default(), catalog.default_slices()) else ""
        takes = ", ".join(sorted(card.prompts)) or "slices, to propagate"
        table.add_row(card.name + default, takes, card.licence, _here(card), card.summary)
    console.print(table)
    for card in catalog.cards():
        if card.published_at and catalog.lacks_weights(card):
            console.print(f"{card.title}: {catalog.how_to_add(card)}. {card.hardware}", highlight=False, soft_wrap=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The model's name, as the list has it.")],
    file: Annotated[Path, typer.Argument(help="The weights as its authors publish them; they stay where they are.")],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence of the weights without being asked.")
    ] = False,
) -> None:
    """Use weights you have downloaded: they are checked, and their place is remembered."""
    card = catalog.card(name)
    if card.published_at and not accept_licence:
        question = f"Its authors publish {card.title} under {card.licence} at {card.published_at}. Do you accept that?"
        if not typer.confirm(question):
            raise ModelError("The licence was not accepted, so nothing was added.")
    with console.status(f"Reading {file.name}"):
        check_weights(name, file)
        entry = registry.add(name, file, card.licence)
    console.print(f"{file.name} is added; choose it with: --model {name}", highlight=False)
    console.print(f"SHA-256 {entry.sha256}", highlight=False, soft_wrap=True)


@app.command()
def remove(name: Annotated[str, typer.Argument(help="The model's name, as the list has it.")]) -> None:
    """Forget weights you have added; the file stays where it is."""
    registry.remove(catalog.card(name).name)
    console.print(f"The weights of {name} are forgotten; the file stays.", highlight=False)


def _here(card: ModelCard) -> str:
    """Whether a model can run here, or what it needs."""
    missing = catalog.missing_packages(card)
    missing += (card.weights,) if catalog.lacks_weights(card) else ()
    return f"needs {', '.join(missing)}" if missing else "yes"
