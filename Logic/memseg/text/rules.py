"""What finds a structure by physics alone, by the key of its term: body, skin, lung, airway, fat, bone, fluid, contrast
agent, metal. A rule gives no candidate where the sight does not show its structure; it never guesses one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .candidates import Candidate, Outline, as_found, at_edge, between
from .physics import (
    AIR_HU,
    BONE_HU,
    CONTRAST_HU,
    CORTICAL_HU,
    FAT_HU,
    FLUID_HU,
    METAL_HU,
    MUSCLE_HU,
    SOFT_HU,
    Scene,
    skin_deep,
)
from .pieces import Piece, united

Rule = Callable[[Scene], list[Candidate]]


def rule_of(key: str, is_ct: bool) -> Rule | None:
    """What finds the term of that key; None where physics has no rule for it on that kind of image."""
    return (_CT if is_ct else _OTHER).get(key)


def _one(name: str, find: Callable[[Scene], Piece], sure: float, why: str, outline: Outline) -> Rule:
    """A rule for a single thing."""

    def rule(scene: Scene) -> list[Candidate]:
        piece = find(scene)
        return [] if piece.is_empty else [Candidate(scene.sight, piece, name, sure, why, "physics", outline=outline)]

    return rule


def _window(name: str, low: float, high: float, sure: float = 0.7) -> Rule:
    """A rule for all of the body in a window of HU."""
    range_ = f"between {low:g} and {high:g}" if np.isfinite(low) else f"below {high:g}"
    why = f"It is the part of the body {range_} HU."
    return _one(name, lambda scene: scene.in_body(low, high), sure, why, between(low, high))


def _lungs(scene: Scene) -> list[Candidate]:
    return [
        Candidate(scene.sight, piece, f"{side} lung", 0.85, "It is a large air-filled part of the chest, by its HU.",
                  "physics", side, between(-1100.0, -350.0, solid=True))
        for side, piece in scene.lungs
    ]  # fmt: skip


def _skin(scene: Scene) -> Piece:
    return scene.body.without(scene.body.grown(-2.5 - max(scene.sight.region.spacing_kji_mm) / 2))


def _subcutaneous(scene: Scene) -> Piece:
    """Fat that can be reached from the skin without crossing a layer of muscle."""
    fat = scene.in_body(*FAT_HU)
    skin = _skin(scene).grown(2 * max(scene.sight.region.spacing_kji_mm))
    reached = [part for part in fat.opened().components(5) if not part.within(skin).is_empty]
    if not reached:
        return Piece.nothing(fat.grid)
    return united(reached).grown(max(fat.grid.spacing_kji_mm)).within(fat)


def _visceral(scene: Scene) -> Piece:
    fat = scene.in_body(*FAT_HU)
    return fat.without(_subcutaneous(scene))


def _bones(scene: Scene) -> Piece:
    return scene.bone.closed(3.0).filled()


def _cortical(scene: Scene) -> Piece:
    bone = scene.bone
    return bone.kept(scene.sight.image[bone.box.slices] > CORTICAL_HU)


def _skull(scene: Scene) -> Piece:
    """The piece of bone round the brain."""
    if scene.brain.is_empty:
        return scene.brain
    near = scene.brain.grown(15.0)
    return scene.bone.within(near)


def _background(scene: Scene) -> Piece:
    return Piece(scene.sight.grid, scene.sight.grid.box, ~scene.body.at(scene.sight.grid.box))


def _table(scene: Scene) -> Piece:
    """What is no air outside the body: couch, mask, cushions."""
    outside = _background(scene).without(scene.body.grown(6.0))
    parts = outside.kept(scene.sight.smooth[outside.box.slices] > -700).components(10)
    return parts[0] if parts and parts[0].volume_mm3 > 50_000 else Piece.nothing(scene.sight.grid)


def _fluid(scene: Scene) -> Piece:
    """Even regions of water's HU."""
    fluid = scene.in_body(*FLUID_HU)
    parts = [part for part in fluid.opened(2).components() if part.volume_mm3 > 3000]
    return united(parts).grown(max(fluid.grid.spacing_kji_mm)).within(fluid) if parts else Piece.nothing(fluid.grid)


def _bladder(scene: Scene) -> list[Candidate]:
    """A round, even bag of fluid, low in the body, near its middle, with bone of the pelvis on both sides."""
    fluid, found = _fluid(scene), []
    if scene.bone.is_empty:
        return []
    low, high = scene.body.points_ras[:, 2].min(), scene.body.points_ras[:, 2].max()
    for part in fluid.components():
        centre = part.centre_ras
        beside = scene.bone.points_ras[np.abs(scene.bone.points_ras[:, 2] - centre[2]) < 30]
        if part.volume_mm3 < 15_000 or part.compactness < 0.35 or abs(centre[0] - scene.middle_ras[0]) > 35:
            continue
        if len(beside) < 20 or not (beside[:, 0].min() < centre[0] - 60 and beside[:, 0].max() > centre[0] + 60):
            continue
        if centre[2] < low + 0.45 * (high - low):
            why = "It is a round, even bag of fluid between the bones of the pelvis."
            found.append(Candidate(scene.sight, part, "bladder", 0.6, why, "physics", outline=at_edge))
    return found


