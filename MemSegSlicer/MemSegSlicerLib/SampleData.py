"""The bundled volumes: where they lie, and what their reference labels mean."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from memseg.errors import FileError

_FOLDER = Path(__file__).resolve().parents[1] / "Resources" / "SampleData"


@dataclass(frozen=True)
class Sample:
    """One bundled volume. labels: label map on the image's grid. values: label of each structure, by its name."""

    name: str
    image: Path
    labels: Path
    values: dict[str, int]


def abdomenCT() -> Sample:
    """Abdomen and pelvis, CT. Raises FileError where the installation lacks it."""
    description = _FOLDER / "AbdomenCT.json"
    try:
        content = json.loads(description.read_text(encoding="utf-8"))
        values = {segment["display_name"]: int(segment["value"]) for segment in content["segments"].values()}
        sample = Sample(content["name"], _FOLDER / content["image"], _FOLDER / content["label"], values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError("The bundled abdomen CT is missing or damaged; install MemSegSlicer again.") from error
    if not (sample.image.is_file() and sample.labels.is_file()):
        raise FileError("The bundled abdomen CT is missing; install MemSegSlicer again.")
    return sample
