"""What a segment's name means: SNOMED codes and colour, from the lists of terms that Slicer ships.

A table of the structures people segment most, so that no terminology file has to be found at run time; a test compares
it with those files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_Kinds = dict[str, tuple[str, str, tuple[int, int, int]]]  # name: (SNOMED code, meaning in the list, colour 0 to 255)

_GENERAL = "Segmentation category and type - 3D Slicer General Anatomy list"
_MASTER = "Segmentation category and type - DICOM master list"
_REGIONS = "Anatomic codes - DICOM master list"
_ANATOMY = ("123037004", "Anatomical Structure")
_TISSUE = ("85756007", "Tissue")
_ALTERED = ("49755003", "Morphologically Altered Structure")
_SIDES = {"right": ("24028007", "Right"), "left": ("7771000", "Left")}
_BONE, _ARTERY, _VEIN, _MUSCLE = (241, 214, 145), (216, 101, 79), (0, 151, 206), (192, 104, 88)

_SINGLE: _Kinds = {
    "abdomen": ("113345001", "Abdomen", (177, 122, 101)),
    "aorta": ("15825003", "Aorta", (224, 97, 76)),
    "bile duct": ("28273000", "Bile Duct", (0, 145, 30)),
    "bladder": ("89837001", "Bladder", (222, 154, 132)),
    "brain": ("12738006", "Brain", (250, 250, 225)),
    "colon": ("71854001", "Colon", (204, 168, 143)),
    "duodenum": ("38848004", "Duodenum", (255, 253, 229)),
    "esophagus": ("32849002", "Esophagus", (211, 171, 143)),
    "gallbladder": ("28231008", "Gallbladder", (139, 150, 98)),
    "heart": ("80891009", "Heart", (206, 110, 84)),
    "larynx": ("4596009", "Larynx", (150, 208, 243)),
    "left ventricle": ("87878005", "Left Ventricle", (152, 55, 13)),
    "liver": ("10200004", "Liver", (221, 130, 101)),
    "mandible": ("91609006", "Mandible", (222, 198, 101)),
    "mediastinum": ("72410000", "Mediastinum", (255, 244, 209)),
    "pancreas": ("15776009", "Pancreas", (249, 180, 111)),
    "middle lobe of right lung": ("72481006", "Middle lobe of right lung", (202, 164, 140)),
    "prostate": ("41216001", "Prostate", (230, 158, 140)),
    "rib": ("113197003", "Rib", (253, 232, 158)),
    "right ventricle": ("53085002", "Right Ventricle", (181, 85, 57)),
    "skull": ("89546000", "Skull", (241, 213, 144)),
    "small intestine": ("30315005", "Small Intestine", (205, 167, 142)),
    "spinal cord": ("2748008", "Spinal cord", (244, 214, 49)),
    "spleen": ("78961009", "Spleen", (157, 108, 162)),
    "sternum": ("56873002", "Sternum", (244, 217, 154)),
    "stomach": ("69695003", "Stomach", (216, 132, 105)),
    "thyroid": ("69748006", "Thyroid", (62, 162, 114)),
    "trachea": ("44567001", "Trachea", (182, 228, 255)),
    "urethra": ("13648007", "Urethra", (124, 186, 223)),
    "uterus": ("35039007", "Uterus", (255, 181, 158)),
}
_PAIRED: _Kinds = {
    "adrenal gland": ("23451007", "Adrenal gland", (249, 186, 150)),
    "clavicle": ("51299004", "Clavicle", (205, 179, 108)),
    "eyeball": ("79652003", "Eyeball", (194, 142, 0)),
    "kidney": ("64033007", "Kidney", (185, 102, 83)),
    "lower lobe of lung": ("90572001", "Lower lobe of lung", (224, 186, 162)),
    "lung": ("39607008", "Lung", (197, 165, 145)),
    "ovary": ("15497006", "Ovary", (213, 141, 113)),
    "seminal vesicle": ("64739004", "Seminal Vesicle", (245, 172, 147)),
    "upper lobe of lung": ("45653009", "Upper lobe of lung", (172, 138, 115)),
}
# The master list recommends no colours for these: they get their tissue's.
_MASTER_SINGLE: _Kinds = {
    "brain stem": ("119238007", "Brain stem", (145, 92, 109)),
    "cerebellum": ("113305005", "Cerebellum", (194, 195, 164)),
    "inferior vena cava": ("64131007", "Inferior vena cava", _VEIN),
    "left atrium": ("82471001", "Left atrium", (203, 108, 81)),
    "portal vein": ("32764006", "Portal vein", _VEIN),
    "pulmonary artery": ("81040000", "Pulmonary artery", (0, 122, 171)),
    "pulmonary vein": ("122972007", "Pulmonary vein", (186, 77, 64)),
    "right atrium": ("73829009", "Right atrium", (210, 115, 89)),
    "sacrum": ("54735007", "Sacrum", _BONE),
    "superior vena cava": ("48345005", "Superior vena cava", _VEIN),
    "vertebra": ("51282000", "Vertebra", _BONE),
}
_MASTER_PAIRED: _Kinds = {
    "breast": ("76752008", "Breast", (177, 122, 101)),
    "common carotid artery": ("32062004", "Common carotid artery", _ARTERY),
    "common iliac artery": ("73634005", "Common iliac artery", _ARTERY),
    "common iliac vein": ("46027005", "Common iliac vein", _VEIN),
    "erector spinae": ("44947003", "Erector spinae muscle", _MUSCLE),
    "femur": ("71341001", "Femur", _BONE),
    "hippocampus": ("5366008", "Hippocampus", (244, 214, 49)),
    "humerus": ("85050009", "Humerus", _BONE),
    "ilium": ("22356005", "Ilium", _BONE),
    "parotid gland": ("45289007", "Parotid gland", (70, 163, 117)),
    "patella": ("64234005", "Patella", _BONE),
    "scapula": ("79601000", "Scapula", _BONE),
}
_TISSUES: _Kinds = {
    "artery": ("51114001", "Artery", (216, 101, 79)),
    "body fat": ("248300009", "Body fat", (230, 220, 70)),
    "bone": ("272673000", "Bone", (241, 214, 145)),
    "lymph node": ("59441001", "Lymph node", (68, 172, 100)),
    "muscle": ("71616004", "Muscle", (192, 104, 88)),
    "vein": ("29092000", "Vein", (0, 151, 206)),
}
_LESIONS: _Kinds = {
    "cyst": ("367643001", "Cyst", (205, 205, 100)),
    "edema": ("79654002", "Edema", (140, 224, 228)),
    "hemorrhage": ("50960005", "Hemorrhage", (188, 65, 28)),
    "mass": ("4147007", "Mass", (144, 238, 144)),
    "necrosis": ("6574001", "Necrosis", (216, 191, 216)),
}
_OTHER_WORDS = {
    "lesion": "mass",
    "tumor": "mass",
    "tumour": "mass",
    "oesophagus": "esophagus",
    "oedema": "edema",
    "haemorrhage": "hemorrhage",
    "fat": "body fat",
    "urinary bladder": "bladder",
    "gall bladder": "gallbladder",
    "small bowel": "small intestine",
    "eye": "eyeball",
    "adrenal": "adrenal gland",
    "thyroid gland": "thyroid",
    "vertebrae": "vertebra",
    "brainstem": "brain stem",
    "lung lower lobe": "lower lobe of lung",
    "lung upper lobe": "upper lobe of lung",
    "right lung middle lobe": "middle lobe of right lung",
    "lung middle lobe right": "middle lobe of right lung",
}
_PAIRED_TABLES = ((_GENERAL, _ANATOMY, _PAIRED), (_MASTER, _ANATOMY, _MASTER_PAIRED))
_SINGLE_TABLES = (
    (_GENERAL, _ANATOMY, _SINGLE),
    (_GENERAL, _TISSUE, _TISSUES),
    (_GENERAL, _ALTERED, _LESIONS),
    (_MASTER, _ANATOMY, _MASTER_SINGLE),
)
_LEVEL = re.compile(r" [ctl]\d\d?$")  # of a vertebra, as in "vertebra L3"
# For names the table does not know: told apart also by people who confuse red and green (Okabe and Ito, 2008).
_SPARE_COLORS = (
    *((0, 158, 115), (230, 159, 0), (86, 180, 233), (213, 94, 0)),
    *((204, 121, 167), (240, 228, 66), (0, 114, 178)),
)


@dataclass(frozen=True)
class Entry:
    """name: in words. tag: as Slicer writes it to a segment's TerminologyEntry. color: RGB, 0 to 1."""

    name: str
    tag: str
    color: tuple[float, float, float]


