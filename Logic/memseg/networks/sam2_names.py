"""What the authors of SAM 2 (facebookresearch/sam2) call each weight, by transformers' name for it.

The rules are those of the two code bases' modules, so that they hold for every size of the network.
"""

from __future__ import annotations

import re

POINTS = "prompt_encoder.point_embed.weight"  # one row for each of the authors' four embeddings
_POSITIONS = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"  # transformers holds it twice

_WHOLE = {
    "memory_temporal_positional_encoding": "maskmem_tpos_enc",
    "no_memory_embedding": "no_mem_embed",
    "no_memory_positional_encoding": "no_mem_pos_enc",
    "no_object_pointer": "no_obj_ptr",
    "occlusion_spatial_embedding_parameter": "no_obj_embed_spatial",
    "prompt_encoder.shared_embedding.positional_embedding": _POSITIONS,
    "shared_image_embedding.positional_embedding": _POSITIONS,
}
_TRIPLE = [  # perceptrons of three layers
    (r"\.layers\.0\.", ".layers.1."),
    (r"\.proj_in\.", ".layers.0."),
    (r"\.proj_out\.", ".layers.2."),
]
_BLOCK = [
    (r"\.o_proj\.", ".out_proj."),
    (r"\.layer_norm(\d|_final_attn)", r".norm\1"),
    (r"\.mlp\.proj_in\.", ".mlp.layers.0."),
    (r"\.mlp\.proj_out\.", ".mlp.layers.1."),
]
_PARTS: list[tuple[str, str, list[tuple[str, str]]]] = [  # how a name starts, how it starts there, and what follows
    (
        "vision_encoder.backbone.",
        "image_encoder.trunk.",
        [*_BLOCK, (r"patch_embed\.projection\.", "patch_embed.proj.")],
    ),
    ("vision_encoder.neck.", "image_encoder.neck.", [(r"convs\.(\d+)\.", r"convs.\1.conv.")]),
    ("memory_attention.", "memory_attention.", [*_BLOCK, (r"\.layer_norm\.", ".norm.")]),
    (
        "memory_encoder.mask_downsampler.final_conv.",
        "memory_encoder.mask_downsampler.encoder.12.",
        [],
    ),
    (
        "memory_encoder.",
        "memory_encoder.",
        [
            (r"feature_projection\.", "pix_feat_proj."),
            (r"\.projection\.", ".out_proj."),
            (r"memory_fuser\.(.*)\.scale$", r"memory_fuser.\1.gamma"),
            (r"\.depthwise_conv\.", ".dwconv."),
            (r"\.pointwise_conv", ".pwconv"),
            (r"memory_fuser\.(.*)\.layer_norm\.", r"memory_fuser.\1.norm."),
            (r"memory_fuser\.", "fuser."),
        ],
    ),
    (
        "prompt_encoder.mask_embed.",
        "sam_prompt_encoder.mask_downscaling.",
        [
            (r"conv1\.", "0."),
            (r"layer_norm1\.", "1."),
            (r"conv2\.", "3."),
            (r"layer_norm2\.", "4."),
            (r"conv3\.", "6."),
        ],
    ),
    ("prompt_encoder.", "sam_prompt_encoder.", []),
    ("mask_decoder.transformer.", "sam_mask_decoder.transformer.", _BLOCK),
    (
        "mask_decoder.upscale_",
        "sam_mask_decoder.output_upscaling.",
        [(r"conv1\.", "0."), (r"layer_norm\.", "1."), (r"conv2\.", "3.")],
    ),
    ("mask_decoder.", "sam_mask_decoder.", _TRIPLE),
    ("object_pointer_proj.", "obj_ptr_proj.", _TRIPLE),
    ("temporal_positional_encoding_projection_layer.", "obj_ptr_tpos_proj.", []),
    ("mask_downsample.", "mask_downsample.", []),
]


def published_names(name: str) -> tuple[str, ...]:
    """The authors' name for a weight that transformers calls so; four for the embeddings of points. ValueError for a
    name of no weight of SAM 2."""
    if name == POINTS:
        return tuple(f"sam_prompt_encoder.point_embeddings.{kind}.weight" for kind in range(4))
    if name in _WHOLE:
        return (_WHOLE[name],)
    if found := re.fullmatch(r"memory_encoder\.mask_downsampler\.layers\.(\d+)\.(conv|layer_norm)\.(.*)", name):
        place = 3 * int(found[1]) + (found[2] == "layer_norm")  # convolution, norm, activation, and so on
        return (f"memory_encoder.mask_downsampler.encoder.{place}.{found[3]}",)
    for start, there, rules in _PARTS:
        if name.startswith(start):
            rest = "." + name.removeprefix(start)
            for pattern, words in rules:
                changed = re.sub(pattern, words, rest)
                if changed != rest and rules is _TRIPLE:
                    return (there + changed[1:],)  # the first rule that says something: the rules would meet again
                rest = changed
            return (there + rest[1:],)
    raise ValueError(f"SAM 2 has no weight called {name}.")
