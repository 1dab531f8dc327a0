"""The residual-encoder U-Net of nnU-Net, and what "Taming Mambas" (Lumetti et al., arXiv 2410.15496) puts into it.

SegMamba, BiSegMamba (PanSegMamba in the published code), MultiSegMamba and SegMambaSkip differ in what stands after
each stage of the encoder, and whether the next stage sees it. Names of parameters are those of the published
checkpoints, which name some of them twice (see `without_repeats`). Shapes: (B, C, H, W, D), sides divisible by the
product of the strides.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .mamba import MambaLayer, MultiMambaTrans

VARIANTS = ("unet", "segmamba", "bisegmamba", "multisegmamba", "segmambaskip")
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class AutoConfig:
    """variant: one of VARIANTS. channels, kernels, strides, blocks: one per stage of the encoder; the first stride is
    (1, 1, 1). decoder_blocks: one per stage of the decoder, which has one fewer. classes: with the background."""

    variant: str = "segmamba"
    inputs: int = 1
    classes: int = 2
    channels: tuple[int, ...] = (32, 64, 128, 256, 320, 320)
    kernels: tuple[Triple, ...] = ((3, 3, 3),) * 6
    strides: tuple[Triple, ...] = ((1, 1, 1),) + ((2, 2, 2),) * 5
    blocks: tuple[int, ...] = (2,) * 6
    decoder_blocks: tuple[int, ...] = (2,) * 5

    def __post_init__(self) -> None:
        stages = len(self.channels)
        if self.variant not in VARIANTS:
            raise ValueError(f"The networks are {', '.join(VARIANTS)}; '{self.variant}' is none of them.")
        if stages < 2 or not len(self.kernels) == len(self.strides) == len(self.blocks) == stages:
            raise ValueError(
                "Channels, kernels, strides and blocks are given for each stage, of which there are two at least."
            )
        if len(self.decoder_blocks) != stages - 1:
            raise ValueError("The decoder has one stage fewer than the encoder.")
        if min(self.inputs, *self.channels, *self.blocks, *self.decoder_blocks) < 1 or self.classes < 2:
            raise ValueError("Channels and blocks are at least 1, classes at least 2.")

    @property
    def divisor(self) -> Triple:
        """What an image's sides have to be divisible by."""
        product = [1, 1, 1]
        for stride in self.strides:
            product = [one * step for one, step in zip(product, stride)]
        return tuple(product)


