"""Builds Logic/memseg/text/terms.json from terms.txt beside this file: run it after a change of the words.

Sources of the facts, none of whose text is copied: codes, meanings and recommended colours are looked up in the two
lists of terms that Slicer and trame-slicer ship ("3D Slicer General Anatomy list" and "DICOM master list"). The names
of label maps are those of TotalSegmentator's class map (github.com/wasserth/TotalSegmentator, map_to_binary.py), the
codes marked SCT in terms.txt from its totalsegmentator_snomed_mapping.csv or from DICOM PS3.16 as pydicom lists it: a
code that neither holds is refused. Synonyms, plurals and the order of things are our own. Where a list recommends no
colour, a term has its tissue's (bone, artery, vein, muscle), or the one given in terms.txt.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).resolve().parent
_TARGET = _FOLDER.parents[1] / "Logic" / "memseg" / "text" / "terms.json"
_CATEGORIES = {
    "anatomy": "Anatomical Structure",
    "tissue": "Tissue",
    "substance": "Body Substance",
    "altered": "Morphologically Altered Structure",
    "physical": "Physical object",
}
_CATEGORY_CODES = {
    "anatomy": ("SCT", "123037004", "Anatomical Structure"),
    "tissue": ("SCT", "85756007", "Tissue"),
    "substance": ("SCT", "91720002", "Body Substance"),
    "altered": ("SCT", "49755003", "Morphologically Altered Structure"),
    "physical": ("SCT", "260787004", "Physical object"),
}
_TISSUE_COLOURS = {
    "bone": (241, 214, 145),
    "artery": (216, 101, 79),
    "vein": (0, 151, 206),
    "muscle": (192, 104, 88),
    "nerve": (234, 234, 194),
    "cartilage": (150, 208, 243),
}
# TotalSegmentator's own codes (totalsegmentator_snomed_mapping.csv), of what DICOM PS3.16 lacks.
_TOTALSEGMENTATOR = frozenset(
    "74281007 67769002 3572006 181674001 78333006 75297007 68455001 29836001 28641004 53884002 83936004 41699000 "
    "47351003 22943007".split()
)
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
_ROMAN = "I II III IV V VI VII VIII".split()
_SUFFIXES = ("st", "nd", "rd") + ("th",) * 9
_SEGMENT_CODES = "71133005 277956007 277957003 277958008 277959000 277960005 277961009 277962002".split()
_SPINE = (("C", "cervical", 7), ("T", "thoracic", 12), ("L", "lumbar", 5), ("S", "sacral", 5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("terminologies", type=Path, nargs="?", help="the folder of Slicer's *.term.json files")
    folder = parser.parse_args().terminologies or _shipped_terminologies()
    terms = compiled(_FOLDER / "terms.txt", folder)
    lines = ",\n".join(json.dumps(term, ensure_ascii=False, separators=(",", ":")) for term in terms)
    _TARGET.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(terms)} terms, {sum(len(term.get('synonyms', ())) for term in terms)} synonyms in {_TARGET.name}")


def compiled(source: Path, terminologies: Path) -> list[dict[str, Any]]:
    """The records of terms.json: those of the source file, and the numbered vertebrae, ribs and liver segments."""
    lists = [_Listed(terminologies, name) for name in ("SlicerGeneralAnatomy", "DICOM-Master")]
    lines = [line for line in source.read_text(encoding="utf-8").splitlines() if line.strip() and line[0] != "#"]
    rows, group = [], ("", "", "")
    for line in [*lines, *_numbered()]:
        if line.startswith("["):
            group = tuple(line.strip("[]").split())
        else:
            rows.append(_Row(line, *group))
    names = {row.name: row for row in rows}
    if len(names) != len(rows):
        raise ValueError("a name is given twice")
    return [_record(row, names, lists) for row in rows]


def key_of(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


class _Row:
    """One line of terms.txt."""

    def __init__(self, line: str, kind: str, category: str, broader: str) -> None:
        fields = [field.strip() for field in line.split("|")] + [""] * 4
        name, synonyms, self.code, self.broader, colour = fields[:5]
        matched = re.fullmatch(r"([^*(]+?)(\*?)\s*(?:\((.+)\))?", name)
        self.name, self.paired, self.plural = matched[1].strip(), bool(matched[2]), matched[3] or ""
        given = [each.strip() for each in synonyms.split(",") if each.strip()]
        self.synonyms = [each for each in given if "=" not in each]
        self.sided = [each.split("=") for each in given if "=" in each]
        self.kind, self.category = kind, category
        self.broader = self.broader or broader
        self.key = {"vertebra": "vertebra_" + self.name.split()[0].lower()}.get(
            "vertebra" if re.fullmatch(r"[CTLS]\d+ vertebra", self.name) else "", key_of(self.name)
        )
        if matched := re.fullmatch(rf"({'|'.join(_ORDINALS)}) rib", self.name):
            self.key = f"rib_{_ORDINALS.index(matched[1]) + 1}"
        self.colour = tuple(int(value) for value in colour.split()) or None


class _Listed:
    """The types of one of Slicer's lists, by category and lower-case meaning."""

    def __init__(self, folder: Path, name: str) -> None:
        content = json.loads((folder / f"SegmentationCategoryTypeModifier-{name}.term.json").read_text("utf-8"))
        self.name = {"SlicerGeneralAnatomy": "general", "DICOM-Master": "master"}[name]
        self._types: dict[tuple[str, str], dict[str, Any]] = {}
        for category in content["SegmentationCodes"]["Category"]:
            for each in category["Type"]:
                self._types.setdefault((category["CodeMeaning"], each["CodeMeaning"].lower()), each)

    def find(self, category: str, meaning: str) -> dict[str, Any] | None:
        for suffix in ("", " muscle", " bone", " structure"):
            if found := self._types.get((_CATEGORIES[category], meaning.lower() + suffix)):
                return found
        return None