def _components(
    name: str, find: Callable[[Scene], Piece], least_mm3: float, sure: float, why: str, outline: Outline
) -> Rule:
    """A rule for several things of a kind."""

    def rule(scene: Scene) -> list[Candidate]:
        return [
            Candidate(scene.sight, part, name, sure, why, "physics", outline=outline)
            for part in find(scene).components()
            if part.volume_mm3 >= least_mm3
        ]

    return rule


def _calcified(scene: Scene) -> Piece:
    """Small and bright, in soft tissue, apart from bone."""
    bright = scene.in_body(BONE_HU, METAL_HU)
    if not scene.bone.is_empty:
        large = [part for part in scene.bone.components() if part.volume_mm3 > 6000]
        bright = bright.without(united(large).grown(4.0)) if large else bright
    parts = [part for part in bright.components() if part.volume_mm3 < 6000]
    return united(parts) if parts else Piece.nothing(scene.sight.grid)


_body = _one("body", lambda scene: scene.body, 0.9, "It is all that is no air round the patient.", skin_deep)
_metal_rule = _components(
    "metal", lambda scene: scene.metal, 20.0, 0.9, "It is brighter than 2500 HU, as only metal is.",
    between(METAL_HU, np.inf),
)  # fmt: skip
_vessels = _one(
    "contrast-filled vessels", lambda scene: scene.contrast, 0.5,
    "It is brightened by contrast agent (130 to 500 HU) and is no bone.", between(*CONTRAST_HU),
)  # fmt: skip
_airways = _one(
    "airway", lambda scene: scene.airway, 0.7, "It is a long air-filled tube near the middle, outside the lungs.",
    between(-1100.0, -500.0),
)  # fmt: skip
_bones_rule = _one(
    "bone", _bones, 0.85, "It is brighter than 160 HU and dense somewhere near, as bone is.",
    between(BONE_HU, METAL_HU, solid=True),
)  # fmt: skip

_CT: dict[str, Rule] = {
    "body": _body,
    "skin": _one("skin", _skin, 0.7, "It is the outermost 2 to 3 mm of the body.", as_found),
    "lung": _lungs,
    "airway": _airways,
    "trachea": _airways,
    "trachea_and_bronchus": _airways,
    "larynx_air": _airways,
    "air": _window("air", -np.inf, AIR_HU, 0.8),
    "gas": _window("gas", -np.inf, AIR_HU, 0.8),
    "bone": _bones_rule,
    "cortical_bone": _one("cortical bone", _cortical, 0.7, "It is bone above 350 HU.", between(CORTICAL_HU, METAL_HU)),
    "skull": _one("skull", _skull, 0.6, "It is the bone round the brain.", between(BONE_HU, METAL_HU, solid=True)),
    "brain": _one("brain", lambda scene: scene.brain, 0.7, "It is the soft tissue inside the skull.", as_found),
    "body_fat": _window("fat", *FAT_HU),
    "subcutaneous_fat": _one(
        "subcutaneous fat", _subcutaneous, 0.6, "It is fat that hangs on the skin.", between(*FAT_HU)
    ),
    "visceral_fat": _one("visceral fat", _visceral, 0.45, "It is fat away from the skin.", between(*FAT_HU)),
    "soft_tissue": _window("soft tissue", *SOFT_HU),
    "muscle": _window("muscle and what is as dense", *MUSCLE_HU, 0.35),
    "fluid": _one("fluid", _fluid, 0.4, "It is even and has the HU of water.", between(-30.0, 40.0)),
    "water": _one("water", _fluid, 0.4, "It is even and has the HU of water.", between(-30.0, 40.0)),
    "bladder": _bladder,
    "contrast_agent": _vessels,
    "contrast_filled_vessel": _vessels,
    "blood_vessel": _vessels,
    "metal": _metal_rule,
    "implant": _metal_rule,
    "hip_implant": _metal_rule,
    "dental_implant": _metal_rule,
    "calcification": _components(
        "calcification", _calcified, 5.0, 0.4, "It is small, as dense as bone, and apart from bones.",
        between(BONE_HU, METAL_HU),
    ),
    "table": _one("table", _table, 0.6, "It is what is solid beside the body.", as_found),
    "background": _one("background", _background, 0.9, "It is all that is no body.", as_found),
}  # fmt: skip
_OTHER: dict[str, Rule] = {
    "body": _body,
    "brain": _one(
        "brain",
        lambda scene: scene.brain,
        0.7,
        "It is all that was left of the head when the skull was taken off.",
        as_found,
    ),
    "skin": _CT["skin"],
    "background": _CT["background"],
}
