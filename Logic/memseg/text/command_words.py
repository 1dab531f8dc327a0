"""Words of the commands on the mask that is there; see parse_commands.py."""

from __future__ import annotations

from .tokens import Phrases

GROW = Phrases(
    {
        1.0: "grow, expand, dilate, enlarge, inflate, widen, thicken, increase, pad, grow out, expand out, "
        "make bigger, make larger, make thicker, bigger, larger, thicker, extend, grow outwards, growing, dilation, "
        "expansion, margin",
        -1.0: "shrink, erode, contract, reduce, deflate, thin, thin out, make smaller, make thinner, smaller, "
        "thinner, tighten, shrink in, shrinking, erosion, pull in, decrease",
    }
)
SMOOTH = Phrases(
    {
        True: "smooth, smoothen, smooth out, smoother, smoothing, make smoother, make smooth, soften, round off, "
        "relax, smoothe"
    }
)
FILL = Phrases({True: "fill, fill in, close, plug, fill up, close up, remove, patch, seal"})
HOLES = Phrases(
    {
        True: "hole, holes, gap, gaps, void, voids, cavities, openings, inner holes, internal holes, pinholes, "
        "inside holes"
    }
)
KEEP = Phrases(
    {
        True: "keep, keep only, only keep, just keep, retain, leave, leave only, preserve, retain only, hold on to, "
        "keep just, restrict to, reduce to, limit to, remove everything but, remove everything except, "
        "remove all but, remove all except, delete everything but, delete everything except, delete all but, "
        "delete all except, drop everything but, drop all but"
    }
)
PIECES = Phrases(
    {
        True: "piece, pieces, component, components, connected component, connected components, island, islands, "
        "blob, blobs, fragment, fragments, cluster, clusters, chunk, chunks, bit, bits, connected region, "
        "connected regions, connected part, connected parts, connected piece, connected pieces, "
        "disconnected pieces, isolated pieces, disconnected parts, separate pieces, isolated islands, stray pieces, "
        "loose pieces, unconnected pieces, connected area"
    }
)
PARTS = Phrases(
    {True: "part, parts, region, regions, one, ones, object, objects, area, areas, thing, segment, segments, spots"}
)
CRUMBS = Phrases(
    {
        True: "noise, specks, crumbs, debris, dust, specs, speckles, speckle, stray voxels, isolated voxels, "
        "loose voxels, outliers"
    }
)
REMOVE = Phrases(
    {
        True: "remove, delete, drop, discard, erase, cut, cut out, cut away, cut off, take away, take out, "
        "get rid of, exclude, subtract, eliminate, strip, clear away, throw away, omit, leave out, deduct, wipe, "
        "rub out, without, minus, except, except for, not, but not, leave off, take off, clear, throw out, "
        "strip off, strip away, remove also, also remove"
    }
)
CLEAN = Phrases(
    {True: "clean up, tidy up, clean, tidy, clean it up, tidy it up, denoise, despeckle, clean up the mask"}
)
SPLIT = Phrases(
    {True: "split, separate, divide, split up, cut, partition, halve, bisect, split sides, separate sides, break up"}
)
INTO_SIDES = Phrases(
    {
        True: "left and right, right and left, left from right, right from left, left right, sides, two sides, "
        "halves, two halves, left and right sides, left and right halves, left and right parts, two, in two, "
        "midline, left side and right side, left half and right half, both sides, two parts, in the middle, left, "
        "middle, half, left and right side, l and r, left and right half, right and left sides, "
        "right and left halves"
    }
)
ADD = Phrases(
    {
        True: "also, add, include, plus, and, as well as, join, append, merge, in addition, additionally, "
        "together with, merge with, unite with, and also, also add, also include, also segment, add also, add in, "
        "combine with, with, put in, now add, then add, also find, as well, furthermore, moreover, and add, "
        "and include, extend to, also mark, also select"
    }
)
TOO = Phrases({True: "too, also, as well, in addition, additionally, on top"})
TO_MASK = Phrases(
    {
        True: ", ".join(
            f"{preposition} {article}{noun}"
            for preposition in ("to", "from", "out of", "in", "into", "of", "off")
            for article in ("the ", "this ", "my ", "current ", "the current ", "")
            for noun in ("mask", "segment", "segmentation", "selection", "it", "this", "that")
        )
    }
)
EVENLY = Phrases(
    {
        True: "in all directions, everywhere, evenly, uniformly, isotropically, outwards, inwards, a bit, slightly, "
        "a little, a little bit, all around, please, on all sides, all round, in every direction, in 3d, now, "
        "again, some more, more, outward, inward, somewhat, gently, the edges, the surface, the border, edges, "
        "the outline, the boundary, its surface"
    }
)
ELSEWHERE = Phrases(
    {
        "Undo and Redo": "undo, redo, go back, revert, step back, take back",
        "Reset": "reset, start over, start again, clear, clear all, clear everything, delete all, remove all, "
        "delete everything, remove everything, erase everything, erase all, new, clear the mask, delete the mask, "
        "remove the mask, delete it, remove it, erase the mask, erase it, delete this, remove this, clear it, "
        "clear this",
        "Save": "save, export, save as, store, download, write",
        "Help": "help, quit, exit, close, stop, cancel",
    }
)

WORDS = frozenset().union(
    *(
        table.words
        for table in (
            *(
                GROW,
                SMOOTH,
                FILL,
                HOLES,
                KEEP,
                PIECES,
                PARTS,
                CRUMBS,
                REMOVE,
                CLEAN,
                SPLIT,
                INTO_SIDES,
                ADD,
                TOO,
            ),
            *(TO_MASK, EVENLY, ELSEWHERE),
        )
    ),
    ("make", "by", "into", "with", "amount"),
)
