"""SAM 2 and SAM 2.1 (Ravi et al., arXiv 2408.00714): a slice is encoded, conditioned on what is remembered, answered.

The modules are transformers', which is loaded when a network is made; the order in which they are used, what is
remembered and how it is told follow the authors' code (facebookresearch/sam2) as it predicts in videos. Images are
square: (1, 3, edge, edge). Maps lie on a grid of edge / 16, logits on one of edge / 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

MAPS_WIDTH = 64  # of a remembered slice
ABSENT = -1024.0  # the logit of every place of a slice in which the object is not
POSITIVE, NEGATIVE, LOW_CORNER, HIGH_CORNER, NO_POINT = 1, 0, 2, 3, -1
_SURE, _SUREST = 20.0, -10.0  # a mask m is remembered as 20 m - 10
_CLAMP = 32.0  # of logits that are given back, as the authors have it


@dataclass(frozen=True)
class Sam2Config:
    """Defaults: SAM 2.1 tiny. edge: of the image, in samples. widths, depths, heads, windows: of the trunk's four
    stages. background: edge of the trunk's table of positions. frames: slices remembered, the one that was prompted and
    the last. times_pointers, marks_absence: what SAM 2.1 added to SAM 2."""

    edge: int = 1024
    widths: tuple[int, ...] = (96, 192, 384, 768)
    depths: tuple[int, ...] = (1, 2, 7, 2)
    heads: tuple[int, ...] = (1, 2, 4, 8)
    windows: tuple[int, ...] = (8, 4, 14, 7)
    global_blocks: tuple[int, ...] = (5, 7, 9)
    background: int = 7
    width: int = 256
    decoder_heads: int = 8
    perceptron: int = 2048
    fuser: int = 1024
    attention_layers: int = 4
    frames: int = 7
    pointers: int = 16
    times_pointers: bool = True
    marks_absence: bool = True

    def __post_init__(self) -> None:
        if self.edge % 32 or self.edge < 64 or self.width % MAPS_WIDTH or self.frames < 2 or self.pointers < 2:
            raise ValueError("SAM 2 sees squares of whole cells of 32, and remembers at least two slices.")
        if not len(self.widths) == len(self.depths) == len(self.heads) == len(self.windows) == 4:
            raise ValueError("The trunk of SAM 2 has four stages.")

    @property
    def cells(self) -> int:
        """Along an edge of a map."""
        return self.edge // 16


def _trunk(width: int, heads: int, depths: tuple[int, ...], global_blocks: tuple[int, ...], **more) -> Sam2Config:
    """Both double from stage to stage."""
    doubled = (tuple(first << stage for stage in range(4)) for first in (width, heads))
    return Sam2Config(**dict(zip(("widths", "heads"), doubled)), depths=depths, global_blocks=global_blocks, **more)


SIZES = {  # the authors' configurations, sam2.1_hiera_*.yaml
    "tiny": _trunk(96, 1, (1, 2, 7, 2), (5, 7, 9)),
    "small": _trunk(96, 1, (1, 2, 11, 2), (7, 10, 13)),
    "base-plus": _trunk(112, 2, (2, 3, 16, 3), (12, 16, 20), background=14),
    "large": _trunk(144, 2, (2, 6, 36, 4), (23, 33, 43), windows=(8, 4, 16, 8)),
}


@dataclass(frozen=True, eq=False)
class Sam2Image:
    """An encoded slice. fine (1, width / 8, edge / 4, edge / 4), middle (1, width / 4, edge / 8, edge / 8), coarse (1,
    width, cells, cells)."""

    fine: Tensor
    middle: Tensor
    coarse: Tensor

    @property
    def size_bytes(self) -> int:
        return sum(each.nbytes for each in (self.fine, self.middle, self.coarse))


@dataclass(frozen=True, eq=False)
class Sam2Answer:
    """logits (1, 1, edge / 4, edge / 4), and large (1, 1, edge, edge), from which it is remembered. quality: the
    intersection over union it expects. score: above 0 where the object is in the slice. pointer (1, width): the object
    as seen here."""

    logits: Tensor
    large: Tensor
    quality: float
    score: float
    pointer: Tensor


@dataclass(frozen=True, eq=False)
class Told:
    """What a slice is told of others.

    maps (M, 64, cells, cells), at least one. times (M): 0 for slices that were prompted, 1 for the slice before this
    one, and so on; None for one that says nothing of its place. pointers (P, width), away (P): how many slices before
    this one each lies; reach: the largest distance told of.
    """

    maps: Tensor
    times: tuple[int | None, ...]
    pointers: Tensor
    away: tuple[float, ...] = ()
    reach: int = 15


class Sam2(nn.Module):
    """See the module. `model` is transformers' Sam2VideoModel, whose weights are all there are."""

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        from transformers import Sam2VideoModel

        self.config = config
        self.model = Sam2VideoModel(_as_transformers_has_it(config))
        self._positions: Tensor | None = None  # (cells^2, 1, width), the same for every image

    def encode(self, image: Tensor) -> Sam2Image:
        """image (1, 3, edge, edge), normalised."""
        found = self.model.get_image_features(image, return_dict=True)
        self._positions = found.fpn_position_encoding[-1]
        edges = (self.config.edge // 4, self.config.edge // 8, self.config.cells)
        # (h * w, 1, C) -> (1, C, h, w)
        levels = zip(found.fpn_hidden_states, edges)
        return Sam2Image(*(level.permute(1, 2, 0).unflatten(2, (edge, edge)) for level, edge in levels))

    def alone(self, image: Sam2Image) -> Tensor:
        """(1, width, cells, cells) features of a slice that is told nothing."""
        return image.coarse + self.model.no_memory_embedding[..., None].transpose(1, 2)

    def conditioned(self, image: Sam2Image, told: Told) -> Tensor:
        """(1, width, cells, cells) features of a slice that attends to what it is told."""
        memory, positions = self._as_tokens(told)
        pointer_tokens = memory.shape[0] - told.maps.shape[0] * self.config.cells**2
        found = self.model.memory_attention(
            current_vision_features=image.coarse.flatten(2).permute(2, 0, 1),
            current_vision_position_embeddings=self._positions_on(image.coarse),
            memory=memory,
            memory_posision_embeddings=positions,
            num_object_pointer_tokens=pointer_tokens,
        )  # (1, 1, cells^2, width), in whichever order of the first axes
        return found.reshape(1, self.config.cells, self.config.cells, -1).permute(0, 3, 1, 2)

    def answer(
        self,
        image: Sam2Image,
        features: Tensor,
        points: Tensor | None = None,
        kinds: Tensor | None = None,
        before: Tensor | None = None,
        several: bool = True,
    ) -> Sam2Answer:
        """points (1, N, 2) column and row, in samples of the image, of kinds (1, N): see POSITIVE and others; a box is
        its two corners. before (1, 1, edge / 4, edge / 4): logits of an earlier answer. several: whether the best of
        three masks is taken, as for a single click and for a slice that is followed; otherwise the one mask, or the
        best of three where that is unstable."""
        model = self.model
        if points is None:
            points, kinds = image.coarse.new_zeros(1, 1, 2), torch.full((1, 1), NO_POINT, device=image.coarse.device)
        if before is not None:
            before = before.clamp(-_CLAMP, _CLAMP)
        sparse, dense = model.prompt_encoder(points[:, None], kinds[:, None], None, before)
        masks, qualities, tokens, score = model.mask_decoder(
            image_embeddings=features,
            image_positional_embeddings=model.get_image_wide_positional_embeddings(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
            high_resolution_features=[image.fine, image.middle],
        )  # (1, 1, m, ., .), (1, 1, m), (1, 1, m, width), (1, 1, 1)
        best = int(qualities[0, 0].argmax())
        present = bool(score > 0)
        logits = masks[:, 0].float() if present else torch.full_like(masks[:, 0], ABSENT, dtype=torch.float32)
        # All of them at once, as the authors do it: rounding to bfloat16 later makes much of the last bit.
        large = functional.interpolate(logits, size=(self.config.edge,) * 2, mode="bilinear", align_corners=False)
        chosen = (each[:, best : best + 1] for each in (logits, large))
        pointer = model.object_pointer_proj(tokens[:, 0, best]) if present else model.no_object_pointer
        return Sam2Answer(*chosen, float(qualities[0, 0, best]), float(score), pointer)

    def of_mask(self, image: Sam2Image, mask: Tensor) -> Sam2Answer:
        """What a mask that is right says: mask (1, 1, edge, edge) 0 or 1."""
        logits = mask * _SURE + _SUREST
        there = bool(mask.any())
        small = functional.interpolate(logits, scale_factor=0.25, mode="bilinear", antialias=True)
        told = self.model.mask_downsample(mask)
        pointer = self.model.no_object_pointer
        if there:
            pointer = self.answer(image, image.coarse, before=told, several=False).pointer
        return Sam2Answer(small, logits, 1.0, _SURE + _SUREST if there else _SUREST, pointer)

    def remember(self, image: Sam2Image, mask: Tensor, present: bool) -> Tensor:
        """(1, 64, cells, cells), rounded to bfloat16 as the authors keep it. mask (1, 1, edge, edge), 0 to 1."""
        maps, _ = self.model.memory_encoder(image.coarse, mask * _SURE + _SUREST)
        absence = self.model.occlusion_spatial_embedding_parameter
        if absence is not None and not present:
            maps = maps + absence[..., None, None]
        return maps.to(torch.bfloat16).float()

    # -- parts -------------------------------------------------------------------------------------------------------

    def _positions_on(self, features: Tensor) -> Tensor:
        if self._positions is None or self._positions.device != features.device:
            raise ValueError("A slice is encoded before it is conditioned.")
        return self._positions

    def _as_tokens(self, told: Told) -> tuple[Tensor, Tensor]:
        """(T, 1, 64) and their positions: the maps' cells one after the other, then each pointer in pieces of 64."""
        model, count = self.model, len(told.maps)
        place = model.memory_encoder.position_encoding((1, *told.maps.shape[1:]), told.maps.device, told.maps.dtype)
        place = place.flatten(2).permute(2, 0, 1)  # (cells^2, 1, 64)
        times = model.memory_temporal_positional_encoding[:, 0]  # (frames, 1, 64); the last is that of prompted slices
        positions = [place if time is None else place + times[time - 1] for time in told.times]
        memory = told.maps.flatten(2).permute(0, 2, 1).reshape(-1, 1, MAPS_WIDTH)
        if len(positions) != count:
            raise ValueError("Every map has its time.")
        if not len(told.pointers):
            return memory, torch.cat(positions)
        pieces = self.config.width // MAPS_WIDTH
        when = self._when(told).repeat_interleave(pieces, dim=0)[:, None]
        return torch.cat([memory, told.pointers.reshape(-1, 1, MAPS_WIDTH)]), torch.cat([*positions, when])

    def _when(self, told: Told) -> Tensor:
        """(P, 64)."""
        if not self.config.times_pointers:
            return told.pointers.new_zeros(len(told.pointers), MAPS_WIDTH)
        away = torch.tensor(told.away, dtype=torch.float32, device=told.pointers.device) / told.reach
        half = self.config.width // 2
        rates = 10000 ** (2 * (torch.arange(half, device=away.device) // 2) / half)
        waves = away[:, None] / rates
        return self.model.temporal_positional_encoding_projection_layer(torch.cat([waves.sin(), waves.cos()], dim=-1))


def _as_transformers_has_it(config: Sam2Config) -> object:
    from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VisionConfig
    from transformers.models.sam2_video.configuration_sam2_video import (
        Sam2VideoMaskDecoderConfig,
        Sam2VideoPromptEncoderConfig,
    )

    cells, width = config.cells, config.width
    trunk = Sam2HieraDetConfig(
        hidden_size=config.widths[0],
        num_attention_heads=config.heads[0],
        image_size=[config.edge, config.edge],
        window_positional_embedding_background_size=[config.background, config.background],
        blocks_per_stage=list(config.depths),
        embed_dim_per_stage=list(config.widths),
        num_attention_heads_per_stage=list(config.heads),
        window_size_per_stage=list(config.windows),
        global_attention_blocks=list(config.global_blocks),
    )
    vision = Sam2VisionConfig(
        backbone_config=trunk,
        backbone_channel_list=list(config.widths[::-1]),
        backbone_feature_sizes=[[4 * cells, 4 * cells], [2 * cells, 2 * cells], [cells, cells]],
        fpn_hidden_size=width,
    )
    decoder = Sam2VideoMaskDecoderConfig(
        hidden_size=width,
        mlp_dim=config.perceptron,
        num_attention_heads=config.decoder_heads,
        iou_head_hidden_dim=width,
    )
    return Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(hidden_size=width, image_size=config.edge),
        mask_decoder_config=decoder,
        image_size=config.edge,
        num_maskmem=config.frames,
        max_object_pointers_in_encoder=config.pointers,
        enable_temporal_pos_encoding_for_object_pointers=config.times_pointers,
        enable_occlusion_spatial_embedding=config.marks_absence,
        memory_attention_hidden_size=width,
        memory_attention_num_layers=config.attention_layers,
        memory_attention_feed_forward_hidden_size=config.perceptron,
        memory_attention_rope_feat_sizes=[cells, cells],
        memory_encoder_hidden_size=width,
        memory_encoder_output_channels=MAPS_WIDTH,
        mask_downsampler_embed_dim=width,
        memory_fuser_embed_dim=width,
        memory_fuser_intermediate_dim=config.fuser,
    )
