"""Prompts that were drawn and wait to be run together, for each segment its own; saved with the scene."""

from __future__ import annotations

import json

from memseg.errors import MemSegError
from memseg.prompts import Prompt, from_record, to_record

from .SceneState import SceneState, SegmentKey

_PARAMETER = "Collected"


class Collected:
    """Those of segments that are gone are forgotten when the scene is read."""

    def __init__(self, scene: SceneState) -> None:
        self._scene = scene
        self._prompts: dict[SegmentKey, tuple[Prompt, ...]] = {}
        self.restore()

    def of(self, key: SegmentKey | None) -> tuple[Prompt, ...]:
        """Oldest first."""
        return self._prompts.get(key, ())

    def add(self, key: SegmentKey, prompt: Prompt) -> None:
        self._keep(key, (*self.of(key), prompt))

    def remove(self, key: SegmentKey, index: int) -> None:
        """Nothing where there is none."""
        self._keep(key, tuple(prompt for number, prompt in enumerate(self.of(key)) if number != index))

    def take(self, key: SegmentKey) -> tuple[Prompt, ...]:
        """All of them, to be run; none is left."""
        prompts = self.of(key)
        self._keep(key, ())
        return prompts

    def restore(self) -> None:
        """What the scene holds. What cannot be read is left out: it was never answered."""
        self._prompts = {}
        try:
            entries = json.loads(self._scene.parameter(_PARAMETER) or "[]")
            for ids, records in entries:
                key = SegmentKey(*map(str, ids))
                if self._scene.holds(key):
                    self._prompts[key] = tuple(from_record(record) for record in records)
        except (MemSegError, ValueError, TypeError):
            self._prompts = {}

    def _keep(self, key: SegmentKey, prompts: tuple[Prompt, ...]) -> None:
        self._prompts[key] = prompts
        entries = [
            ((key.volumeId, key.segmentationId, key.segmentId), [to_record(prompt) for prompt in held])
            for key, held in self._prompts.items()
            if held
        ]
        self._scene.setParameter(_PARAMETER, json.dumps(entries) if entries else "")