def entryForName(name: str) -> Entry | None:
    """What a segment of this name is; None where the table does not know. "Right kidney", "kidney_right" are alike."""
    words = name.lower().replace("_", " ").replace("-", " ").split()
    sides = [word for word in words if word in _SIDES]
    whole = _LEVEL.sub("", " ".join(words))
    whole, bare = (_OTHER_WORDS.get(each, each) for each in (whole, " ".join(w for w in words if w not in _SIDES)))
    for context, category, kinds in _PAIRED_TABLES:
        if bare in kinds and len(sides) <= 1:
            return _entry(name, context, category, kinds[bare], _SIDES[sides[0]] if sides else None)
    for context, category, kinds in _SINGLE_TABLES:
        if whole in kinds:
            return _entry(name, context, category, kinds[whole], None)
    return None


def spareColor(number: int) -> tuple[float, float, float]:
    """RGB, 0 to 1, for the segment of that number, from 0."""
    return _fractions(_SPARE_COLORS[number % len(_SPARE_COLORS)])


def _entry(
    name: str,
    context: str,
    category: tuple[str, str],
    kind: tuple[str, str, tuple[int, int, int]],
    side: tuple[str, str] | None,
) -> Entry:
    code, meaning, color = kind
    codes = (_coded(category), _coded((code, meaning)), _coded(side) if side else "^^")
    return Entry(name, "~".join((context, *codes, _REGIONS, "^^", "^^")), _fractions(color))


def _coded(codeAndMeaning: tuple[str, str]) -> str:
    return f"SCT^{codeAndMeaning[0]}^{codeAndMeaning[1]}"


def _fractions(color: tuple[int, int, int]) -> tuple[float, float, float]:
    return tuple(value / 255 for value in color)
