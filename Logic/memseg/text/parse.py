"""What a typed sentence asks for: free text to a Query.

Words are read one by one against tables (wording, command_words) and the names of structures (terminology): first a
command, then things and their combinations. What is not a word of either is taken for a slip of the keyboard where one
word is near enough, and refused otherwise. Nothing is guessed silently: each liberty becomes one of the query's notes.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from . import command_words, parse_amounts, terminology, wording
from .parse_commands import CommandReader
from .parse_names import Remembered
from .parse_things import ThingReader, not_understood
from .query import Asked, Command, Query
from .spelling import american, nearest, plain, plural_of
from .terminology import Named, Term
from .tokens import Phrases, Reader, Token, tokenise
from .unspelled import ORDINARY


def parse(words: str, remembered: Iterable[str] = ()) -> Query:
    """The typed words understood. remembered: names known besides those of `terminology`. PromptError, a sentence that
    says what to do, where they cannot be."""
    names = _remembered(remembered)
    reader = Reader(tokenise(words))
    reader.tokens = _spelled(reader, names)
    things = ThingReader(reader, names)
    asked = _whole(reader, things)
    return Query(" ".join(words.split()), asked, tuple(reader.notes))


def _whole(reader: Reader, things: ThingReader) -> Asked | Command:
    commands = CommandReader(things)
    _skip_openings(reader)
    command = commands.command()
    asked = command if command is not None else commands.too(things.asked())
    while reader.take_phrase(wording.SCAN_PLACES) or reader.take(",") or reader.take(";"):
        pass
    token = reader.token()
    if token is not None:
        raise not_understood(token)
    return asked


def _skip_openings(reader: Reader) -> None:
    while (found := wording.OPENINGS.at(reader)) and reader.word(found[1]):
        if (command := command_words.REMOVE.at(reader)) and command[1] > found[1]:
            return  # "get rid of"
        reader.skip(found[1])
        while reader.take(",") or reader.take(";"):
            pass


def _remembered(names: Iterable[str]) -> Remembered:
    """Names of the user's own, which go before the table's where they are not the same."""
    found: dict[str, Named] = {}
    for name in names:
        words = " ".join(american(word) for word in plain(name).split())
        if words and terminology.lookup(words) is None:
            key = "_".join(words.split())
            found[words] = Named(Term(key, " ".join(name.lower().replace("_", " ").split()), "region"))
    return found


# -- spelling --------------------------------------------------------------------------------------------------------


def _spelled(reader: Reader, names: Remembered) -> tuple[Token, ...]:
    own = {word for name in names for word in name.split()}
    return tuple(each for token in reader.tokens for each in _spelled_token(reader, token, own))


def _spelled_token(reader: Reader, token: Token, own: set[str]) -> tuple[Token, ...]:
    word = token.word
    if token.number is not None or not word[0].isalpha() or word in _vocabulary() or word in own:
        return (token,)
    for place in range(3, len(word) - 2):  # "leftkidney"
        parts = (word[:place], word[place:])
        if all(len(part) > 3 and part in _vocabulary() for part in parts):
            reader.note(f"'{token.shown}' was read as {' '.join(parts)}.")
            return tuple(Token(part, part) for part in parts)
    if word in ORDINARY:
        return (token,)
    meant = nearest(word, _long_words()) or nearest(word, [(each, 0) for each in own])
    if meant is None:
        return (token,)
    reader.note(f"'{token.shown}' was read as {meant}.")
    return (Token(meant, token.shown),)


@cache
def _vocabulary() -> frozenset[str]:
    """Every word that means something here."""
    tables = [table for table in vars(wording).values() if isinstance(table, Phrases)]
    words = {word for phrase in terminology.phrases() for word in phrase.split()}
    words.update(*(table.words for table in tables), wording.ARTICLES, parse_amounts.WORDS, command_words.WORDS)
    words.update(wording.BELONGING_NOUNS, ("than", "among", "amongst", "between", "and", "or"))
    return frozenset(words)


@cache
def _long_words() -> tuple[tuple[str, int], ...]:
    """Those a slip can be told from, with rank 0, and 1 for words of synonyms only."""
    names = {word for each in terminology.TERMS for word in plain(f"{each.name} {each.plural}").split()}
    synonyms = {
        american(word) for each in terminology.TERMS for phrase in each.synonyms for word in plain(phrase).split()
    }
    tables = [table for table in vars(wording).values() if isinstance(table, Phrases)]
    names.update(*(table.words for table in tables), parse_amounts.WORDS, command_words.WORDS)
    words = names | synonyms | {plural_of(word) for word in names & set(terminology.phrases())}
    return tuple(sorted((word, int(word not in names)) for word in words if len(word) > 3))
