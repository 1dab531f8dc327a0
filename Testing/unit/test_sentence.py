"""Queries said back in words: the sentences read well, and are understood as the same query."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memseg.text import terminology
from memseg.text.draft import is_compound, is_countable, ordered_limits, ordered_looks, ordered_places
from memseg.text.parse import parse
from memseg.text.parse_things import union
from memseg.text.query import (
    Add,
    Beside,
    Brightness,
    Direction,
    Everything,
    Extreme,
    FillHoles,
    Grow,
    Inside,
    KeepLargest,
    Limit,
    Mark,
    Near,
    Part,
    Query,
    Rank,
    RemoveSmall,
    Shape,
    Smooth,
    SplitSides,
    Take,
    Thing,
    Threshold,
    Without,
)
from memseg.text.sentence import say
from memseg.text.terminology import Side

KIDNEY, LIVER, LESION, BONE = (terminology.term(key) for key in ("kidney", "liver", "lesion", "bone"))


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (Thing(KIDNEY, Side.LEFT), "The left kidney."),
        (Thing(KIDNEY, every=True), "All kidneys."),
        (Thing(terminology.term("lower_lobe_of_lung"), Side.RIGHT), "The lower lobe of right lung."),
        (
            Thing(
                LESION,
                looks=(Brightness.BRIGHT,),
                places=(Inside(Thing(terminology.term("lung"), Side.RIGHT)),),
                rank=Rank(1),
            ),
            "The largest bright lesion inside the right lung.",
        ),
        (Thing(LESION, rank=Rank(2, largest=False)), "The second smallest lesion."),
        (
            Thing(None, every=True, looks=(Threshold(True, 300),), places=(Near(Mark.CLICK),)),
            "All structures brighter than 300 HU near the click.",
        ),
        (Thing(LESION, every=True, limits=(Limit(True, 8),)), "All lesions smaller than 8 mm."),
        (Thing(LESION, every=True, limits=(Limit(False, 5), Limit(True, 10))), "All lesions between 5 and 10 mm."),
        (Thing(LIVER, places=(Part(Direction.SUPERIOR),)), "The upper half of the liver."),
        (Thing(LIVER, places=(Part(Direction.LEFT, 1 / 3),)), "The left third of the liver."),
        (Thing(KIDNEY, places=(Extreme(Direction.LEFT),)), "The left-most kidney."),
        (
            Thing(None, places=(Beside(Direction.POSTERIOR, Thing(terminology.term("aorta"))),)),
            "The structure posterior to the aorta.",
        ),
        (union([Thing(KIDNEY, Side.LEFT), Thing(LIVER), Thing(BONE)]), "The left kidney, the liver and bone."),
        (Without(Thing(LIVER), Thing(LESION)), "The liver without the lesion."),
        (Everything(Thing(BONE)), "Everything except bone."),
        (Grow(2), "Grow the mask by 2 mm."),
        (Grow(-1.5), "Shrink the mask by 1.5 mm."),
        (Smooth(3), "Smooth the mask by 3 mm."),
        (FillHoles(), "Fill the holes of the mask."),
        (KeepLargest(), "Keep the largest piece."),
        (KeepLargest(3), "Keep the 3 largest pieces."),
        (RemoveSmall(5), "Remove pieces smaller than 5 mm."),
        (SplitSides(Side.RIGHT), "Split the mask into left and right and keep the right side."),
        (Add(Thing(LIVER)), "Add the liver."),
        (Take(Thing(LESION)), "Remove the lesion."),
    ],
)
def test_a_query_is_said_in_one_plain_sentence(asked, sentence):
    assert say(Query("", asked)) == sentence


def test_what_is_said_of_something_referred_to_stands_in_brackets():
    lesion = Thing(LESION, places=(Inside(Thing(LIVER)),), rank=Rank(1))
    asked = Thing(None, places=(Beside(Direction.INFERIOR, lesion), Near(Mark.CLICK)))
    assert say(Query("", asked)) == "The structure below (the largest lesion inside the liver) near the click."


# -- whatever can be asked for is understood again -------------------------------------------------------------------

TERMS = st.sampled_from([term for term in terminology.TERMS if not is_compound(term)])
NUMBERS = st.integers(1, 400).map(float) | st.sampled_from([0.5, 2.25, 12.125])
VALUES = st.integers(-1000, 3000).map(float) | st.sampled_from([-0.5, 2.5])
DIRECTIONS = st.sampled_from(Direction)
PARTS = st.builds(Part, DIRECTIONS, st.sampled_from([1 / 2, 1 / 3, 1 / 4, 2 / 3, 3 / 4]))


def has_no_opposites(directions: list[Direction]) -> bool:
    pairs = (("left", "right"), ("superior", "inferior"), ("anterior", "posterior"))
    return all(not set(pair) <= {each.value for each in directions} for pair in pairs)


def of_one_reading(directions: list[Direction]) -> bool:
    return has_no_opposites(directions) and len(set(directions)) == len(directions)


@st.composite
def bounds_in_order(draw, make, numbers):
    """At most one lower and one upper bound, which leave something between them."""
    low, high = sorted(draw(st.lists(numbers, min_size=2, max_size=2, unique=True)))
    lower, upper = draw(st.booleans()), draw(st.booleans())
    return [make(True, low)] * lower + [make(False, high)] * upper


@st.composite
def things(draw, depth: int = 2) -> Thing:
    term = draw(st.none() | TERMS)
    sided = term is None or term.paired or term.kind in ("lesion", "device", "tissue", "vessel")
    side = draw(st.none() | st.sampled_from(Side)) if sided else None
    if term is not None and terminology.lookup(f"{side} {term.name}") == terminology.Named(term):
        side = None  # "left circumflex artery" is a name of its own
    rank = draw(st.none() | st.builds(Rank, st.integers(1, 12), st.booleans()))
    extremes = draw(st.lists(st.builds(Extreme, DIRECTIONS), max_size=2))
    extremes = extremes if of_one_reading([each.direction for each in extremes]) else []
    every = draw(st.booleans()) and rank is None and not extremes
    parts = draw(st.lists(PARTS, max_size=1))
    hounsfield = draw(st.booleans())
    looks = draw(st.lists(st.sampled_from(Brightness), max_size=1)) + draw(st.lists(st.sampled_from(Shape), max_size=2))
    looks += draw(bounds_in_order(lambda above, value: Threshold(above, value, hounsfield), VALUES))
    limits = draw(bounds_in_order(lambda above, mm: Limit(not above, mm), NUMBERS))
    places = [*parts, *extremes]
    if depth:
        of = references(depth - 1)
        inner = st.builds(Inside, of) | st.builds(Beside, DIRECTIONS, of) | st.builds(Near, of)
        places += draw(st.lists(inner, max_size=2))
    return Thing(term, side, every, ordered_looks(looks), ordered_places(places), ordered_limits(limits), rank)


def references(depth: int) -> st.SearchStrategy:
    return st.sampled_from(Mark) | things(depth)


def combinations(depth: int = 1) -> st.SearchStrategy:
    if not depth:
        return things()
    inner = combinations(depth - 1)
    several = st.lists(inner, min_size=2, max_size=3).map(union)
    less = st.builds(Without, inner.filter(lambda each: each != Everything()), inner)
    return things() | several | less | st.just(Everything()) | st.builds(Everything, inner)


MM = st.integers(1, 40).map(float) | st.just(2.5)
COMMANDS = st.one_of(
    st.builds(Grow, MM | MM.map(lambda mm: -mm)),
    st.builds(Smooth, MM),
    st.just(FillHoles()),
    st.builds(KeepLargest, st.integers(1, 9)),
    st.builds(RemoveSmall, MM),
    st.builds(SplitSides, st.sampled_from(Side)),
    st.builds(Add, combinations()),
    st.builds(Take, combinations().filter(lambda each: not isinstance(each, Everything))),
)


@settings(max_examples=300, deadline=None)
@given(combinations(2) | COMMANDS)
def test_every_query_said_is_understood_as_itself(asked):
    sentence = say(Query("", asked))
    if len(sentence) <= 1000 and len(sentence.split()) <= 60:
        assert parse(sentence).asked == asked


def test_a_remembered_name_said_is_understood_by_whoever_remembers_it():
    query = parse("largest my odd duct", remembered=["My odd duct"])
    assert say(query) == "The largest my odd duct."
    assert parse(say(query), remembered=["My odd duct"]).asked == query.asked


def test_countable_things_are_those_of_which_there_may_be_several():
    assert is_countable(LESION) and is_countable(None) and not is_countable(LIVER)
