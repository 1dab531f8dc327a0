"""How words are written: plain letters, British and American, one and several, and slips of the keyboard."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_BRITISH = {
    "tumour": "tumor",
    "tumoural": "tumoral",
    "peritumoural": "peritumoral",
    "oesophagus": "esophagus",
    "oesophageal": "esophageal",
    "oedema": "edema",
    "oedematous": "edematous",
    "haemorrhage": "hemorrhage",
    "haemorrhagic": "hemorrhagic",
    "haematoma": "hematoma",
    "ischaemic": "ischemic",
    "coeliac": "celiac",
    "caecum": "cecum",
    "coecum": "cecum",
    "faeces": "feces",
    "faecal": "fecal",
    "grey": "gray",
    "centre": "center",
    "colour": "color",
    "fibre": "fiber",
    "goitre": "goiter",
    "neighbour": "neighbor",
    "neighbouring": "neighboring",
    "disk": "disc",
    "artefact": "artifact",
    "calibre": "caliber",
    "metre": "meter",
    "millimetre": "millimeter",
    "centimetre": "centimeter",
    "haemangioma": "hemangioma",
    "leucocyte": "leukocyte",
    "oestrogen": "estrogen",
    "foetus": "fetus",
    "foetal": "fetal",
    "orthopaedic": "orthopedic",
    "immobilisation": "immobilization",
    "localised": "localized",
    "calcified": "calcified",
    "grey-white": "gray-white",
}
_IRREGULAR = {
    "vertebra": "vertebrae",
    "metastasis": "metastases",
    "diagnosis": "diagnoses",
    "necrosis": "necroses",
    "stenosis": "stenoses",
    "prosthesis": "prostheses",
    "endoprosthesis": "endoprostheses",
    "calculus": "calculi",
    "thrombus": "thrombi",
    "embolus": "emboli",
    "bronchus": "bronchi",
    "nucleus": "nuclei",
    "sulcus": "sulci",
    "gyrus": "gyri",
    "meniscus": "menisci",
    "humerus": "humeri",
    "radius": "radii",
    "hippocampus": "hippocampi",
    "thalamus": "thalami",
    "atrium": "atria",
    "ostium": "ostia",
    "ilium": "ilia",
    "septum": "septa",
    "acetabulum": "acetabula",
    "scapula": "scapulae",
    "patella": "patellae",
    "maxilla": "maxillae",
    "bulla": "bullae",
    "pleura": "pleurae",
    "larynx": "larynges",
    "pharynx": "pharynges",
    "phalanx": "phalanges",
    "meninx": "meninges",
    "tooth": "teeth",
    "foot": "feet",
    "testis": "testes",
    "pelvis": "pelves",
    "cortex": "cortices",
    "apex": "apices",
    "appendix": "appendices",
    "femur": "femora",
    "foramen": "foramina",
    "body": "bodies",
    "cavity": "cavities",
    "artery": "arteries",
    "extremity": "extremities",
    "opacity": "opacities",
    "abnormality": "abnormalities",
    "malignancy": "malignancies",
    "anomaly": "anomalies",
    "calf": "calves",
}
_NOT_LETTERS = re.compile(r"[^a-z0-9]+")


def plain(words: str) -> str:
    """Lower case, accents removed, anything but letters and digits a single space."""
    decomposed = unicodedata.normalize("NFKD", words.lower())
    letters = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return _NOT_LETTERS.sub(" ", letters.replace("ß", "ss").replace("æ", "ae").replace("œ", "oe")).strip()


def american(word: str) -> str:
    """The American spelling of one lower-case word, singular or plural."""
    if word in _BRITISH:
        return _BRITISH[word]
    if word.endswith("s") and word[:-1] in _BRITISH:
        return _BRITISH[word[:-1]] + "s"
    return word


def plural_of(words: str) -> str:
    """Of a phrase whose last word before "of" is the noun: "lobes of lung", "vertebrae"."""
    head, of, rest = words.partition(" of ")
    before, space, noun = head.rpartition(" ")
    return f"{before}{space}{_plural(noun)}{of}{rest}"


def _plural(noun: str) -> str:
    lower = noun.lower()
    if lower in _IRREGULAR:
        return _IRREGULAR[lower]
    if lower.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if lower.endswith("y") and lower[-2:-1] not in ("a", "e", "o", "u", ""):
        return noun[:-1] + "ies"
    return noun + "s"


def distance(word: str, other: str, most: int) -> int:
    """How many letters must be put in, left out, changed, or swapped with their neighbour to get from one to the other
    (optimal string alignment); most + 1 where it is more than `most`."""
    if abs(len(word) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(word, start=1):
        before, last, row = row, before, [i]
        for j, wanted in enumerate(other, start=1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == wanted:
                best = min(best, last[j - 2] + 1)
            row.append(best)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)


def nearest(word: str, vocabulary: Iterable[tuple[str, int]]) -> str | None:
    """The word of the vocabulary that `word` could be a slip of: one letter off for four to six letters, two for more.
    vocabulary: words and their ranks; of two that are as near as each other, the lower rank wins, then one that begins
    the other. None where there is none, or where two are alike in all that."""
    most = 0 if len(word) < 4 else 1 if len(word) < 7 else 2
    if not most:
        return None
    best, found, tie = (most + 1, 0), "", False
    for other, rank in vocabulary:
        if len(other) < 4 or abs(len(other) - len(word)) > most or not _begins_alike(word, other):
            continue
        off = (distance(word, other, min(best[0], most)), rank)
        if off[0] > most or off > best:
            continue
        if off < best or found.startswith(other):
            best, found, tie = off, other, False
        elif not other.startswith(found):
            tie = True
    return None if tie or not found else found


def _begins_alike(word: str, other: str) -> bool:
    """The first letter is seldom the wrong one: it may be missing, doubled or swapped with the second."""
    return word[0] == other[0] or word[:2] == other[1::-1] or word == other[1:] or word[1:] == other
