"""The words of a text prompt that are not names of structures, and what they mean."""

from __future__ import annotations

from .query import Brightness, Direction, Mark, Shape
from .terminology import Side
from .tokens import Phrases

SIDES: Phrases[Side] = Phrases(
    {
        Side.LEFT: "left, left-sided, left-hand, lt, sinister",
        Side.RIGHT: "right, right-sided, right-hand, rt, dexter",
    }
)
ON_SIDE: Phrases[Side] = Phrases(
    {
        side: ", ".join(
            f"{preposition} {owner}{side.value}{noun}"
            for preposition in (
                "on the",
                "at the",
                "in the",
                "to the",
                "on",
                "at",
                "in",
                "of the",
                "on their",
                "towards the",
            )
            for owner in ("", "patient ", "patients ", "far ")
            for noun in (
                "",
                " side",
                " hand side",
                " half",
                " side of the body",
                " side of the patient",
                " side of patient",
            )
        )
        for side in Side
    }
)
DIRECTIONS: Phrases[Direction] = Phrases(
    {
        Direction.SUPERIOR: "upper, superior, top, cranial, cephalic, cephalad, uppermost part",
        Direction.INFERIOR: "lower, inferior, bottom, caudal, basal",
        Direction.ANTERIOR: "anterior, front, ventral, frontal",
        Direction.POSTERIOR: "posterior, back, rear, dorsal, hind, hinder",
    }
)
PART_NOUNS: Phrases[float] = Phrases(
    {
        1 / 2: "half, part, portion, side, section, halves, parts, aspect, half part, hemisphere",
        1 / 3: "third, pole, end, one third",
        1 / 4: "quarter, one quarter",
        2 / 3: "two thirds",
        3 / 4: "three quarters",
    }
)
EXTREMES: Phrases[Direction] = Phrases(
    {
        Direction.LEFT: "left-most, leftmost, most left, farthest left, furthest left, farthest to the left, "
        "furthest to the left, outermost left, far left, farthest on the left, most leftward",
        Direction.RIGHT: "right-most, rightmost, most right, farthest right, furthest right, farthest to the right, "
        "furthest to the right, outermost right, far right, farthest on the right, most rightward",
        Direction.SUPERIOR: "uppermost, upper-most, topmost, top-most, highest, most superior, superior-most, "
        "most cranial, most cephalad, cranial-most, farthest up, furthest up, most upper, at the top, "
        "at the very top",
        Direction.INFERIOR: "lowermost, lower-most, bottommost, bottom-most, lowest, most inferior, inferior-most, "
        "most caudal, caudal-most, farthest down, furthest down, most lower, at the bottom, at the very bottom",
        Direction.ANTERIOR: "most anterior, anterior-most, anteriormost, frontmost, front-most, foremost, "
        "most ventral, ventral-most, farthest forward, furthest forward, farthest to the front, "
        "furthest to the front, at the front, at the very front, farthest anterior, furthest anterior, most frontal",
        Direction.POSTERIOR: "most posterior, posterior-most, posteriormost, hindmost, rearmost, backmost, "
        "back-most, most dorsal, dorsal-most, farthest back, furthest back, farthest to the back, "
        "furthest to the back, at the back, at the very back, farthest posterior, furthest posterior",
    }
)
BESIDE: Phrases[Direction] = Phrases(
    {
        Direction.POSTERIOR: "posterior to, posteriorly to, posterior of, dorsal to, dorsal of, behind, in back of, "
        "at the back of",
        Direction.ANTERIOR: "anterior to, anteriorly to, anterior of, ventral to, ventral of, in front of, "
        "at the front of",
        Direction.SUPERIOR: "above, superior to, superior of, cranial to, cranial of, cephalad to, over, on top of, "
        "atop, higher than, higher up than, cephalic to",
        Direction.INFERIOR: "below, under, beneath, underneath, inferior to, inferior of, caudal to, caudal of, "
        "lower than, lower down than, at the bottom of",
        Direction.LEFT: "left of, to the left of, on the left of, at the left of, left to, to left of, leftward of, "
        "left from, to the left side of, to the patient left of, on the left-hand side of",
        Direction.RIGHT: "right of, to the right of, on the right of, at the right of, right to, to right of, "
        "rightward of, right from, to the right side of, to the patient right of, on the right-hand side of",
    }
)
SIDEWAYS: Phrases[bool] = Phrases(
    {True: "lateral to, lateral of, laterally to", False: "medial to, medial of, medially to"}
)
NEAR = Phrases(
    {
        True: "near, near to, next to, close to, beside, by, adjacent to, around, at, touching, nearby, abutting, "
        "alongside, along, surrounding, neighboring, nearest to, closest to, nearest, closest, on, "
        "in the vicinity of, in the neighborhood of, bordering, attached to, against, close by, near by, "
        "contiguous with, right next to, in contact with, directly next to, that surrounds, "
        "which surrounds, directly at"
    }
)
INSIDE = Phrases(
    {
        True: "in, inside, inside of, within, of, into, from, belonging to, contained in, enclosed by, contained by, "
        "enclosed in, embedded in, in the middle of, in the region of, in the area of, throughout"
    }
)
OUTSIDE = Phrases({True: "outside, outside of, not in, not inside, not within, beyond, out of, not part of"})
WITHOUT = Phrases(
    {
        True: "without, except, except for, excepting, excluding, minus, but not, less, other than, apart from, "
        "aside from, but, save for, with the exception of, not including, not, and not, but without, leaving out, "
        "exclusive of, without including, -, but exclude, and exclude"
    }
)
JOIN = Phrases(
    {
        True: "and, plus, as well as, along with, together with, and also, including, with, combined with, or, "
        "and the same for, and then"
    }
)
JOIN_SIGNS = frozenset((",", "&", "+", "/", ";"))
BRIGHTNESS: Phrases[Brightness] = Phrases(
    {
        Brightness.BRIGHT: "bright, brightest, brighter, hyperdense, hyperintense, hyperattenuating, hyper-dense, "
        "hyper-intense, light, white, dense, densest, high-signal, high-density, high-intensity, high-attenuation, "
        "enhancing, contrast-enhancing, enhanced, avid, FDG-avid, hot, hypermetabolic, radiopaque, radiodense, "
        "hyperechoic, glowing, shining, calcified, radio-opaque, opaque, lit up, whitish, luminous, sclerotic, "
        "strongly enhancing, light-colored",
        Brightness.DARK: "dark, darkest, darker, hypodense, hypointense, hypoattenuating, hypo-dense, hypo-intense, "
        "black, low-signal, low-density, low-intensity, low-attenuation, cold, photopenic, lucent, radiolucent, "
        "hypoechoic, blackish, non-enhancing, nonenhancing, unenhancing, dim, dark-colored, shadowy, lytic, "
        "osteolytic",
    }
)
SHAPES: Phrases[Shape] = Phrases(
    {
        Shape.ROUND: "round, rounded, roundish, spherical, ball-shaped, ball-like, globular, circular, roundest, "
        "sphere-shaped, sphere-like, oval, spheroid, spheroidal, globe-shaped, blob-like",
        Shape.TUBULAR: "tubular, tube-shaped, tube-like, elongated, cylindrical, vessel-like, linear, long thin, "
        "cylinder-shaped, tubelike, rod-shaped, rod-like, worm-like, long and thin, elongate, pipe-like, cord-like",
        Shape.RING: "ring-shaped, ring-like, annular, ringlike, doughnut-shaped, donut-shaped, ringed, hollow, "
        "doughnut-like, donut-like, shell-shaped, shell-like, rim-shaped",
        Shape.FLAT: "flat, flattened, sheet-like, plate-like, planar, sheetlike, disc-shaped, disc-like, plate-shaped, "
        "thin flat, plane, lamellar, flattish",
    }
)
SHAPE_NOUNS: Phrases[Shape] = Phrases(
    {
        Shape.ROUND: "sphere, ball, spheres, balls, blob, blobs",
        Shape.TUBULAR: "cylinder, cylinders, pipe, pipes, rod, rods",
        Shape.RING: "ring, rings, doughnut, donut, annulus",
        Shape.FLAT: "sheet, sheets, slab",
    }
)
RING_ENHANCING = Phrases({True: "ring-enhancing, rim-enhancing, ring enhanced, peripherally enhancing, rim enhanced"})
LARGEST: Phrases[bool] = Phrases(
    {
        True: "largest, biggest, greatest, longest, most voluminous, largest-sized, hugest, most massive, bulkiest, "
        "larger, bigger, greater, widest, thickest, most extensive, main, dominant",
        False: "smallest, tiniest, littlest, least voluminous, shortest, smaller, thinnest, most tiny, narrowest, "
        "minutest",
    }
)
SIZES: Phrases[bool] = Phrases(
    {
        True: "large, big, huge, bulky, great, sizable, massive, giant, enlarged, swollen",
        False: "small, tiny, little, minute, subcentimeter",
    }
)
ORDINALS: Phrases[int] = Phrases(
    [(1, "first"), (2, "second, next"), (3, "third"), (4, "fourth"), (5, "fifth"), (6, "sixth"), (7, "seventh")]
    + [(8, "eighth"), (9, "ninth"), (10, "tenth")]
)
COUNTS: Phrases[int] = Phrases(
    {
        number + 1: word
        for number, word in enumerate("one,two,three,four,five,six,seven,eight,nine,ten,eleven,twelve".split(","))
    }
)
ALL = Phrases(
    {
        True: "all, every, each, all of, every one of, each of, all the, all of the, every single, these, those, "
        "any and all"
    }
)
BOTH = Phrases(
    {True: "both, both of, both the, both of the, bilateral, either, left and right, right and left, l and r"}
)
EVERYTHING = Phrases({True: "everything, anything, whatever, all things, everything else, all"})
ARTICLES = frozenset(
    "the a an any some this that my our its his her their your such one's said certain whole entire complete full "
    "visible single overall respective actual present very just only really quite patient patients".split()
)
GENERIC_NOUNS: Phrases[bool] = Phrases(
    {  # True: one of them; False: several
        True: "structure, object, region, organ, thing, area, one, something, spot, zone, entity, candidate, "
        "voxel cluster, item, tissue region, blob-like thing, patch, place, site, part, anatomical structure, "
        "body part, shape, formation",
        False: "structures, objects, regions, organs, things, areas, ones, spots, zones, entities, candidates, "
        "voxels, pixels, items, patches, places, sites, parts, shapes, formations, tissue, tissues, values, "
        "intensities",
    }
)
BELONGING_NOUNS = frozenset(
    "structure structures region regions area areas organ organs zone site parenchyma tissue tissues itself proper "
    "shape contour outline part parts object segment surface gland glands cavity lumen".split()
)
CLICKS = Phrases(
    {
        Mark.CLICK: "click, point, cursor, crosshair, crosshairs, pointer, mouse, last click, clicked point, "
        "click point, here, there, spot, place, where i clicked, where i click, where i have clicked, position, "
        "location, marked point, my last click, current click, positive click, where the click is, point i clicked, "
        "clicks, clicked position, place i clicked, spot i clicked, point clicked, clicked spot, mouse pointer, "
        "mouse cursor, current position"
    }
)
POINTERS = frozenset("cursor pointer mouse crosshair crosshairs".split())
MASKS = Phrases(
    {
        Mark.MASK: "mask, segment, segmentation, selection, current mask, current segment, current segmentation, "
        "it, current selection, existing mask, existing segment, what is there, selected region, what is segmented, "
        "segmented region, segmented area, present mask, this, them, that"
    }
)
RELATIVE = Phrases(
    {
        True: "that is, that are, which is, which are, that lies, that lie, which lies, which lie, lying, located, "
        "situated, found, seen, that appears, which appears, appearing, being, positioned, that looks, which looks, "
        "that look, which look, looking, that sits, which sits, sitting, is, are, who is, placed, visible, "
        "that can be seen, directly, immediately, just, that belongs, which belongs, that belong, that appear, "
        "which appear, present, and is, and are, that has, which has, that have, which have, having, that measures, "
        "which measures, that measure, which measure, occurring, arising, that was, which was, that were, seated, "
        "contained, that touches, somewhere"
    }
)
SCAN_PLACES = Phrases(
    {
        True: ", ".join(
            f"{preposition}{article} {noun}"
            for preposition in ("in", "on", "of", "from", "within", "across")
            for article in (" this", " the", " my", " the current", " the whole", " the entire", "")
            for noun in (
                *(
                    "scan",
                    "image",
                    "volume",
                    "picture",
                    "study",
                    "patient",
                    "exam",
                    "examination",
                    "series",
                    "case",
                    "data set",
                ),
                *(
                    "dataset",
                    "ct",
                    "mr",
                    "mri",
                    "pet",
                    "ct scan",
                    "mr scan",
                    "mri scan",
                    "pet scan",
                    "ct image",
                    "mr image",
                ),
                *("pet image", "view", "field of view", "data", "cine", "t1 image", "flair image", "flair", "images"),
            )
        )
        + ", for me, please, now, thanks, thank you, if any, if there is one, if there are any, if present, "
        "you can find, that you can find, you see, that you see, for now, today, in total, if possible, again, "
        "together, combined, altogether, all together, as one"
    }
)
OPENINGS = Phrases(
    {
        True: "please, can you, could you, would you, will you, i want, i want to, i want to see, i would like, "
        "i would like to, i d like, i d like to, i need, i need to, let us, lets, segment, find, show, show me, "
        "select, mark, outline, delineate, contour, highlight, extract, isolate, get, get me, give me, where is, "
        "where are, detect, locate, identify, pick, label, draw, annotate, trace, paint, look for, search for, "
        "display, segmentation of, a segmentation of, the segmentation of, mask of, a mask of, a mask for, "
        "mask for, do, make a mask of, create a mask of, make a segmentation of, just, only, this is, try, now, "
        "here is, find me, pick out, point out, bring up, view, see, circle, grab, try to find, go for, color, "
        "what is, which is, what are, hello, hi, ok, okay, so, help me find, help me, let me see, tell me where, "
        "the contour of, the outline of, find all of, i am looking for, looking for, then, i want you to, reveal, "
        "have, auto segment, autosegment, segment out, take the, compute, kindly, map, choose, thanks"
    }
)
