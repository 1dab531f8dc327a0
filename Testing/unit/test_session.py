"""A session: every step can be taken back, any prompt taken out, and a failure leaves no trace."""

import numpy as np
import pytest
from fakes import BlockSegmenter, box_mask, by_number, ramp_volume
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from memseg.errors import ModelError, PromptError, SessionError
from memseg.geometry import Box, Grid
from memseg.memory.recall import RecallMemory
from memseg.prompts import BoxPrompt, Click, Lasso, MaskPrompt, Scribble, Text
from memseg.session import Session, State
from memseg.volume import Volume

SHAPE = (8, 9, 10)
VOLUME = ramp_volume(Grid.from_spacing(SHAPE, (2, 1, 1)))

points = st.tuples(*[st.integers(0, size - 1) for size in SHAPE])
clicks = st.builds(Click, points, st.booleans())
masks = st.builds(
    lambda a, b: MaskPrompt.from_mask(box_mask(SHAPE, Box(np.minimum(a, b), np.maximum(a, b)))), points, points
)
boxes = st.builds(lambda a, b: BoxPrompt(np.minimum(a, b), np.maximum(a, b) + 1), points, points)
strokes = st.builds(Scribble, st.lists(points, min_size=1, max_size=3), st.booleans())
prompts = st.one_of(clicks, clicks, masks, boxes, strokes)


def session_with(*given_prompts, **options) -> Session:
    session = Session(VOLUME, BlockSegmenter(attention=by_number), **options)
    for prompt in given_prompts:
        session.add(prompt)
    return session


def everything(session: Session) -> tuple:
    return (
        session.mask_kji.tobytes(),
        tuple((entry.number, entry.prompt) for entry in session.prompts),
        tuple((entry.number, entry.sparse.tobytes()) for entry in session.memory),
        session.leaned,
    )


def test_a_click_sets_the_mask_and_says_what_changed():
    session = session_with()
    change = session.add(Click((4, 4, 4)))
    assert change.box == Box((2, 2, 2), (7, 7, 7)) and change.after.all() and not change.before.any()
    assert session.mask_kji.sum() == 125 and session.mask_kji[4, 4, 4] == 1


def test_the_mask_is_a_read_only_view_that_follows_the_session():
    session = session_with()
    mask = session.mask_kji
    session.add(Click((4, 4, 4)))
    assert mask.sum() == 125
    with pytest.raises(ValueError, match="read-only"):
        mask[0, 0, 0] = 1


def test_a_mask_prompt_replaces_the_whole_mask_and_is_undone_in_one_step():
    session = session_with(Click((4, 4, 4)))
    session.add(MaskPrompt.from_mask(box_mask(SHAPE, Box((0, 0, 0), (1, 1, 1)))))
    assert session.mask_kji.sum() == 1
    session.undo()
    assert session.mask_kji.sum() == 125


def test_an_empty_mask_prompt_empties_the_mask():
    session = session_with(Click((4, 4, 4)), MaskPrompt.from_mask(np.zeros(SHAPE)))
    assert session.mask_kji.sum() == 0


def test_the_segmenter_sees_all_prompts_but_only_its_memories_of_the_earlier_ones():
    segmenter = BlockSegmenter()
    session = Session(VOLUME, segmenter)
    for point in ((1, 1, 1), (2, 2, 2), (3, 3, 3)):
        session.add(Click(point))
    assert segmenter.recalled == [(), (1,), (1, 2)]


def test_without_memory_nothing_is_recalled_or_kept():
    segmenter = BlockSegmenter()
    session = Session(VOLUME, segmenter, memory=False)
    session.add(Click((1, 1, 1)))
    session.add(Click((2, 2, 2)))
    assert segmenter.recalled == [None, None] and len(session.memory) == 0


def test_the_memory_holds_the_last_sixty_and_undo_brings_the_oldest_back():
    session = session_with(*[Click((n % 8, 0, 0)) for n in range(61)])
    assert [entry.number for entry in session.memory][:2] == [2, 3] and len(session.memory) == 60
    session.undo()
    assert [entry.number for entry in session.memory][:2] == [1, 2] and len(session.memory) == 60


