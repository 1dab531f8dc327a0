"""From the published files to the networks of SAM-Med3D and FastSAM3D."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from .. import catalog
from ..errors import ModelError
from ..networks.fastsam3d import StudentConfig, StudentEncoder
from ..networks.sam_encoder import EncoderConfig
from ..networks.sam_med3d import SamConfig, SamMed3D
from . import published_weights, sam_files, weights

_BOXES = "prompt_encoder.point_embeddings.2.weight"  # only files that know box corners have it
_ENCODER, _REST = "image_encoder.", ("prompt_encoder.", "mask_decoder.")


def load_sam_med3d(path: Path, encoder: EncoderConfig | None = None) -> SamMed3D:
    """With box corners where the file knows them; a file of `memseg train sam-med3d` says its size itself. encoder: the
    size of another file, for tests. Raises ModelError."""
    if weights.model_of(path) == sam_files.SAM:
        return sam_files.load_sam(path)
    card = catalog.card("sam-med3d")
    tensors = published_weights.read(path, card)
    config = SamConfig(encoder or EncoderConfig(), boxes=_BOXES in tensors)
    return published_weights.fitted(lambda: SamMed3D(config), tensors, path, card)


def load_fastsam3d(
    path: Path, teacher: Path | None, student: StudentConfig | None = None, encoder: EncoderConfig | None = None
) -> SamMed3D:
    """A file may be the whole model, or the student's image encoder alone, which goes with the prompt encoder and the
    decoder of SAM-Med3D's file `teacher`; None where there is none. encoder: the teacher's size. Raises ModelError."""
    card = catalog.card("fastsam3d")
    tensors = published_weights.read(path, card)
    student = student or StudentConfig()
    whole = _starting(tensors, _REST)
    if not whole:
        if teacher is None:
            raise ModelError(
                f"{path.name} holds the image encoder of FastSAM3D alone, and the rest is SAM-Med3D's; "
                "add that too: memseg models add sam-med3d FILE."
            )
        taught = load_sam_med3d(teacher, encoder)
        taught.image_encoder = _encoder_of(tensors, path, student)
        return taught
    config = SamConfig(encoder or EncoderConfig(), boxes=_BOXES in tensors)
    return published_weights.fitted(lambda: SamMed3D(config, StudentEncoder(student)), tensors, path, card)


def _encoder_of(tensors: dict[str, Tensor], path: Path, student: StudentConfig) -> nn.Module:
    if all(name.startswith(_ENCODER) for name in tensors):
        tensors = {name.removeprefix(_ENCODER): value for name, value in tensors.items()}
    return published_weights.fitted(lambda: StudentEncoder(student), tensors, path, catalog.card("fastsam3d"))


def _starting(tensors: Mapping[str, Tensor], starts: tuple[str, ...]) -> bool:
    return any(name.startswith(starts) for name in tensors)
