"""A trained model whose weights are set by hand: it answers by brightness."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from memseg.automatic.folder import FILE
from memseg.automatic.model import save
from memseg.automatic.plan import AutoPlan, Intensities
from memseg.networks.segmamba import AutoConfig, AutoNetwork

NAMES = ("liver", "left kidney", "spleen")
_THRESHOLD = 1.2  # deviations from a window's mean


def write_bright(
    folder: Path,
    low: float = -100,
    high: float = 100,
    spacing_mm: float = 1.0,
    edge: int = 16,
    names: tuple[str, ...] = NAMES,
) -> Path:
    """Into a folder that is made. The first name is what is far brighter than the rest of a window, the second what is
    far darker, further ones are nothing; values are cut at low and high. edge: of a window, even."""
    plan = AutoPlan(
        network=AutoConfig("unet", 1, len(names) + 1, (2, 2), ((3, 3, 3),) * 2, ((1, 1, 1), (2, 2, 2)), (1, 1), (1,)),
        names=names,
        spacing_sar_mm=(spacing_mm,) * 3,
        patch_sar=(edge,) * 3,
        intensities=Intensities("ct", low, high, (low + high) / 2, (high - low) / 2),
    )
    folder.mkdir(parents=True, exist_ok=True)
    network = AutoNetwork(plan.network)
    with torch.no_grad():
        _tell(network)
    save(folder / FILE, network, plan)
    return folder


def _tell(network: AutoNetwork) -> None:
    """Stem: one channel of what is bright and one of what is dark. All blocks hand on what they get, the decoder what
    the finest stage has, and nothing comes up from below."""
    stem = network.encoder.stem.convs[0].conv
    stem.weight.zero_()
    stem.weight[:, 0, 1, 1, 1] = Tensor([1, -1])
    network.decoder.transpconvs[0].weight.zero_()
    mix = network.decoder.stages[0].blocks[0].skip[0].conv
    mix.weight.zero_()
    mix.weight[:, 2:, 0, 0, 0] = torch.eye(2)
    say = network.decoder.seg_layers[0]
    say.weight.zero_()
    say.bias.fill_(-1000)
    say.bias[0] = _THRESHOLD
    for number in range(min(2, len(say.bias) - 1)):
        say.bias[number + 1] = 0
        say.weight[number + 1, number] = 1