def test_one_memory_can_be_forgotten_and_that_can_be_undone():
    session = session_with(Click((1, 1, 1)), Click((2, 2, 2)))
    mask = session.mask_kji.copy()
    session.forget(1)
    assert [entry.number for entry in session.memory] == [2] and len(session.prompts) == 2
    assert np.array_equal(session.mask_kji, mask)
    session.undo()
    assert [entry.number for entry in session.memory] == [1, 2]
    session.clear_memory()
    assert len(session.memory) == 0
    with pytest.raises(SessionError, match="no interaction 7"):
        session.forget(7)


def test_a_mask_leans_on_the_memories_its_segmenter_attended_to():
    session = session_with(Click((1, 1, 1)))
    assert session.leaned == ()
    session.add(Click((2, 2, 2)))
    assert session.leaned == ((1, 1.0),)
    session.undo()
    session.add(Click((3, 3, 3)))
    session.add(Click((4, 4, 4)))
    assert session.leaned == ((1, 0.25), (3, 0.75))


def test_what_a_mask_leaned_on_goes_and_comes_back_with_it():
    session = session_with(Click((1, 1, 1)), Click((2, 2, 2)))
    session.remove(0)
    assert session.leaned == ()
    for step in (session.undo, session.reset, session.undo):
        step()
    assert session.leaned == ((1, 1.0),)
    session.add(MaskPrompt.from_mask(np.zeros(SHAPE)))
    assert session.leaned == ()
    session.undo()
    assert session.leaned == ((1, 1.0),)
    session.undo()
    assert session.leaned == ()
    session.redo()
    assert session.leaned == ((1, 1.0),)


def test_of_what_a_mask_leaned_on_only_what_is_still_remembered_is_told():
    session = session_with(Click((1, 1, 1)), Click((2, 2, 2)), Click((3, 3, 3)), Click((4, 4, 4)))
    session.remove(1)
    assert session.leaned == ((1, 0.25), (3, 0.75))
    session.forget(1)
    assert session.leaned == ((3, 0.75),)
    session.clear_memory()
    assert session.leaned == ()
    session.undo()
    session.undo()
    assert session.leaned == ((1, 0.25), (3, 0.75))


def test_a_memory_evicted_by_the_newest_interaction_is_not_told():
    session = session_with(Click((1, 1, 1)), capacity=1)
    session.add(Click((2, 2, 2)))
    assert session.memory.numbers == {2} and session.leaned == ()


@pytest.mark.parametrize(
    ("attention", "leaned"),
    [
        (None, ()),
        (lambda numbers: np.ones(7, np.float32) / 7, ()),
        (lambda numbers: numbers * np.nan, ()),
        (lambda numbers: np.nextafter(numbers, 2), ((1, 1.0),)),
        (lambda numbers: numbers - 1, ((1, 0.0),)),
    ],
    ids=["none", "of another length", "not a number", "a little above one", "zero"],
)
def test_attention_that_cannot_be_used_costs_no_mask(attention, leaned):
    session = Session(VOLUME, BlockSegmenter(attention=attention))
    session.add(Click((1, 1, 1)))
    assert session.add(Click((4, 4, 4))).voxels_changed > 0 and session.leaned == leaned


@pytest.mark.parametrize("leaned", [((2, 0.5),), ((1, 1.5),), ((1, -0.1),), ((1, np.nan),), ((1, 0.5), (1, 0.5))])
def test_a_state_that_leans_on_what_is_not_there_or_by_no_share_cannot_be_built(leaned):
    memory = session_with(Click((1, 1, 1))).memory
    with pytest.raises(ValueError, match="once|share"):
        State((), memory, leaned)


def test_reset_empties_everything_and_can_be_undone():
    session = session_with(Click((4, 4, 4)), Click((1, 1, 1)))
    before = everything(session)
    session.reset()
    assert session.mask_kji.sum() == 0 and session.prompts == () and len(session.memory) == 0 and session.leaned == ()
    session.undo()
    assert everything(session) == before


def test_numbers_are_never_used_twice():
    session = session_with(Click((1, 1, 1)), Click((2, 2, 2)))
    session.undo()
    session.add(Click((3, 3, 3)))
    assert [entry.number for entry in session.prompts] == [1, 3]


def test_there_is_nothing_to_undo_or_redo_at_first():
    session = session_with()
    with pytest.raises(SessionError, match="nothing to undo"):
        session.undo()
    with pytest.raises(SessionError, match="nothing to redo"):
        session.redo()


