"""Words of a text prompt, one by one, and a cursor over them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import PromptError
from .spelling import american, plain

MOST_WORDS = 80
_LONGEST_TEXT = 1000
_TOKEN = re.compile(
    r"(?P<number>(?:(?<![a-z0-9.)])[-+])?(?:\d{1,9}(?:\.\d{1,9})?|\.\d{1,9}))(?P<ordinal>(?:st|nd|rd|th)\b)?"
    r"|(?P<word>[a-z][a-z0-9]*)"
    r"|(?P<sign><=|>=|[<>,;()&+/-])"
)
_JOINED_UNITS = re.compile(r"(?<=\d)(?=(?:mm|cm|hu|ml|cc|suv|millimet|centimet)\d?[a-z]*\b)")
_QUIET = str.maketrans({**dict.fromkeys('?!:"“”„«»[]{}*#=|_~`', " "), "’": "'", "‘": "'", "–": "-", "—": "-", "−": "-"})
_SIGNS = str.maketrans({"≤": "<=", "≥": ">=", "×": "x", "μ": "u", "µ": "u", "²": "2", "³": "3", "½": ".5"})
_ORDINALS = {"st", "nd", "rd", "th"}

Value = TypeVar("Value")


@dataclass(frozen=True)
class Token:
    """word: lower-case, American spelling; a sign; or a number's digits. shown: as typed. ordinal: "2nd"."""

    word: str
    shown: str
    number: float | None = None
    ordinal: bool = False


def tokenise(words: str) -> tuple[Token, ...]:
    """PromptError where the text is empty, too long, or not of Latin letters, digits and the usual signs."""
    if len(words) > _LONGEST_TEXT:
        raise PromptError(f"The text is longer than {_LONGEST_TEXT} characters; say it in fewer words.")
    if not words.strip():
        raise PromptError("The text is empty; type what to segment, such as left kidney.")
    text = _readable(words)
    tokens = []
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            if not text[position].isspace():
                raise PromptError(
                    f"The sign {text[position]!r} means nothing here; type what to segment in words, such as left "
                    "kidney."
                )
            position += 1
            continue
        position = found.end()
        tokens.append(_token(found))
    if not tokens:
        raise PromptError("The text holds no words; type what to segment, such as left kidney.")
    if len(tokens) > MOST_WORDS:
        raise PromptError(f"The text has more than {MOST_WORDS} words; ask for one thing at a time.")
    return tuple(tokens)


def _readable(words: str) -> str:
    """Lower-case ASCII: accents and quiet signs gone, hyphens between letters made spaces."""
    text = unicodedata.normalize("NFKD", words.translate(_SIGNS).translate(_QUIET).lower()).replace("ß", "ss")
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    for letter in text:
        if ord(letter) < 128 and (letter.isprintable() or letter.isspace()):
            continue
        if letter.isspace() or unicodedata.category(letter) in ("Cf", "Cc"):
            text = text.replace(letter, " ")
        elif letter.isalpha() or unicodedata.category(letter) in ("Lo", "Lm"):
            raise PromptError("Only English and Latin names are understood; type what to segment in Latin letters.")
        else:
            raise PromptError("The text holds signs that are not words; type what to segment, such as left kidney.")
    text = re.sub(r"'s\b|(?<=s)'(?=\s|$)", "", text).replace("'", " ")
    text = re.sub(r"\b([ctl]\d{1,2})-(?=[ctl]\d{1,2}\b)", r"\1 to ", text)  # "L1-L5"
    text = re.sub(r"\b(left|right)-hand(?:ed)?\b(?! side)", r"\1", text)
    text = re.sub(r"\.(?!\d)|(?<=[a-z])\.", " ", text)
    text = re.sub(r"(?<=[a-z])-(?=[a-z0-9])|(?<=[0-9])-(?=[a-z])", " ", text)
    return _JOINED_UNITS.sub(" ", text)


def _token(found: re.Match[str]) -> Token:
    shown = found.group()
    if found["number"]:
        value = float(found["number"])
        if found["ordinal"]:
            return Token(shown, shown, value, ordinal=True)
        return Token(found["number"].lstrip("+"), shown, value)
    return Token(american(shown), shown)


class Phrases(Generic[Value]):
    """What phrases of one or more words mean. Phrases are written as people do; hyphens count as spaces."""

    def __init__(self, meanings: Mapping[Value, str] | Iterable[tuple[Value, str]]) -> None:
        """meanings: for each value, its phrases, comma-separated."""
        pairs = meanings.items() if isinstance(meanings, Mapping) else meanings
        self.phrases: dict[tuple[str, ...], Value] = {}
        self._lengths: dict[str, set[int]] = {}
        for value, phrases in pairs:
            for phrase in phrases.split(","):
                words = tuple(american(word) for word in plain(phrase).split()) or tuple(phrase.split())
                if words:
                    self.phrases[words] = value
                    self._lengths.setdefault(words[0], set()).add(len(words))

    @property
    def words(self) -> set[str]:
        return {word for phrase in self.phrases for word in phrase}

    def at(self, reader: Reader, skip: int = 0) -> tuple[Value, int] | None:
        """The longest phrase that starts `skip` words ahead, and its length; None where none does."""
        first = reader.word(skip)
        for length in sorted(self._lengths.get(first, ()), reverse=True):
            words = tuple(reader.word(skip + number) for number in range(length))
            if words in self.phrases:
                return self.phrases[words], length
        return None


class Reader:
    """A cursor over tokens. `notes` gathers sentences on what was taken for granted."""

    def __init__(self, tokens: tuple[Token, ...]) -> None:
        self.tokens = tokens
        self.position = 0
        self.notes: list[str] = []

    @property
    def at_end(self) -> bool:
        return self.position >= len(self.tokens)

    def token(self, skip: int = 0) -> Token | None:
        place = self.position + skip
        return self.tokens[place] if place < len(self.tokens) else None

    def word(self, skip: int = 0) -> str:
        """The word that many words ahead; "" beyond the end."""
        token = self.token(skip)
        return "" if token is None else token.word

    def number(self, skip: int = 0) -> float | None:
        token = self.token(skip)
        return None if token is None or token.ordinal else token.number

    def skip(self, count: int = 1) -> None:
        self.position += count

    def take(self, *phrases: str) -> bool:
        """Pass over the first of these phrases that comes next; False where none does."""
        for phrase in phrases:
            words = phrase.split()
            if all(self.word(number) == word for number, word in enumerate(words)):
                self.skip(len(words))
                return True
        return False

    def take_phrase(self, phrases: Phrases[Value]) -> Value | None:
        found = phrases.at(self)
        if found is None:
            return None
        self.skip(found[1])
        return found[0]

    def shown(self, first: int, stop: int) -> str:
        return " ".join(token.shown for token in self.tokens[first:stop])

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)
