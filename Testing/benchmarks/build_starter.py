"""Builds the recall memory that ships with the project from the permissive labelled volumes.

    .venv/bin/python Testing/benchmarks/build_starter.py data/labelled MemSegSlicer/Resources/Recall/starter.zip

What is kept of a structure is what `memseg.text.recalling.remember` makes of it: descriptors of places, a coarse shape,
a thumbnail; no voxels. Structures with many subjects are taken from training subjects alone; the abdominal CT is the
only one of its kind. Each entry names its subject, so that an evaluation can leave it out, its licence and its source.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from memseg.errors import MemSegError
from memseg.evaluation import dataset
from memseg.memory.recall import RecallEntry
from memseg.memory.recall_files import export
from memseg.text.recalling import remember

MOST_OF_A_NAME = 10  # entries of one structure in one kind of image; more hardly help and take 25 kB each
MADE = "2026-11-25"
ATLAS = "ts-A"  # the subject whose organs no other one has


def main(folder: Path, target: Path) -> None:
    records = {record["id"]: record for record in json.loads((folder / "manifest.json").read_text(encoding="utf-8"))}
    held: Counter[tuple[str, str, str]] = Counter()
    entries: list[RecallEntry] = []
    for entry in dataset.read(folder).entries:
        if dataset.is_validation(entry.subject) and entry.subject != ATLAS:
            continue
        wanted = [name for name, _ in entry.labels]
        if all(held[entry.source, entry.modality, name] >= MOST_OF_A_NAME for name in wanted):
            continue
        for labelled in dataset.objects_of(entry, most=1000):
            place = entry.source, entry.modality, labelled.name
            if held[place] >= MOST_OF_A_NAME:
                continue
            try:
                made = remembered(labelled, records[entry.identity])
            except MemSegError as error:
                print(f"{entry.identity} {labelled.name}: {error}")
                continue
            held[place] += 1
            entries.append(made)
        print(f"{entry.identity}: {len(entries)} entries", flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    export(entries, target)
    print(f"{target}: {len(entries)} entries, {target.stat().st_size / 1e6:.2f} MB")


def remembered(labelled: dataset.LabelledObject, record: dict) -> RecallEntry:
    entry = labelled.entry
    made = remember(
        labelled.volume,
        labelled.box,
        labelled.truth,
        labelled.name,
        modality=entry.modality if entry.modality in ("CT", "MR", "PET") else "",
        subject=entry.subject,
        licence=str(record.get("licence", record.get("license", "")))[:200],
        note=f"{record['source']}; label: {record.get('label_kind', 'unknown')}"[:400],
    )
    identity = hashlib.md5(f"{entry.identity} {labelled.name}".encode(), usedforsecurity=False).hexdigest()
    return replace(made, identity=identity, made=MADE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
