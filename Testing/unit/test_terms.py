"""The table of names: complete, unambiguous, quick, and with the names data sets use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from memseg.text import spelling, terminology
from memseg.text.naming import key_of
from memseg.text.terminology import Side, complete, find, name_of, of_name, plural_name_of, term

KINDS = {"organ", "bone", "vessel", "muscle", "lesion", "tissue", "cavity", "device", "region", "body"}

# TotalSegmentator's class map, task "total" of version 2 (github.com/wasserth/TotalSegmentator), sides and levels
# apart.
TOTALSEGMENTATOR = [
    *("spleen", "gallbladder", "liver", "stomach", "pancreas", "lung_middle_lobe_right", "esophagus", "trachea"),
    *("thyroid_gland", "small_bowel", "duodenum", "colon", "urinary_bladder", "prostate", "sacrum", "heart", "aorta"),
    *("pulmonary_vein", "brachiocephalic_trunk", "atrial_appendage_left", "superior_vena_cava", "inferior_vena_cava"),
    *("portal_vein_and_splenic_vein", "spinal_cord", "brain", "skull", "sternum", "costal_cartilages", "vertebrae_S1"),
    *("heart_myocardium", "heart_atrium_left", "heart_ventricle_left", "heart_atrium_right", "heart_ventricle_right"),
    *("lung_vessels", "lung_trachea_bronchia", "intracerebral_hemorrhage", "hip_implant", "coronary_arteries", "body"),
    *("pleural_effusion", "pericardial_effusion", "liver_vessels", "liver_tumor", "vertebrae_body", "vertebrae"),
    *("intervertebral_discs", "subcutaneous_fat", "torso_fat", "skeletal_muscle", "brainstem", "subarachnoid_space"),
    *("septum_pellucidum", "cerebellum", "thalamus", "nasopharynx", "oropharynx", "hypopharynx", "soft_palate"),
    *("hard_palate", "thyroid_cartilage", "hyoid", "cricoid_cartilage", "tongue", "third_ventricle"),
    "fourth_ventricle",
    *(f"vertebrae_{level}{number}" for level, last in (("C", 7), ("T", 12), ("L", 5)) for number in range(1, last + 1)),
    *(f"liver_segment_{number}" for number in range(1, 9)),
]
TOTALSEGMENTATOR_PAIRED = [
    *("kidney", "adrenal_gland", "lung_upper_lobe", "lung_lower_lobe", "lung", "kidney_cyst", "subclavian_artery"),
    *("common_carotid_artery", "brachiocephalic_vein", "iliac_artery", "iliac_vena", "humerus", "scapula", "clavicula"),
    *("femur", "hip", "gluteus_maximus", "gluteus_medius", "gluteus_minimus", "autochthon", "iliopsoas", "eye"),
    *("eye_lens", "optic_nerve", "parotid_gland", "submandibular_gland", "nasal_cavity", "auditory_canal", "masseter"),
    *("styloid_process", "internal_carotid_artery", "internal_jugular_vein", "temporalis", "lateral_pterygoid"),
    *("sternocleidomastoid", "trapezius", "platysma", "levator_scapulae", "anterior_scalene", "quadriceps_femoris"),
    *(f"rib_{number}" for number in range(1, 13)),
]
PAIRED = [term for term in terminology.TERMS if term.paired]


@pytest.mark.parametrize("name", TOTALSEGMENTATOR)
def test_the_names_of_totalsegmentator_are_known(name):
    assert of_name(name) is not None


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("name", TOTALSEGMENTATOR_PAIRED)
def test_so_are_those_that_say_a_side(name, side):
    words = f"rib_{side}_{name[4:]}" if name.startswith("rib_") else f"{name}_{side}"
    known = of_name(words)
    assert known is not None and known[0].paired and known[1] is side


@pytest.mark.parametrize(
    ("name", "key", "side"),
    [
        ("Parotid_L", "parotid_gland", Side.LEFT),
        ("BrainStem", "brain_stem", None),
        ("Left Kidney", "kidney", Side.LEFT),
        ("tumour_gtv", "tumor", None),
        ("necrotic_or_nonenhancing_core", "necrosis", None),
        ("peritumoral_oedema", "edema", None),
        ("left_ventricle_cavity", "left_ventricle", None),
        ("OESOPHAGUS", "esophagus", None),
    ],
)
def test_names_are_known_as_people_and_data_sets_write_them(name, key, side):
    assert of_name(name) == (term(key), side)


@pytest.mark.parametrize("name", ["", "Segment_1", "left right kidney", "left liver", "kidneys", "x" * 5000, "腎"])
def test_names_that_mean_nothing_are_of_nothing(name):
    assert of_name(name) is None


def test_find_knows_plurals_and_articles_too():
    assert find("the kidneys") == (term("kidney"), None)
    assert find("lobes of the left lung") == (term("lobe_of_lung"), Side.LEFT)
    assert find("a river") is None


@pytest.mark.parametrize(
    ("name", "key", "side"),
    [
        ("Kidney_Left", "kidney", "left"),
        ("liver", "liver", ""),
        ("My Odd-Duct 2", "my_odd_duct_2", ""),
        ("left thingummy", "thingummy", "left"),
        ("left and right thingummy", "left_and_right_thingummy", ""),
        ("肝臓", "肝臓", ""),
        ("left", "left", "left"),
    ],
)
def test_a_key_is_the_terms_or_the_name_in_its_form_without_a_side(name, key, side):
    assert key_of(name) == (key, side)


def test_every_name_singular_and_plural_is_found_as_its_own_term():
    for each in terminology.TERMS:
        for side in (None, *(Side if each.paired else ())):
            assert find(name_of(each, side)) == (each, side)
            assert find(plural_name_of(each, side)) == (each, side)


def test_every_synonym_is_found_and_almost_all_mean_one_thing():
    for each in terminology.TERMS:
        for words in each.synonyms:
            assert find(words) == (each, None), words
        for side, words in each.sided:
            assert find(words) == (each, side), words


def test_the_table_is_large_and_well_formed():
    keys = [each.key for each in terminology.TERMS]
    assert len(keys) > 550 and len(set(keys)) == len(keys)
    for each in terminology.TERMS:
        assert each.kind in KINDS and each.key == each.key.lower() and " " not in each.key
        assert each.rgb is not None and all(0 <= value <= 255 for value in each.rgb)
        assert not each.broader or term(each.broader)
        assert not each.within or (term(each.within) and each.region == term(each.within).type)
        assert (each.type is None) == (each.category is None) and (not each.listed or each.type)
        assert each.paired or not each.sided


@pytest.mark.parametrize(
    ("prefix", "first"),
    [
        ("kidn", ("kidney", "left kidney", "right kidney")),
        ("left kid", ("left kidney",)),
        ("oesoph", ("oesophageal", "oesophagus")),
        ("right lower l", ("lower lobe of right lung",)),
        ("largest lesion in the right lu", ("largest lesion in the right lung",)),
        ("LIV", ("liver",)),
    ],
)
def test_what_is_typed_so_far_is_completed(prefix, first):
    assert complete(prefix)[: len(first)] == first


def test_remembered_names_complete_first_and_nothing_completes_nothing():
    assert complete("kid", remembered=["Kidney graft", "spleen"])[:2] == ("Kidney graft", "kidney")
    assert complete("") == complete("qqq") == ()
    assert len(complete("l", limit=3)) == 3


def test_whatever_is_completed_can_be_found():
    for prefix in ("a", "le", "right v", "lu", "ve", "small"):
        for words in complete(prefix, limit=30):
            assert find(words) is not None, words


def test_looking_up_words_needs_nothing_heavy_and_no_table_until_asked():
    code = (
        "import sys, memseg.text.parse\n"
        "from memseg.text import terminology\n"
        "print(terminology._terms.cache_info().currsize, [name for name in ('numpy', 'torch', 'scipy')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60)
    assert done.stdout.strip() == "0 []", done.stderr


def test_the_file_is_as_its_builder_writes_it():
    text = (Path(terminology.__file__).parent / "terms.json").read_text(encoding="utf-8")
    assert len(json.loads(text)) == len(terminology.TERMS) == text.count("\n") - 2


# -- spelling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "several"),
    [
        ("kidney", "kidneys"),
        ("vertebra", "vertebrae"),
        ("metastasis", "metastases"),
        ("artery", "arteries"),
        ("mass", "masses"),
        ("lobe of lung", "lobes of lung"),
        ("femoral head", "femoral heads"),
    ],
)
def test_plurals(one, several):
    assert spelling.plural_of(one) == several


@pytest.mark.parametrize(
    ("word", "other", "off"),
    [
        ("liver", "liver", 0),
        ("livr", "liver", 1),
        ("lvier", "liver", 1),
        ("lever", "liver", 1),
        ("kidnee", "kidney", 1),
        ("spleen", "liver", 3),
    ],
)
def test_distances_count_letters_and_swaps(word, other, off):
    assert spelling.distance(word, other, 2) == off


def test_of_two_words_that_are_as_near_neither_is_meant():
    assert spelling.nearest("livex", [("liver", 0), ("lives", 0)]) is None
    assert spelling.nearest("livex", [("liver", 0), ("lives", 1)]) == "liver"
    assert spelling.nearest("pancreaz", [("pancreases", 0), ("pancreas", 0)]) == "pancreas"
    assert spelling.nearest("lvr", [("liver", 0)]) is None
