"""What is compared: models and peers by name, each perhaps with a changed memory, such as `nano:off` or `nano:10`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from .. import catalog, registry
from ..build import build, build_random
from ..errors import ModelError
from ..memory.interaction import CAPACITY
from ..segmenters.base import ModelCard, Segmenter

PEER_GROUP = "memseg.peers"
KINDS = ("sparse", "dense", "both")
RANDOM = "random"
_SPELLINGS = "NAME:off, NAME:on, NAME:10 (a memory of 10 entries), NAME:sparse, NAME:dense, NAME:both or NAME:random"
_EXTRAS = {"skimage": "evaluation"}  # by the package that is missing; Slicer's libraries come with the browser


@dataclass(frozen=True)
class Method:
    """One way to segment. reads: the kinds of memories it reads, one of KINDS. random: with weights drawn by chance."""

    name: str
    segmenter: Segmenter
    memory: bool = True
    capacity: int = CAPACITY
    reads: str = "both"
    random: bool = False

    def record(self) -> dict[str, Any]:
        """What says whether two methods measured at different times are the same, weights included."""
        return {
            "name": self.name,
            "memory": self.memory,
            "capacity": self.capacity,
            "reads": self.reads,
            "weights_sha256": RANDOM if self.random else weights_digest(self.segmenter.card),
        }

    @property
    def note(self) -> str:
        """What a reader of its figures has to know of its weights, a sentence; "" where they ship."""
        return note_on_weights(self.name, self.segmenter.card, self.random)


def weights_digest(card: ModelCard) -> str | None:
    """SHA-256 of the weights; None for a model without any."""
    weights = catalog.weights_path(card) if card.weights else None
    return registry.digest(weights) if weights and weights.is_file() else None


def note_on_weights(name: str, card: ModelCard, random: bool) -> str:
    """See Method.note."""
    if random:
        return f"{name} has weights drawn by chance: its times are those of {card.title}, its scores mean nothing."
    if not card.is_brought:
        return ""
    whose = catalog.owner(card)
    digest = weights_digest(card) or "unknown"
    published = {file.sha256: file.name for file in whose.files if file.sha256}
    if digest in published:
        return f"{name} has the weights its authors publish as {published[digest]}."
    known = "; whether its authors publish them is not known" if whose.published_at else ""
    return f"{name} has weights that a user brought, SHA-256 {digest}{known}."


def method_of(spelling: str, device: str = "auto", memory: bool = True) -> Method:
    """The method so spelled. memory: whether one that says nothing of it remembers. Raises ModelError."""
    name, *words = spelling.split(":")
    settings: dict[str, Any] = {"memory": memory, "capacity": CAPACITY, "reads": "both", "random": False}
    for word in words:
        settings |= _setting(word, spelling)
    if not words:
        return Method(spelling, peer(name, device), **settings)
    if name in peer_names():
        raise ModelError(f"The peer '{name}' has no memory that '{spelling}' could change; write {name} alone.")
    made = build_random(name, device) if settings["random"] else _built(name, device, settings["reads"])
    return Method(spelling, made, **settings)


def methods_of(spellings: tuple[str, ...], device: str = "auto", memory: bool = True) -> tuple[Method, ...]:
    """One method for each, in their order. Raises ModelError, also where two are spelled alike."""
    check_each_once(spellings)
    return tuple(method_of(spelling, device, memory) for spelling in spellings)


def check_each_once(spellings: tuple[str, ...]) -> None:
    """Raise ModelError where two are spelled alike."""
    if twice := [each for place, each in enumerate(spellings) if each in spellings[:place]]:
        raise ModelError(f"'{twice[0]}' is asked for twice; name every model and peer once.")


def _setting(word: str, spelling: str) -> dict[str, Any]:
    """What one word after the name changes; a memory whose size or kinds are given is switched on."""
    if word in ("on", "off"):
        return {"memory": word == "on"}
    if word == RANDOM:
        return {"random": True}
    if word in KINDS:
        return {"memory": True, "reads": word}
    if word.isascii() and word.isdigit() and int(word) > 0:
        return {"memory": True, "capacity": int(word)}
    raise ModelError(f"'{spelling}' is no way to write a model; write {_SPELLINGS}.")


def _built(name: str, device: str, reads: str = "both") -> Segmenter:
    return build(name, device) if reads == "both" else build(name, device, reads=reads)


def peer_names() -> tuple[str, ...]:
    """The peers that are no models: names of the entry-point group "memseg.peers"."""
    return tuple(entry.name for entry in entry_points(group=PEER_GROUP))


def peer(name: str, device: str = "auto") -> Segmenter:
    """A method to compare with: an installed peer of that name, or else a model. Raises ModelError."""
    return installed_peer(name, PEER_GROUP) or _built(name, device)


def installed_peer(name: str, group: str) -> Any | None:
    """What an entry point of that name makes; None where the group has none. Raises ModelError where it cannot."""
    for entry in entry_points(group=group):
        if entry.name == name:
            try:
                return entry.load()()
            except ImportError as error:
                extra = _EXTRAS.get((error.name or "").split(".")[0], "browser")
                raise ModelError(
                    f"The peer '{name}' needs packages that are not here; "
                    f"install them with: pip install 'memsegslicer[{extra}]'."
                ) from error
    return None
