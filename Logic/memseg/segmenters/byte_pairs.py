"""Words as the numbers CLIP knows them by (Radford et al., arXiv 2103.00020): byte-pair encoding, without a network.

The vocabulary is a list of merges, two symbols a line, of which CLIP has 48,894. It ships (clip-merges.txt.gz beside
the models, the merges of OpenAI's bpe_simple_vocab_16e6.txt.gz, MIT licence); a file of the same kind that lies beside
the weights goes first.
"""

from __future__ import annotations

import gzip
import re
import zlib
from functools import lru_cache
from pathlib import Path

from ..errors import ModelError
from ..places import resources

MERGES = 48_894
SHIPPED = resources() / "Models" / "clip-merges.txt.gz"
BESIDE = ("bpe_simple_vocab_16e6.txt.gz", "clip-merges.txt.gz", "merges.txt")
_LARGEST_BYTES = 16 * 2**20
_END = "</w>"
_PIECES = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+")


class BytePairs:
    """ids: of the 256 bytes, of the same at the end of a word, of all merges in order, then the marks of start and
    end."""

    def __init__(self, merges: tuple[tuple[str, str], ...]) -> None:
        letters = tuple(_letters().values())
        symbols = [*letters, *(letter + _END for letter in letters), *("".join(pair) for pair in merges)]
        self._ids = {symbol: number for number, symbol in enumerate(symbols)}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.start, self.end = len(symbols), len(symbols) + 1

    def __len__(self) -> int:
        return self.end + 1

    def encode(self, words: str, longest: int = 77) -> tuple[int, ...]:
        """With the marks of start and end; what is longer is cut off at the end."""
        letters, ids = _letters(), []
        for piece in _PIECES.findall(" ".join(words.lower().split())):
            spelled = [letters[byte] for byte in piece.encode("utf-8")]
            spelled[-1] += _END
            ids += [self._ids[symbol] for symbol in self._merged(spelled)]
        return (self.start, *ids[: longest - 2], self.end)

    def _merged(self, symbols: list[str]) -> list[str]:
        """The pair that was merged first in the list is merged first here, wherever it stands, until none is left."""
        while len(symbols) > 1:
            pairs = set(zip(symbols, symbols[1:]))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, MERGES))
            if best not in self._ranks:
                break
            joined, place = [], 0
            while place < len(symbols):
                both = place + 1 < len(symbols) and (symbols[place], symbols[place + 1]) == best
                joined.append("".join(best) if both else symbols[place])
                place += 2 if both else 1
            symbols = joined
        return symbols


def vocabulary_for(weights: Path) -> BytePairs:
    """The one beside the weights, or the one that ships. Raises ModelError where there is none or it is damaged."""
    beside = (weights.with_name(name) for name in BESIDE)
    return read(next((path for path in beside if path.is_file()), SHIPPED))


@lru_cache(maxsize=2)
def read(path: Path) -> BytePairs:
    """Of a list of merges, packed or not, a first line that tells the version or not. Raises ModelError."""
    advice = f"put {BESIDE[0]} of github.com/openai/CLIP beside the weights"
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            text = file.read(_LARGEST_BYTES).decode("utf-8")
    except FileNotFoundError as error:
        raise ModelError(f"The list of word pieces {path.name} is missing; {advice}.") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ModelError(f"The list of word pieces {path.name} is damaged; {advice}.") from error
    lines = text.split("\n")
    lines = lines[1:] if "#version" in lines[0] else lines
    pairs = tuple(tuple(line.split()) for line in lines[:MERGES])
    if len(pairs) < MERGES or any(len(pair) != 2 for pair in pairs):
        raise ModelError(f"{path.name} is not CLIP's list of word pieces, or it is cut short; {advice}.")
    return BytePairs(pairs)


@lru_cache(maxsize=1)
def _letters() -> dict[int, str]:
    """A printing letter for each byte, those that print by themselves first: so the vocabulary is numbered."""
    printing = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printing]
    letters = {byte: chr(byte) for byte in printing}
    return {**letters, **{byte: chr(256 + place) for place, byte in enumerate(others)}}
