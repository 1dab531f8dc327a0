"""BiomedParse v2 (Zhao et al., Nature Methods 2024; BoltzFormer): words and a slice in, a mask out; in our own words.

A slice is seen as three channels: itself, the slice before and the slice after. It is encoded once (`encode`), which
takes most of the time; every question about it is then answered from that (`answer`). The names of the parameters are
those of the published file (1,050), which loads strictly.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .boltzmann_decoder import BoltzmannDecoder, Decoded, DecoderConfig, Informing, Sampling
from .focalnet import FocalConfig, FocalNet
from .pixel_decoder import PixelConfig, PixelDecoder
from .text_encoder import TextConfig

_MEAN, _SPREAD = 114.495, 57.63  # ImageNet's, the mean of its three channels


@dataclass(frozen=True)
class BiomedParseConfig:
    """edge: of a slice, in pixels, a multiple of 32."""

    backbone: FocalConfig = field(default_factory=FocalConfig)
    pixels: PixelConfig = field(default_factory=PixelConfig)
    text: TextConfig = field(default_factory=TextConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    edge: int = 512

    def __post_init__(self) -> None:
        if self.edge % 32 or len({self.pixels.width, self.text.width, self.decoder.width}) > 1:
            raise ValueError("The edge is a multiple of 32, and maps, words and queries have one width.")

    @property
    def cells(self) -> int:
        """Along an edge of the mask's logits."""
        return self.edge // 4


@dataclass(frozen=True)
class SliceMaps:
    """What a slice is to the decoder: mask_features (B, D, h, w) at stride 4, levels (B, D, ...) at 32, 16 and 8."""

    mask_features: Tensor
    levels: tuple[Tensor, ...]

    @property
    def parts(self) -> tuple[Tensor, ...]:
        return (self.mask_features, *self.levels)

    @classmethod
    def of(cls, parts: tuple[Tensor, ...]) -> SliceMaps:
        return cls(parts[0], tuple(parts[1:]))


class Head(nn.Module):
    """Only a name under which two parts stand in the published file."""

    def __init__(self, config: BiomedParseConfig) -> None:
        super().__init__()
        self.pixel_decoder = PixelDecoder(config.backbone.widths, config.pixels)
        self.predictor = BoltzmannDecoder(config.decoder, config.text)


class BiomedParse(nn.Module):
    """See the module."""

    def __init__(self, config: BiomedParseConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = FocalNet(config.backbone)
        self.sem_seg_head = Head(config)
        for name, value in constants().items():
            self.register_buffer(name, value)

    def words(self, ids: Tensor) -> Tensor:
        """(B, T) ids with their marks of start and end -> (B, T, D)."""
        return self.sem_seg_head.predictor.language_encoder(ids)

    def encode(self, slices: Tensor) -> SliceMaps:
        """(B, 3, edge, edge) of 0 to 255: the slice, the one before, the one after."""
        normed = (slices - self.pixel_mean.mean()) / self.pixel_std.mean()
        return SliceMaps(*self.sem_seg_head.pixel_decoder(self.backbone(normed)))

    def answer(self, maps: SliceMaps, words: Tensor, sampling: Sampling, informing: Informing | None = None) -> Decoded:
        """words (1 or B, T, D). informing: see BoltzmannDecoder."""
        words = words.expand(len(maps.mask_features), -1, -1)
        return self.sem_seg_head.predictor(maps.mask_features, maps.levels, words, sampling, informing)


def constants() -> dict[str, Tensor]:
    """What stands in the published file without having been learned, by name."""
    return {"pixel_mean": torch.full((1, 3, 1, 1), _MEAN), "pixel_std": torch.full((1, 3, 1, 1), _SPREAD)}


def neighbours(number: int, count: int) -> tuple[int, int, int]:
    """The slices that one of `count` is seen as: itself, the one before, the one after. At an end the other neighbour
    stands for the one that is missing, and a slice alone for both."""
    last = count - 1
    before = number - 1 if number > 0 else min(1, last)
    after = number + 1 if number < last else max(last - 1, 0)
    return number, before, after


def with_neighbours(slices: Tensor) -> Tensor:
    """(N, h, w) slices in order -> (N, 3, h, w); see `neighbours`."""
    return slices[torch.tensor([neighbours(number, len(slices)) for number in range(len(slices))])]