class ConvNorm(nn.Module):
    """Convolution, instance normalisation and, unless told otherwise, a leaky ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Triple,
        stride: Triple = (1, 1, 1),
        bias: bool = True,
        bends: bool = True,
    ) -> None:
        super().__init__()
        padding = tuple(side // 2 for side in kernel)
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=bias)
        self.norm = nn.InstanceNorm3d(outputs, eps=1e-5, affine=True)
        self._bends = bends

    def forward(self, voxels: Tensor) -> Tensor:
        voxels = self.norm(self.conv(voxels))
        return functional.leaky_relu(voxels) if self._bends else voxels


class ResidualBlock(nn.Module):
    """Two convolutions, added to what came in: averaged over the stride, and mixed by a 1^3 convolution where the
    number of channels changes."""

    def __init__(self, inputs: int, outputs: int, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs, kernel, stride)
        self.conv2 = ConvNorm(outputs, outputs, kernel, bends=False)
        steps: list[nn.Module] = [nn.AvgPool3d(stride, stride)] if stride != (1, 1, 1) else []
        if inputs != outputs:
            steps.append(ConvNorm(inputs, outputs, (1, 1, 1), bias=False, bends=False))
        self.skip = nn.Sequential(*steps)

    def forward(self, voxels: Tensor) -> Tensor:
        return functional.leaky_relu(self.conv2(self.conv1(voxels)) + self.skip(voxels))


class Stem(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: Triple) -> None:
        super().__init__()
        self.convs = nn.Sequential(ConvNorm(inputs, outputs, kernel))

    def forward(self, voxels: Tensor) -> Tensor:
        return self.convs(voxels)


class Stage(nn.Module):
    """Residual blocks; the first one takes the stride."""

    def __init__(self, inputs: int, outputs: int, kernel: Triple, stride: Triple, blocks: int) -> None:
        super().__init__()
        first = ResidualBlock(inputs, outputs, kernel, stride)
        self.blocks = nn.Sequential(
            first, *(ResidualBlock(outputs, outputs, kernel, (1, 1, 1)) for _ in range(blocks - 1))
        )

    def forward(self, voxels: Tensor) -> Tensor:
        return self.blocks(voxels)


def _layer(variant: str, channels: int) -> nn.Module:
    """What stands after a stage with so many channels."""
    if variant == "multisegmamba":
        return MultiMambaTrans(channels)
    return MambaLayer(channels, both_ways=variant != "segmamba")


class Encoder(nn.Module):
    """(B, inputs, H, W, D) -> what each stage hands to the decoder, finest first."""

    def __init__(self, config: AutoConfig) -> None:
        super().__init__()
        self._variant = config.variant
        self.stem = Stem(config.inputs, config.channels[0], config.kernels[0])
        inputs = (config.channels[0], *config.channels)
        plan = zip(inputs, config.channels, config.kernels, config.strides, config.blocks)
        self.stages = nn.ModuleList(Stage(*stage) for stage in plan)
        if config.variant != "unet":
            self.mamba_layers = nn.ModuleList(_layer(config.variant, channels) for channels in config.channels)

    def forward(self, voxels: Tensor) -> list[Tensor]:
        voxels, handed = self.stem(voxels), []
        for n, stage in enumerate(self.stages):
            voxels = stage(voxels)
            seen = voxels if self._variant == "unet" else self.mamba_layers[n](voxels)
            handed.append(seen)
            voxels = voxels if self._variant == "segmambaskip" else seen
        return handed


class Decoder(nn.Module):
    """What the encoder's stages hand over -> logits (B, classes, ...) of each stage of the decoder, finest first."""

    def __init__(self, config: AutoConfig) -> None:
        super().__init__()
        self.stages, self.transpconvs, self.seg_layers = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        coarse_first = range(len(config.channels) - 1, 0, -1)
        for n, blocks in zip(coarse_first, config.decoder_blocks):
            below, here, stride = config.channels[n], config.channels[n - 1], config.strides[n]
            self.transpconvs.append(nn.ConvTranspose3d(below, here, stride, stride))
            self.stages.append(Stage(2 * here, here, config.kernels[n - 1], (1, 1, 1), blocks))
            self.seg_layers.append(nn.Conv3d(here, config.classes, 1))

    def forward(self, handed: list[Tensor], every: bool) -> list[Tensor]:
        """every: also the coarser answers, for deep supervision."""
        voxels, answers = handed[-1], []
        last = len(self.stages) - 1
        for n, (up, stage, say) in enumerate(zip(self.transpconvs, self.stages, self.seg_layers)):
            voxels = stage(torch.cat([up(voxels), handed[-2 - n]], dim=1))
            if every or n == last:
                answers.append(say(voxels))
        return answers[::-1]


class AutoNetwork(nn.Module):
    """One of the five networks. (B, inputs, H, W, D) -> logits of all stages of the decoder, finest first; in
    evaluation mode of the finest alone, a list of one."""

    def __init__(self, config: AutoConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self._begin()

    def _begin(self) -> None:
        """As nnU-Net: He for a slope of 0.01, and blocks that begin as nothing but what is added to them."""
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                nn.init.kaiming_normal_(module.weight, a=1e-2)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                nn.init.zeros_(module.conv2.norm.weight)

    def forward(self, image: Tensor) -> list[Tensor]:
        sides = image.shape[2:]
        if any(side % step for side, step in zip(sides, self.config.divisor)):
            raise ValueError(f"The image's sides {tuple(sides)} are not divisible by {self.config.divisor}.")
        return self.decoder(self.encoder(image), every=self.training)


def without_repeats(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict with each tensor once. Its decoder names the encoder's again, and each convolution names
    its parts again as all_modules; raises ValueError where such a repetition says something else."""
    kept = {}
    for key, tensor in state.items():
        own = key.removeprefix("decoder.") if key.startswith("decoder.encoder.") else key
        head, repeated, tail = own.partition("all_modules.")
        if repeated:
            number, _, name = tail.partition(".")
            own = f"{head}{('conv', 'norm')[int(number)]}.{name}" if number in ("0", "1") else own
        if own in kept and not torch.equal(kept[own], tensor):
            raise ValueError(f"The file gives two different tensors for {own}.")
        kept[own] = tensor
    return kept
