"""A slice network small enough for tests, and memories for it."""

from __future__ import annotations

import torch

from memseg.networks.slices import SliceBatch, SliceConfig, SliceNetwork

EDGE = 16
KEYS = VALUES = 8


def small_config(**changes) -> SliceConfig:
    settings = {"edge": EDGE, "widths": (8, 8, 16), "blocks": (1, 1, 1), "groups": 4, "heads": 2, "frequencies": 3}
    return SliceConfig(**{**settings, "key_width": KEYS, "value_width": VALUES, **changes})


def small_network(seed: int = 0) -> SliceNetwork:
    """Every parameter is random, also those that start at zero, so that every part of the network matters."""
    torch.manual_seed(seed)
    network = SliceNetwork(small_config())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    return network.eval().requires_grad_(False)


def memories(count: int, batch: int = 1, seed: int = 2) -> SliceBatch:
    """`count` entries behind the query, through its own window."""
    source = torch.Generator().manual_seed(seed)
    places = torch.zeros(batch, count, 3)
    places[..., 0] = -torch.arange(1, count + 1) / 10
    edge = EDGE // 8
    return SliceBatch(
        keys=torch.randn((batch, count, KEYS, edge, edge), generator=source),
        values=torch.randn((batch, count, VALUES, edge, edge), generator=source),
        places=places,
        scale=torch.ones(batch, count),
        valid=torch.ones(batch, count, dtype=torch.bool),
    )
