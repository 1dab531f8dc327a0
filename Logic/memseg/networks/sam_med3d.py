"""SAM-Med3D (Wang et al., arXiv 2310.15161): a promptable 3D network with published weights, in our own words.

The names of the parameters are those of the published files (324, and 326 with box corners), which load strictly. The
image of a cube of 128^3 samples of 1.5 mm is encoded once (`encode`); each prompt is then answered from that, the
points and the logits of the answer before (`answer`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .sam_decoder import DecoderConfig, MaskDecoder
from .sam_encoder import EncoderConfig, ImageEncoder
from .sam_prompts import PromptEncoder

SPACING_MM = 1.5  # of the samples the published weights were trained on


@dataclass(frozen=True)
class SamConfig:
    """boxes: whether the weights know box corners. spacing_mm: between the samples they are shown. swapped: whether the
    places of the image's cells have their first two axes swapped, as the published weights were trained with. clip: the
    largest magnitude of a sample that is told from others; None, as published, for any."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    boxes: bool = False
    spacing_mm: float = SPACING_MM
    swapped: bool = True
    clip: float | None = None

    @property
    def edge(self) -> int:
        """Samples along the image."""
        return self.encoder.edge

    @property
    def cells(self) -> int:
        """Along an edge of the logits."""
        return 4 * self.encoder.grid


@dataclass(frozen=True)
class SamAnswer:
    """logits (B, 1, cells^3); sparse (B, P, D) and dense (B, D, g, g, g), what the prompt encoder made of points and
    mask; iou (B, 1), whose head was never trained."""

    logits: Tensor
    sparse: Tensor
    dense: Tensor
    iou: Tensor


class SamMed3D(nn.Module):
    """See the module. The image encoder may be another one of the same size of output, as in FastSAM3D."""

    def __init__(self, config: SamConfig, image_encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        shape = config.encoder
        self.image_encoder = image_encoder or ImageEncoder(shape)
        self.prompt_encoder = PromptEncoder(shape.out, shape.edge, shape.grid, config.boxes, config.swapped)
        self.mask_decoder = MaskDecoder(shape.out, config.decoder)

    def encode(self, image: Tensor) -> Tensor:
        """(B, 1, edge^3) -> (B, D, g, g, g)."""
        clip = self.config.clip
        return self.image_encoder(image if clip is None else image.clamp(-clip, clip))

    def answer(self, embedding: Tensor, points: Tensor | None, kinds: Tensor | None, mask: Tensor) -> SamAnswer:
        """embedding (B, D, g, g, g); points (B, P, 3) in samples and kinds (B, P) of sam_prompts, or None where only
        the mask speaks; mask (B, 1, cells^3) the logits before, zeros at first.

        Points without a box are closed by a token that says so.
        """
        prompts = self.prompt_encoder
        if points is None or kinds is None:
            sparse = given = prompts.none(len(embedding))
        else:
            sparse = prompts.sparse(points, kinds)
            given = sparse if bool((kinds > 1).any()) else prompts.closed(sparse)
        dense = prompts.dense(mask)
        logits, iou = self.mask_decoder(embedding + dense, prompts.positions(), given)
        return SamAnswer(logits, sparse, dense, iou)


def count_parameters(network: nn.Module) -> int:
    """Of parameters alone, not of buffers."""
    return sum(parameter.numel() for parameter in network.parameters())


def nothing_before(config: SamConfig, batch: int = 1) -> Tensor:
    """(B, 1, cells^3) zeros: the mask an object begins with."""
    return torch.zeros(batch, 1, config.cells, config.cells, config.cells)
