"""What a segment is called after the words that asked for it."""

from __future__ import annotations

from .query import Add, Asked, Brightness, Command, Everything, Side, Take, Thing, Union, Without
from .terminology import Term, name_of, plural_name_of


def name_and_term(asked: Asked | Command) -> tuple[str, Term | None, Side | None]:
    """The name, and its term and side where one term says it all. "" where the words name nothing, as those of a
    command: the segment keeps what it has."""
    match asked:
        case Thing(term=None, looks=looks):
            look = next((look for look in looks if isinstance(look, Brightness)), None)
            return f"{look} structure" if look is not None else "", None, None
        case Thing(term=term, side=side, every=every):
            return (plural_name_of if every else name_of)(term, side), term, side
        case Union(parts):
            return _of_several(parts)
        case Without(of, _):
            return name_and_term(of)
        case Everything(excepted):
            rest = name_and_term(excepted)[0] if excepted is not None else ""
            return f"body without {rest}" if rest else "body", None, None
        case Add() | Take() | _:
            return "", None, None


def _of_several(parts: tuple[Asked, ...]) -> tuple[str, Term | None, Side | None]:
    named = [name_and_term(part) for part in parts]
    terms = {term.key: term for _, term, _ in named if term is not None}
    if len(terms) == 1 and all(term is not None for _, term, _ in named):
        (term,) = terms.values()
        return plural_name_of(term, None), term, None
    names = [name for name, _, _ in named if name]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names), None, None
