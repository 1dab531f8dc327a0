"""How likely something that stands out is a lesion of a kind: by its brightness, its values on CT and its shape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .blobs import Blob
from .physics import Scene
from .sight import Sight
from .terminology import Term

Weigher = Callable[[Sight, Blob], float]
_DARK_ANYWHERE = {"cyst", "pseudocyst", "necrosis", "infarct", "emphysema", "pneumothorax", "abscess"}
_BRIGHT_ANYWHERE = {"enhancing_tumor", "calcification", "stone", "nodule", "lung_nodule", "white_matter_hyperintensity",
                    "plaque", "gallstone", "kidney_stone"}  # fmt: skip
_BRIGHT_ON_MR = {"edema"}
_BRIGHT_ON_CT = {"hemorrhage", "intracerebral_hemorrhage", "subdural_hematoma", "epidural_hematoma", "infiltrate"}
_HU = {  # of the mean of the lesion
    "cyst": (-20.0, 40.0), "pseudocyst": (-20.0, 40.0), "necrosis": (-10.0, 60.0), "calcification": (130.0, 2500.0),
    "stone": (130.0, 2500.0), "gallstone": (50.0, 2500.0), "kidney_stone": (130.0, 2500.0), "plaque": (100.0, 2500.0),
    "hemorrhage": (35.0, 110.0), "infarct": (5.0, 40.0), "emphysema": (-1024.0, -920.0),
    "pneumothorax": (-1100.0, -900.0), "effusion": (-10.0, 40.0), "pleural_effusion": (-10.0, 40.0),
    "ascites": (-10.0, 40.0), "infiltrate": (-800.0, 100.0), "nodule": (-700.0, 400.0), "lung_nodule": (-700.0, 400.0),
}  # fmt: skip
_ANY_HU = (-60.0, 250.0)  # of a lesion of soft tissue
# What is small by its nature; of any other lesion the larger is the likelier, of two that stand out alike.
_SMALL = {"calcification", "stone", "nodule", "lung_nodule", "white_matter_hyperintensity", "plaque", "gallstone",
          "kidney_stone", "cyst", "kidney_cyst", "infarct"}  # fmt: skip
_LARGE_MM, _LEAST_OF_SMALL = 30.0, 0.5
_HALF_SURE = 1.2  # prominence at which what stands out is a thing of its own as likely as not
# How often that thing is a lesion. On training subjects what stands out most is the tumour on 5 of 6 PETs, 1 of 2 brain
# MRs, 1 of 6 CTs of limbs.
_A_LESION = {"PET": 1.0, "MR": 0.7, "CT": 0.6, "": 0.6}


def plain(sight: Sight, blob: Blob) -> float:
    """How sure it is that a blob is a thing at all."""
    return float(blob.prominence / (blob.prominence + _HALF_SURE))


def brightness_of(key: str, modality: str) -> bool | None:
    """True for what is bright by its nature, False for dark, None where it may be either."""
    if modality == "PET" or key in _BRIGHT_ANYWHERE:
        return True
    if key in _DARK_ANYWHERE:
        return False
    if key in (_BRIGHT_ON_MR if modality == "MR" else _BRIGHT_ON_CT):
        return True
    return None


def weigher(wanted: Term, scene: Scene) -> Weigher:
    """How sure it is that a blob of the scene is such a lesion."""
    low, high = _HU.get(wanted.key, _ANY_HU)
    least = 1.0 if wanted.key in _SMALL else _LEAST_OF_SMALL

    def weigh(sight: Sight, blob: Blob) -> float:
        sure = plain(sight, blob) * _A_LESION[sight.modality] * scene.unlike_its_mirror(sight, blob.piece)
        sure *= least + (1 - least) * min(blob.diameter_mm / _LARGE_MM, 1.0)
        if not sight.is_ct:
            return sure
        mean = float(sight.image[blob.piece.box.slices][blob.piece.values].mean())
        if not low <= mean <= high:
            return 0.0
        return sure * (1 - _normal_share(sight, blob, scene))

    return weigh


def _normal_share(sight: Sight, blob: Blob, scene: Scene) -> float:
    """The part of it that is bone or airway, as far as that is known."""
    native = sight.native(blob.piece)
    seen = scene.sight.seen(native)
    return float(np.clip(seen.share_in(scene.bone) + seen.share_in(scene.airway), 0, 1))
