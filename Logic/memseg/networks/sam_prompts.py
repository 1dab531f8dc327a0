"""The prompt encoder of SAM-Med3D: points, box corners and the mask so far, as tokens and as a map.

Points are (x, y, z) in samples of the image, sample centres at integers, in the order of the image's axes. Shapes: B
batch, P points, D width, g grid edge; the mask is (B, 1, 4g, 4g, 4g) logits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .sam_encoder import Norm3d

NEGATIVE, POSITIVE, LOW_CORNER, HIGH_CORNER = range(4)  # which embedding a point takes


class FourierPositions(nn.Module):
    """Random Fourier features of points, -> (..., D). The sines come twice, as D is three times the frequencies and
    there are but sine and cosine."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.positional_encoding_gaussian_matrix: Tensor
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(3, width // 3))

    def forward(self, places: Tensor) -> Tensor:
        """(..., 3) with 0 to 1 inside the image."""
        angles = 2 * torch.pi * ((2 * places - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([angles.sin(), angles.cos(), angles.sin()], dim=-1)

    def dense(self, grid: int) -> Tensor:
        """(1, D, g, g, g) of the cells of the image."""
        axis = (torch.arange(grid, device=self.positional_encoding_gaussian_matrix.device) + 0.5) / grid
        places = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
        return self(places).permute(3, 0, 1, 2)[None]


class MaskDownscaling(nn.Sequential):
    """(B, 1, 4g, 4g, 4g) -> (B, D, g, g, g)."""

    def __init__(self, width: int, channels: int = 16) -> None:
        few = channels // 4
        super().__init__(
            nn.Conv3d(1, few, 2, stride=2),
            Norm3d(few),
            nn.GELU(),
            nn.Conv3d(few, channels, 2, stride=2),
            Norm3d(channels),
            nn.GELU(),
            nn.Conv3d(channels, width, 1),
        )


class PromptEncoder(nn.Module):
    """See the module. boxes: whether there are embeddings of box corners, as in the weights that take boxes. swapped:
    whether the image's cells are told the encoding of another place: the first two axes change places, so that at (i,
    j, k) is that of the point (j, i, k). So the published weights were trained."""

    def __init__(self, width: int, edge: int, grid: int, boxes: bool, swapped: bool = True) -> None:
        super().__init__()
        self.swapped = swapped
        self.edge, self.grid, self.width = edge, grid, width
        self.pe_layer = FourierPositions(width)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, width) for _ in range(4 if boxes else 2))
        self.not_a_point_embed = nn.Embedding(1, width)
        self.mask_downscaling = MaskDownscaling(width)
        self.no_mask_embed = nn.Embedding(1, width)  # in the files; what was trained begins with a mask of zeros

    @property
    def takes_boxes(self) -> bool:
        return len(self.point_embeddings) > HIGH_CORNER

    def sparse(self, points: Tensor, kinds: Tensor) -> Tensor:
        """points (B, P, 3) and kinds (B, P) of NEGATIVE to HIGH_CORNER -> (B, P, D)."""
        table = torch.cat([embedding.weight for embedding in self.point_embeddings])
        return self.pe_layer((points + 0.5) / self.edge) + table[kinds]

    def closed(self, tokens: Tensor) -> Tensor:
        """(B, P, D) -> (B, P + 1, D): the token that ends a list of points without a box."""
        return torch.cat([tokens, self.not_a_point_embed.weight.expand(len(tokens), 1, -1)], dim=1)

    def none(self, batch: int) -> Tensor:
        """(B, 0, D): no points at all, when only the mask speaks."""
        return self.no_mask_embed.weight.new_zeros(batch, 0, self.width)

    def dense(self, mask: Tensor) -> Tensor:
        return self.mask_downscaling(mask)

    def positions(self) -> Tensor:
        """(1, D, g, g, g), what the decoder is told of the image's cells."""
        places = self.places()
        return places.transpose(2, 3) if self.swapped else places

    def places(self) -> Tensor:
        """(1, D, g, g, g), where the image's cells are, in the encoding of points."""
        return self.pe_layer.dense(self.grid)
