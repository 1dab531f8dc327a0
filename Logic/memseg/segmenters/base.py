"""What turns a volume, prompts and memory into a mask: the protocol every segmenter keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from ..errors import PromptError
from ..geometry import Box
from ..memory.interaction import Interaction
from ..memory.slices import Bank
from ..prompts import Prompt
from ..volume import Volume


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights as its authors publish it.

    size_mb: millions of bytes, as published; 0 where it is not known. sha256: as published, in hexadecimal; "" where it
    is not known. url: of the file itself; "" where only the page it is offered on is known. about: what sets it apart.
    """

    name: str
    size_mb: int = 0
    sha256: str = ""
    url: str = ""
    about: str = ""

    def __post_init__(self) -> None:
        if self.sha256 and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ValueError("A SHA-256 is 64 hexadecimal digits, in lower case.")
        if self.name != self.name.strip("./") or "/" in self.name or "\\" in self.name:
            raise ValueError("A file of weights has a name without folders.")


@dataclass(frozen=True)
class ModelCard:
    """What a user should know before choosing a model.

    prompts: the kinds it takes ("click", "box", "scribble", "lasso", "mask", "text"). weights: file name, or "" where
    the method has none. needs: packages that must be installed, such as ("torch",). published_at: where its authors
    offer the weights, which a user has to bring; "" for weights that ship. size_mb: of those. hardware: what it runs
    on, in words. files: what is offered there and may be downloaded, the recommended one first. weights_of: the model
    whose weights it runs with, where it has none of its own. trained_by: the command that makes the weights, where
    nobody publishes any and a user trains them. banks: of one that follows objects from slice to slice as well as it
    answers prompts, how large slice memory is under each policy, its own policy first.
    """

    name: str
    title: str
    summary: str
    prompts: frozenset[str]
    licence: str
    source: str
    weights: str = ""
    needs: tuple[str, ...] = ()
    published_at: str = ""
    size_mb: int = 0
    hardware: str = ""
    files: tuple[WeightsFile, ...] = ()
    weights_of: str = ""
    banks: tuple[Bank, ...] = ()
    trained_by: str = ""

    @property
    def is_brought(self) -> bool:
        """Whether a user has to bring the weights, as they do not ship."""
        return bool(self.published_at or self.trained_by)


@dataclass(frozen=True, eq=False)
class Numbered:
    """A prompt with its number in the session: from 1, in order of arrival, never reused."""

    number: int
    prompt: Prompt


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a segmenter answers.

    probability: float32 crop at `box`, 0 to 1, object where above 0.5. Outside the box the mask stays as it was, so a
    segmenter that takes voxels away must let its box cover them. sparse, dense: what the interaction memory keeps of
    the newest prompt (see memory.interaction.Interaction). attention: (N,) float32, how much the answer leaned on each
    of the N entries of the memory it was given, sum 1; None from a segmenter that cannot tell, or without memory. note:
    a sentence for the user where more than an answer happened, such as a device that had to be left.
    """

    box: Box
    probability: np.ndarray
    sparse: np.ndarray
    dense: np.ndarray | None = None
    attention: np.ndarray | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.probability.shape != self.box.shape_kji:
            raise ValueError(f"The probability has shape {self.probability.shape}, its box {self.box.shape_kji}.")

    @property
    def mask(self) -> np.ndarray:
        """uint8 0/1 crop of the box's shape."""
        return (self.probability > 0.5).astype(np.uint8)


@runtime_checkable
class Segmenter(Protocol):
    """Equal arguments give equal predictions; what it makes of a volume it may cache."""

    card: ModelCard

    def predict(
        self,
        volume: Volume,
        prompts: tuple[Numbered, ...],
        mask_kji: np.ndarray,
        memory: tuple[Interaction, ...] | None,
    ) -> Prediction:
        """Answer to the newest of the prompts (the last), given all of them.

        prompts: at least one, oldest first; all fit the volume and are of kinds the card names; never a MaskPrompt last
        (the session applies that itself). mask_kji: (K, J, I) uint8 0/1, read-only, the mask before the newest prompt.
        memory: what earlier prompts left behind, oldest first, all by this model; None when memory is switched off.
        Raises MemSegError where no answer can be given. One that takes seconds says how far it is by `watching.tell`,
        and lets through what that raises.
        """
        ...


def check_takes(card: ModelCard, prompt: Prompt, others: tuple[ModelCard, ...] = ()) -> None:
    """Raise PromptError unless the model takes prompts of this kind, naming those of `others` that do."""
    if prompt.kind in card.prompts:
        return
    able = [other.name for other in others if prompt.kind in other.prompts]
    advice = (
        f"choose {' or '.join(able)}, which does" if able else "no installed model does; use another kind of prompt"
    )
    raise PromptError(f"The model '{card.name}' takes no {prompt.kind} prompts: {advice}.")