def _record(row: _Row, names: dict[str, _Row], lists: list[_Listed]) -> dict[str, Any]:
    category, chosen, sided = row.category, None, None
    explicit = re.fullmatch(r"SCT (\d+) (.+)", row.code)
    if not explicit and row.code != "-":
        meaning = row.code.removeprefix("=") or row.name
        for category in (row.category, "anatomy", "tissue", "altered", "substance", "physical"):
            hits = [(each, found) for each in lists if (found := each.find(category, meaning))]
            if hits:
                chosen, sided = hits[0], next((hit for hit in hits if _has_both_sides(hit[1])), None)
                break
        else:
            raise ValueError(f"no list has {meaning!r}; give a code, or -")
    record: dict[str, Any] = {"key": row.key, "name": row.name, "kind": row.kind}
    if row.paired:
        record["paired"] = True
    for name, value in (("plural", row.plural), ("synonyms", row.synonyms), ("sided", row.sided)):
        if value:
            record[name] = value
    if chosen:
        record["category"] = list(_CATEGORY_CODES[category])
        record["type"] = [chosen[1][field] for field in ("CodingSchemeDesignator", "CodeValue", "CodeMeaning")]
        record["listed"] = chosen[0].name
        if row.paired and sided:
            record["listed_sided"] = sided[0].name
    elif explicit:
        _check_code(explicit[1])
        record["category"] = list(_CATEGORY_CODES[row.category])
        record["type"] = ["SCT", explicit[1], explicit[2].strip()]
    broader, _, within = row.broader.partition(" in ")
    if broader and broader != "-":
        record["broader"] = names[broader].key
    if within:
        record["within"] = names[within].key
    record["rgb"] = list(_colour(row, names, [hit[1] for hit in (sided, chosen) if hit]))
    return record


def _has_both_sides(listed: dict[str, Any]) -> bool:
    """Slicer's general list has a right zygoma only."""
    return {"7771000", "24028007"} <= {modifier["CodeValue"] for modifier in listed.get("Modifier", ())}


def _colour(row: _Row, names: dict[str, _Row], types: list[dict[str, Any]]) -> tuple[int, ...]:
    """What a list recommends; else what terms.txt says; else its tissue's."""
    for each in types:
        for holder in (each, *each.get("Modifier", ())):
            if "recommendedDisplayRGBValue" in holder:
                return tuple(holder["recommendedDisplayRGBValue"])
    if row.colour:
        return row.colour
    above, seen = row.name, 0
    while above and seen < 9:
        if above in _TISSUE_COLOURS:
            return _TISSUE_COLOURS[above]
        above, seen = names[above].broader.partition(" in ")[0] if above in names else "", seen + 1
    return _TISSUE_COLOURS.get(row.kind, (177, 122, 101))


def _check_code(code: str) -> None:
    from pydicom.sr._concepts_dict import concepts

    known = {value for meanings in concepts["SCT"].values() for value in meanings}
    if code not in known | _TOTALSEGMENTATOR:
        raise ValueError(f"neither DICOM PS3.16 nor TotalSegmentator's table has the code {code}")


def _numbered() -> list[str]:
    """Lines as in terms.txt for what is numbered. Segment numbers are Couinaud's."""
    lines = ["[bone anatomy bone]"]
    for letter, region, count in _SPINE:
        for number in range(1, count + 1):
            level = f"{letter}{number}"
            others = [
                level,
                f"vertebra {level}",
                f"vertebrae {level}",
                f"vertebral body {level}",
                f"{level} vertebral body",
            ]
            others += [f"{_ORDINALS[number - 1]} {region} vertebra", f"{region} vertebra {number}"]
            others += [f"{number}{_SUFFIXES[number - 1]} {region} vertebra", f"{letter} {number}", f"{level} level"]
            others += {"C1": ["atlas"], "C2": ["axis"]}.get(level, [])
            parent = f"{region} vertebra" if region != "sacral" else "vertebra"
            lines.append(f"{level} vertebra ({level} vertebrae) | {', '.join(others)} | =Vertebra | {parent}")
    for number, ordinal in enumerate(_ORDINALS, start=1):
        others = [f"rib {number}", f"{number}{_SUFFIXES[number - 1]} rib", f"rib number {number}", f"costa {number}"]
        lines.append(f"{ordinal} rib* | {', '.join(others)} | =Rib | rib")
    lines.append("[organ anatomy -]")
    for number, (roman, code) in enumerate(zip(_ROMAN, _SEGMENT_CODES), start=1):
        others = [f"hepatic segment {number}", f"segment {number} of liver", f"Couinaud segment {number}"]
        others += [f"segment {roman}", f"liver segment {roman}", f"hepatic segment {roman}"]
        coded = f"SCT {code} Couinaud hepatic segment {roman}"
        lines.append(
            f"liver segment {number} (liver segments {number}) | {', '.join(others)} | {coded} | liver | 221 130 101"
        )
    return lines


def _shipped_terminologies() -> Path:
    import trame_slicer

    return Path(trame_slicer.__file__).parent / "resources" / "terminologies"


if __name__ == "__main__":
    main()
