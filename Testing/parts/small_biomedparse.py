"""Networks of BiomedParse's kind small enough for tests, and the names and shapes of the published file.

Testing/data/golden-biomedparse.json holds what the authors' own code (as in github.com/Lsyyh/BiomedParse_v2) answers
with the small configuration here, every weight drawn from the CRC-32 of its name, and each slice's draws begun from
torch.manual_seed(100 + slice).
"""

from __future__ import annotations

import json
import re
from typing import Any

import torch
from published import DATA, drawn, filled
from torch import Tensor

from memseg.networks.biomedparse.boltzmann_decoder import DecoderConfig
from memseg.networks.biomedparse.focalnet import FocalConfig
from memseg.networks.biomedparse.model import BiomedParse, BiomedParseConfig
from memseg.networks.biomedparse.pixel_decoder import PixelConfig
from memseg.networks.biomedparse.text_encoder import TextConfig

EDGE, WIDTH, HEADS, MLP, VOCABULARY = 128, 64, 4, 96, 300
WORDS = torch.tensor([[VOCABULARY - 2, 17, 42, 256, 3, VOCABULARY - 1]])


def small_config(edge: int = EDGE, vocabulary: int = VOCABULARY, **decoder) -> BiomedParseConfig:
    return BiomedParseConfig(
        FocalConfig(8, (1, 1, 2, 1)),
        PixelConfig(WIDTH, HEADS, MLP, 2),
        TextConfig(WIDTH, 2, HEADS, 77, vocabulary),
        DecoderConfig(WIDTH, HEADS, MLP, **{"depth": 4, **decoder}),
        edge,
    )


def small_biomedparse(config: BiomedParseConfig | None = None) -> BiomedParse:
    """With random weights, so that every part matters."""
    network = filled(BiomedParse(config or small_config()))
    network.pixel_mean.fill_(114.495)
    network.pixel_std.fill_(57.63)
    return network


def images(count: int = 3, edge: int = EDGE) -> Tensor:
    """(count, edge, edge), of about 0 to 255."""
    return torch.from_numpy(drawn("biomedparse.image", (count, edge, edge))) * 60 + 110


def golden() -> dict[str, dict[str, Any]]:
    return json.loads((DATA / "golden-biomedparse.json").read_text())


def biomedparse_shapes() -> dict[str, tuple[int, ...]]:
    """Of the published file; a line "blocks.0-17" of the table stands for eighteen names."""
    shapes = {}
    for line in (DATA / "keys-biomedparse.tsv").read_text().splitlines():
        name, sizes = line.split("\t")
        shape = tuple(map(int, sizes.split()))
        if (several := re.search(r"\.0-(\d+)\.", name)) is None:
            shapes[name] = shape
        else:
            start, stop = several.span()
            for number in range(int(several[1]) + 1):
                shapes[f"{name[:start]}.{number}.{name[stop:]}"] = shape
    return shapes
