"""Any walk of slice work: agreed slices stay, undo and redo visit the same states, saving changes nothing."""

import numpy as np
from bars import BAR, SHAPE, VOLUME, drawn, everything, session_with
from fakes import BlockSegmenter, BlockSlices
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from memseg.errors import SessionError
from memseg.prompts import Click
from memseg.segmenters.slice_base import plane_of
from memseg.session import Session

indices = st.integers(0, SHAPE[0] - 1)
points = st.tuples(*[st.integers(0, size - 1) for size in SHAPE])


class Walk(RuleBasedStateMachine):
    """Any walk: agreed slices change only by what speaks of them, undo and redo visit the same states, and saving and
    loading changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.session = session_with(drawn(5))
        self.visited = [everything(self.session)]
        self.at = 0

    def agreed(self) -> dict:
        keys = [(axis, index) for axis in "kji" for index, mark in self.session.marks(axis).items() if mark.agreed]
        return {key: plane_of(self.session.mask_kji, *key).copy() for key in keys}

    def moved(self) -> None:
        self.visited = [*self.visited[: self.at + 1], everything(self.session)]
        self.at += 1

    def stays(self, before: dict, spoken: set = frozenset()) -> None:
        for key, plane in before.items():
            if key not in spoken:
                assert np.array_equal(plane_of(self.session.mask_kji, *key), plane), key

    @rule(axis=st.sampled_from("kji"), count=st.integers(0, 14), direction=st.sampled_from(["both", "up", "down"]))
    def propagate(self, axis, count, direction):
        before, taken = self.agreed(), 0
        try:
            steps = self.session.propagate(axis, direction=direction)
        except SessionError:
            return
        for _ in range(count):
            taken += next(steps, None) is not None
            self.stays(before)
        steps.close()
        if taken:
            self.moved()

    @rule(axis=st.sampled_from("kji"), index=indices)
    def agree(self, axis, index):
        count = SHAPE["kji".index(axis)]
        if index % count not in {i for i, mark in self.session.marks(axis).items() if mark.agreed}:
            self.session.agree(axis, index % count)
            self.moved()

    @rule(point=points, positive=st.booleans())
    def click(self, point, positive):
        before = self.agreed()
        self.session.add(Click(point, positive))
        self.stays(before, set(zip("kji", point)))
        self.moved()

    @rule(axis=st.sampled_from("kji"))
    def even_out(self, axis):
        before = self.agreed()
        if not self.session.make_consistent(axis).is_empty:
            self.moved()
        self.stays(before)

    @precondition(lambda self: self.session.prompts)
    @rule(data=st.data())
    def remove(self, data):
        place = data.draw(st.integers(0, len(self.session.prompts) - 1))
        number = self.session.prompts[place].number
        kept = {key: plane for key, plane in self.agreed().items() if self.session.marks(key[0])[key[1]].by != number}
        self.session.remove(place)
        self.stays(kept)
        assert all(mark.by != number for axis in "kji" for mark in self.session.marks(axis).values())
        self.moved()

    @precondition(lambda self: self.at > 0)
    @rule()
    def undo(self):
        self.session.undo()
        self.at -= 1

    @precondition(lambda self: self.at < len(self.visited) - 1)
    @rule()
    def redo(self):
        self.session.redo()
        self.at += 1

    @rule()
    def save_and_load(self):
        saved = self.session.to_bytes()
        self.session = Session.from_bytes(saved, VOLUME, BlockSegmenter(reach=1), slices=BlockSlices())
        assert self.session.to_bytes() == saved

    @invariant()
    def is_where_it_was(self):
        assert everything(self.session) == self.visited[self.at]
        assert all(self.session.slices.get(*key).agreed for key in self.agreed() if self.session.slices.get(*key))
        outside = self.session.mask_kji.copy()
        outside[self.session.extent.slices] = 0
        assert not outside.any()


Walk.TestCase.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
TestWalk = Walk.TestCase


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12), st.booleans())
def test_stopping_and_going_on_fills_the_same_slices_as_running_through(first, second, agree):
    session = session_with(drawn(5))
    for count in (first, second):
        steps = session.propagate(reference=5)
        for _ in range(count):
            next(steps, None)
        steps.close()
    if agree and 6 in session.marks("k"):
        session.agree("k", 6)
    list(session.propagate())
    assert np.array_equal(session.mask_kji, BAR)
