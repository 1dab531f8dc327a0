"""One first guess: a trained model goes over a volume, and each structure it finds becomes a session. For the worker;
no MRML in here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from memseg.automatic.collecting import listed
from memseg.errors import MemSegError, ModelError
from memseg.prompts import MaskPrompt
from memseg.session import Session
from memseg.volume import MaskChange

from .Images import Image
from .PromptRows import FIRST_GUESS
from .SessionJob import Act, Outcome, SessionJob

_MEGABYTE = 2**20
_NO_TORCH = "A trained model needs PyTorch and safetensors, which are not here; install them under Model first."


@dataclass(frozen=True)
class Advanced:
    """done windows, of so many. need: what it will take, a sentence, the first time only."""

    done: int
    of: int
    need: str = ""


class FirstGuess:
    """jobFor: makes the job of a session that no segment has yet. After the last step: found, by name; missing: what
    the model knows and did not find; note: what happened to the device, or ""."""

    def __init__(self, image: Image, model: Path, device: str, jobFor: Callable[[Act], SessionJob]) -> None:
        self.image = image
        self.found: dict[str, Outcome] = {}
        self.missing: tuple[str, ...] = ()
        self.note = ""
        self._model = model
        self._device = device
        self._jobFor = jobFor
        self._steps = self._go()

    def step(self) -> Advanced | None:
        """A window, or a session made; None when all is done. Raises MemSegError."""
        return next(self._steps, None)

    def end(self) -> None:
        """Let everything go."""
        self._steps.close()
        self.found = {}

    def _go(self) -> Iterator[Advanced]:
        volume = self.image.volume()
        try:
            from memseg.automatic.model import AutoModel
        except ImportError as error:
            raise ModelError(_NO_TORCH) from error
        model = AutoModel.load(self._model, self._device)
        need = model.need(volume)
        words = f"this takes about {max(1, round(need.bytes / _MEGABYTE)):,} MB of memory beside the image"
        yield Advanced(0, need.windows, f"{need.windows} windows to look at; {words}.")
        crops = {}
        for advance in model.propose(volume):
            crops = advance.crops or {}
            yield Advanced(advance.done, advance.of)
        self.note = model.take_note()
        self.missing = tuple(name for name in model.plan.names if name not in crops)
        if not crops:
            raise ModelError(
                f"Nothing was found of {listed(self.missing)}, and nothing was changed; train the model longer, or on "
                "images like this one."
            )
        for name, (box, values) in crops.items():
            prompt = MaskPrompt(volume.shape_kji, box, values, FIRST_GUESS)
            outcome = self._jobFor(partial(_begin, prompt))()
            if outcome.error is not None:
                raise outcome.error
            self.found[name] = outcome
            yield Advanced(need.windows, need.windows)


def _begin(prompt: MaskPrompt, session: Session) -> MaskChange:
    return session.add(prompt)


def sentence(error: Exception, unexpected: str) -> str:
    """What to tell the user."""
    if isinstance(error, MemSegError):
        return str(error)
    if isinstance(error, MemoryError):
        return "There is not enough memory for this image, and nothing was changed; close other programs, or crop it."
    return unexpected
