"""The report of biomedparse_memory.py."""

from __future__ import annotations

from statistics import stdev

from biomedparse_playing import CAPACITY, ENOUGH, MOST_PROMPTS, WRONG

Scores = dict[str, list[dict[str, float | None]]]


def report(found: dict[str, Scores]) -> str:
    """found: scores by what was played and row."""
    parts = [HEAD.format(capacity=CAPACITY, wrong=WRONG, enough=ENOUGH, most=MOST_PROMPTS)]
    for name, title in TITLES.items():
        if name in found:
            stacks = len(next(iter(found[name].values())))
            parts.append(
                "\n".join([title.format(stacks=stacks), table(found[name]), AGAINST, differences(found[name])])
            )
    return "\n".join([*parts, END])


def table(rows: Scores) -> str:
    hard = any(score["hard"] is not None for scores in rows.values() for score in scores)
    names = ["3D Dice", *(["Dice where it is hard"] if hard else []), "unevenness", "slices to correct"]
    names += ["presence told right", "prompts", "not done", "ms a slice"]
    lines = ["| memory | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for row, scores in rows.items():
        cells = [f"{mean(scores, 'dice'):.3f}", *([f"{mean(scores, 'hard'):.3f}"] if hard else [])]
        cells += [f"{mean(scores, 'uneven'):.3f}", f"{mean(scores, 'to_correct'):.2f}"]
        cells += [f"{mean(scores, 'told_right'):.1%}", f"{mean(scores, 'prompts'):.2f}"]
        cells += [f"{1 - mean(scores, 'done'):.0%}", f"{1000 * mean(scores, 'seconds'):.1f}"]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def differences(rows: Scores) -> str:
    """Of every row to the first, stack by stack: mean, standard error, and of how many stacks."""
    (_, base), *others = rows.items()
    parts = {"dice": "3D Dice", "hard": "Dice where it is hard", "uneven": "unevenness"}
    parts |= {"told_right": "presence told right", "prompts": "prompts"}
    lines = ["| memory | " + " | ".join(parts.values()) + " |", "|---" * (len(parts) + 1) + "|"]
    for row, scores in others:
        cells = [difference(base, scores, part) for part in parts]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def difference(base: list[dict[str, float | None]], scores: list[dict[str, float | None]], part: str) -> str:
    pairs = [(one[part], other[part]) for one, other in zip(base, scores)]
    apart = [float(other) - float(one) for one, other in pairs if one is not None and other is not None]
    if len(apart) < 2:
        return "-"
    return f"{mean_of(apart):+.3f} ± {stdev(apart) / len(apart) ** 0.5:.3f} ({len(apart)})"


def mean_of(values: list[float]) -> float:
    return sum(values) / len(values)


def mean(scores: list[dict[str, float | None]], part: str) -> float:
    """Of those that have it."""
    values = [float(score[part]) for score in scores if score[part] is not None]
    return mean_of(values)


HEAD = """# BiomedParse's memory of slices

The published weights are not free to pass on and were not at hand. So these figures are of two small networks in their
place, on stacks of simple objects and on small pictures of real ones. They say what each part of the memory does where
it is tried; they say nothing of BiomedParse's own accuracy.

In a stack words name one of three objects, such as "bright object" or "left object". In some slices an object all but
vanishes, in some two that differ are equally bright, and an object at the edge may be the left one of a slice without
being the left one of the stack. The same stacks in every row; a bank of {capacity} slices. *Hard*: slices in which the
named object was made to vanish or to look like another. *Unevenness*: by how much the overlap (Dice) of neighbouring
masks differs from that of the true ones. *Slices to correct*: with a Dice below {wrong}. *Prompts*: slices that a user
corrects, the one with the most wrong voxels first, until the 3D Dice is {enough}, at most {most} (*not done*: share of
stacks in which that was not enough); memory is told of each, and the others are answered again. Prompts were counted
in the first twenty stacks. Times are of one thread of a machine that was busy with other work: compare rows, not more.
"""
AGAINST = "Against no memory, stack by stack: mean ± standard error (stacks that have it).\n"
TITLES = {
    "stand-in": """## Without training: a network that knows nothing but brightness

It answers "bright object" by brightness alone, slice by slice. {stacks} stacks of 20 slices.
""",
    "synthetic": """## With training: a reduced network, and its memory

BiomedParse's own modules with fewer channels (0.9 million parameters, slices of 64 x 64, masks of 16 x 16), trained for
2,000 steps, 24 minutes on a shared CPU, to answer to bright, dark, left and right, and to nine names of structures;
then only the memory was trained, for 300 steps, everything else frozen. {stacks} stacks of 12 slices that neither has
seen.
""",
    "structures": """## Structures of labelled volumes

The same network and memory, on {stacks} stacks of up to 12 slices of validation subjects, asked for by the names that
the network met in training. The stacks come of 14 subjects (tumours, ventricle, brainstem, larynx, glands, mandible,
cord, one oesophagus), several of one and the same, so that the standard errors below are smaller than they should be;
corrections were counted in the first twenty, of four subjects.
""",
}
END = """## What this says

Only what is more than two standard errors away from no difference is counted as found.

- The reduced network answers to words: a 3D Dice of 0.83 on stacks it has not seen. An earlier training ended at 0.35.
  Several things were changed at once (twelve scenes a step instead of two, several questions of each, rate, weights of
  the losses, share of places drawn, initial sizes, existence teaching the queries), and which of them mattered was not
  told apart. Of real structures it finds little (0.27), at 64 x 64 and after so short a training.
- Memory without training leaves the first answer much as it is: the 3D Dice is half a point better with the stand-in,
  and the same with the reduced network, on objects and on structures.
- Where it helps is in correcting: fewer slices have to be corrected with the stand-in (2.9 to 2.5) and with structures
  (4.6 to 3.5; four subjects). On the reduced network's synthetic stacks the difference has the same sign and is not
  found. With the stand-in it also finds more where the object is hard to see, and tells presence a little worse. Only
  seven of the reduced network's stacks have hard slices of what was asked for, too few to tell.
- By which rule slices are kept, decay and prominence make no difference that could be told.
- The trained look tells presence worse on synthetic stacks (by eight of a hundred slices), takes longer, and saves no
  corrections that remembered masks do not save; nothing was found that it does for the 3D Dice. Neighbouring masks of
  structures agree a little better with it. It is one run of 300 steps; three forms before this one (slower gates, no
  look of the mask features, all slices counting the same) were given up after a look at other stacks.

So remembered masks are worth having for who corrects slices, and the trained look, as far as it was trained here, is
not worth its time; without a trained file it is off.

To measure again (two CPU cores, about an hour):

    memseg train prepare DATASET --out SHARDS
    memseg train biomedparse-memory --out RUN --shards SHARDS/NAME --words bright,dark,left,right \\
        --network-steps 2000 --steps 300 --watched-objects 16 --batch 3 --minutes 90 --device cpu
    python Testing/benchmarks/biomedparse_memory.py --run RUN --words bright,dark,left,right --dataset DATASET \\
        --stacks 40 -o Testing/benchmarks/RESULTS-biomedparse.md
"""