def test_a_new_step_after_an_undo_ends_the_redos():
    session = session_with(Click((1, 1, 1)))
    session.undo()
    session.add(Click((2, 2, 2)))
    assert not session.can_redo


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        (Click((8, 0, 0)), "outside the volume"),
        (Text("liver"), "The liver was not found"),
        (MaskPrompt.from_mask(np.ones((2, 2, 2))), "resample"),
        (Lasso([(20, 0, 0), (20, 0, 5), (20, 5, 5)]), "outside the volume"),
    ],
)
def test_a_prompt_that_does_not_fit_changes_nothing(prompt, sentence):
    session = session_with(Click((4, 4, 4)), recall=RecallMemory())
    before = everything(session)
    with pytest.raises(PromptError, match=sentence):
        session.add(prompt)
    assert everything(session) == before and not session.can_redo


def test_a_segmenter_that_fails_changes_nothing_even_in_the_middle_of_a_replay():
    segmenter = BlockSegmenter()
    session = Session(VOLUME, segmenter)
    for point in ((1, 1, 1), (4, 4, 4), (6, 6, 6)):
        session.add(Click(point))
    before = everything(session)
    segmenter.fails = True
    for attempt in (lambda: session.add(Click((2, 2, 2))), lambda: session.remove(0)):
        with pytest.raises(ModelError):
            attempt()
        assert everything(session) == before


def test_removing_a_prompt_that_is_not_there_is_a_sentence():
    session = session_with(Click((1, 1, 1)))
    for index in (-1, 1):
        with pytest.raises(SessionError, match="holds 1"):
            session.remove(index)


@settings(max_examples=60, deadline=None)
@given(st.lists(prompts, min_size=1, max_size=6), st.data())
def test_removing_a_prompt_is_as_if_it_had_never_been_given(given_prompts, data):
    index = data.draw(st.integers(0, len(given_prompts) - 1))
    session = session_with(*given_prompts)
    full = everything(session)
    session.remove(index)
    never = session_with(*given_prompts[:index], *given_prompts[index + 1 :])
    assert np.array_equal(session.mask_kji, never.mask_kji)
    assert [entry.prompt for entry in session.prompts] == [entry.prompt for entry in never.prompts]
    assert len(session.memory) == len(never.memory)
    session.undo()
    assert everything(session) == full


@settings(max_examples=40, deadline=None)
@given(st.lists(prompts, max_size=8))
def test_replaying_the_prompts_gives_the_same_mask(given_prompts):
    session = session_with(*given_prompts)
    again = session_with(*[entry.prompt for entry in session.prompts])
    assert everything(session) == everything(again)


def test_changing_the_model_keeps_mask_prompts_and_history():
    session = Session(Volume(VOLUME.array_kji, VOLUME.grid), BlockSegmenter())
    session.add(Click((4, 4, 4)))
    before = everything(session)
    session.change_model("geodesic")
    assert session.model == "geodesic" and everything(session) == before
    session.undo()
    assert session.mask_kji.sum() == 0
    with pytest.raises(ModelError, match="did you mean 'geodesic'"):
        session.change_model("geodesc")


class Walk(RuleBasedStateMachine):
    """Any walk of steps, undos and redos: undoing to the start and redoing to the end visits the same states."""

    def __init__(self) -> None:
        super().__init__()
        self.session = session_with()
        self.visited = [everything(self.session)]
        self.at = 0

    def moved(self) -> None:
        self.visited = [*self.visited[: self.at + 1], everything(self.session)]
        self.at += 1

    @rule(prompt=prompts)
    def add(self, prompt):
        self.session.add(prompt)
        self.moved()

    @precondition(lambda self: self.session.prompts)
    @rule(data=st.data())
    def remove(self, data):
        self.session.remove(data.draw(st.integers(0, len(self.session.prompts) - 1)))
        self.moved()

    @rule()
    def reset(self):
        self.session.reset()
        self.moved()

    @precondition(lambda self: len(self.session.memory))
    @rule()
    def forget(self):
        self.session.forget(self.session.memory.entries[0].number)
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
        self.session = Session.from_bytes(self.session.to_bytes(), VOLUME, BlockSegmenter(attention=by_number))

    @invariant()
    def is_where_it_was(self):
        assert everything(self.session) == self.visited[self.at]
        assert self.session.memory.numbers.issuperset(number for number, _ in self.session.leaned)
        assert self.session.can_undo == (self.at > 0)
        assert self.session.can_redo == (self.at < len(self.visited) - 1)
        outside = self.session.mask_kji.copy()
        outside[self.session.extent.slices] = 0
        assert not outside.any()


Walk.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestWalk = Walk.TestCase
