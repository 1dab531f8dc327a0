"""`memseg evaluate propagation`, with a slice segmenter whose answers can be worked out by hand: it follows whatever is
bright, and the truth is not always what is bright."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from fakes import BlockSegmenter, BlockSlices
from labelled import labelled_object, write_bar, write_cubes
from rich.console import Console

from memseg.errors import FileError, ModelError
from memseg.evaluation import methods as volume_methods
from memseg.evaluation.dataset import select
from memseg.evaluation.propagation import command, methods
from memseg.evaluation.propagation.cases import Case, cases_of, with_gap
from memseg.evaluation.propagation.command import Options, Record, run
from memseg.evaluation.propagation.methods import Copy, Filling, InVolume, Method, Propagation, method_of, peers_of
from memseg.evaluation.propagation.play import Rules, evaluate_object
from memseg.evaluation.propagation.scores import Sides, Way, measured
from memseg.session import Session
from memseg.slice_review import Suggestion


def squares(slices: Sequence[int], largest: int | None = None, count: int = 16) -> np.ndarray:
    """Bool (count, 12, 12): a square of 4 x 4 in each of the slices, of 5 x 5 in the largest one."""
    truth = np.zeros((count, 12, 12), bool)
    for index in slices:
        width = 5 if index == largest else 4
        truth[index, 2 : 2 + width, 2 : 2 + width] = True
    return truth


def phantom(true: Sequence[int], bright: Sequence[int], largest: int | None = None, axis: str = "k") -> Case:
    """An object in the slices `true` of an image that is bright in the slices `bright`."""
    number = "kji".index(axis)
    truth, image = (np.moveaxis(squares(slices, largest), 0, number) for slices in (true, bright))
    return Case(labelled_object(truth, np.where(image, 100, 0).astype(np.int16)), axis)


def shifted(axis: str = "k") -> Case:
    """In slices 5 to 12, 137 voxels with slice 8 the largest, and bright in 3 to 10: two too many, two too few."""
    return phantom(range(5, 13), range(3, 11), largest=8, axis=axis)


class RowFiller:
    """Fills between drawn slices with the lower one."""

    name = "rows"

    def __init__(self) -> None:
        self.drawn: list[tuple[str, list[int]]] = []

    def filled(self, mask_kji: np.ndarray, axis: str) -> np.ndarray:
        stack = np.moveaxis(mask_kji, "kji".index(axis), 0).copy()
        drawn = [int(place) for place in np.flatnonzero(stack.any(axis=(1, 2)))]
        self.drawn.append((axis, drawn))
        for index in range(drawn[0], drawn[-1]):
            if index not in drawn:
                stack[index] = stack[index - 1]
        return np.moveaxis(stack, 0, "kji".index(axis))


def followed() -> Propagation:
    return Propagation("slices", BlockSlices())


def scores_of(case: Case, method: Method, given: Sequence[int] | None = None):
    return measured(case, Way(method.name), method.answer(case, (case.reference,) if given is None else given))


# -- from one slice ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", ["k", "j", "i"])
def test_the_object_is_followed_both_ways_from_its_largest_slice(axis):
    scores = scores_of(shifted(axis), followed())
    assert scores.dice == 2 * 105 / (137 + 137)  # slices 5 to 10 are shared: five of 16 voxels and one of 25
    assert scores.over == Sides(low=2, inside=0, high=0)
    assert scores.missed == Sides(low=0, inside=0, high=2)
    assert scores.steps == 7 + 4  # down to 3 and two empty ones, up to 10 and two empty ones
    assert scores.seconds > 0


def test_the_same_propagation_twice_has_the_same_mask():
    answers = [followed().answer(shifted(), (8,)) for _ in range(2)]
    np.testing.assert_array_equal(answers[0].mask, answers[1].mask)
    assert answers[0].box == answers[1].box


def test_a_gap_is_waited_for():
    long = squares(range(2, 34), largest=10, count=40)
    case = with_gap(Case(labelled_object(long), "k"), 5)  # slices 20 to 24 are taken out
    scores = scores_of(case, followed())
    assert (scores.dice, scores.over, scores.missed) == (1, Sides(0, 0, 0), Sides(0, 0, 0))


def test_a_copy_knows_the_ends_and_fills_what_lies_between_them():
    case = Case(labelled_object(squares((3, 4, 5, 7, 8))), "k")
    scores = scores_of(case, Copy())
    assert scores.dice == 2 * 80 / (80 + 96)  # slice 6 has 16 voxels too many
    assert (scores.over, scores.missed, scores.steps) == (Sides(0, 1, 0), Sides(0, 0, 0), 0)


def test_a_model_of_volumes_is_given_a_click_where_the_slice_is_deepest_and_the_slice_stays_as_drawn():
    truth = np.zeros((16, 12, 12), bool)
    truth[6:11, 3:8, 2:7] = True
    truth[8, 3:8, 7] = True  # slice 8 is the largest: 5 rows, 6 columns
    segmenter = BlockSegmenter(reach=2)
    answer = InVolume("block", segmenter).answer(Case(labelled_object(truth), "k"), (8,))
    assert segmenter.recalled == [()]  # one click
    assert answer.steps == 0
    # The deepest voxel of 5 x 6 is (5, 4) or (5, 5), 3 from the rows outside; the first is clicked, its block set.
    mask = np.zeros((16, 12, 12), np.uint8)
    mask[answer.box.slices] = answer.mask
    expected = np.zeros((16, 12, 12), np.uint8)
    expected[6:11, 3:8, 2:7] = 1
    expected[8] = truth[8]
    np.testing.assert_array_equal(mask, expected)


# -- from several slices -----------------------------------------------------------------------------------------------


def test_slices_at_both_ends_bound_what_is_followed():
    case = phantom(range(5, 13), range(3, 15))
    assert scores_of(case, followed()).over == Sides(2, 0, 2)
    scores = scores_of(case, followed(), case.spread(2))
    assert (scores.dice, scores.over, scores.steps) == (1, Sides(0, 0, 0), 6)  # slices 6 to 11


@pytest.mark.parametrize("axis", ["k", "j"])
def test_a_filler_is_given_the_drawn_slices_and_the_axis(axis):
    case, filler = shifted(axis), RowFiller()
    scores = scores_of(case, Filling(filler), case.spread(3))
    first = case.labelled.box.start_kji[case.axis_number]
    assert filler.drawn == [(axis, [5 - first, 9 - first, 12 - first])]
    assert scores.dice == 2 * 128 / (128 + 137)  # everywhere 16 voxels, of 25 in slice 8


# -- corrections -------------------------------------------------------------------------------------------------------


def ways_and_dice(case: Case, rules: Rules, *others: Method) -> dict[Way, float]:
    result = evaluate_object(case, (followed(), *others), rules)
    return {scores.way: scores.dice for scores in result.scores}


def test_the_worst_slices_are_replaced_by_the_truth_and_followed_from_there():
    dice = ways_and_dice(shifted(), Rules(corrections=5, several=()))
    # 3 and 4 are emptied, 11 and 12 are drawn; a slice that is empty in truth leads nowhere, so it goes on from 8.
    masks = [(105, 137), (105, 121), (105, 105), (121, 121), (137, 137), (137, 137)]  # shared, of the mask
    found = [dice[Way("slices", 1, "worst" if count else "", count)] for count in range(6)]
    assert found == pytest.approx([2 * shared / (mask + 137) for shared, mask in masks])


def test_the_suggested_slices_are_taken_in_their_order_and_where_there_is_none_the_mask_stays(monkeypatch):
    suggested = iter([3, 11, None])

    def suggest(session: Session, axis: str) -> Suggestion | None:
        index = next(suggested)
        return None if index is None else Suggestion(axis, index, "")

    monkeypatch.setattr(Session, "suggest_slice", suggest)
    dice = ways_and_dice(shifted(), Rules(corrections=3, several=()))
    masks = [(105, 137), (105, 121), (121, 137), (121, 137)]  # 3 to 10, 4 to 10, 4 to 11
    found = [dice[Way("slices", 1, "suggested" if count else "", count)] for count in range(4)]
    assert found == pytest.approx([2 * shared / (mask + 137) for shared, mask in masks])


@pytest.mark.parametrize(
    ("index", "again"),
    [
        (11, {9, 10, 12, 13}),  # up to the reference, and beyond until the object ends
        (3, {4, 5, 6, 7, 9, 10, 11, 12}),  # the truth is empty there: from the reference, 8, on either side
    ],
)
def test_only_what_hangs_on_a_corrected_slice_is_followed_again(index, again):
    segmenter = BlockSlices()
    conversation = Propagation("slices", segmenter).begun(shifted(), (8,))
    segmenter.followed.clear()
    conversation.correct(index)
    assert {each[1] for each in segmenter.followed} == again
    assert conversation.answer.steps == len(segmenter.followed) == len(again)


def test_between_agreed_slices_nothing_is_followed_again():
    conversation = followed().begun(phantom(range(3), range(3), largest=1), (1,))
    for index in (0, 2):
        conversation.correct(index)
    conversation.correct(1)
    assert conversation.answer.steps == 0 and conversation.worst() is None


def test_the_first_slice_of_the_volume_can_be_corrected(monkeypatch):
    monkeypatch.setattr(Session, "suggest_slice", lambda *_: Suggestion("k", 0, ""))
    case = phantom(range(0, 6), range(1, 6), largest=3)
    dice = ways_and_dice(case, Rules(corrections=1, several=()))
    assert dice[Way("slices")] < dice[Way("slices", 1, "suggested", 1)] == 1


def test_a_slice_that_was_right_is_agreed(monkeypatch):
    monkeypatch.setattr(Session, "suggest_slice", lambda *_: Suggestion("k", 6, ""))
    agreed = []
    monkeypatch.setattr(Session, "agree", lambda _, axis, index: agreed.append((axis, index)))
    evaluate_object(shifted(), [followed()], Rules(corrections=1, several=()))
    assert agreed == [("k", 6)]


def test_everything_is_measured_in_one_go_and_in_order():
    case, filler = shifted(), RowFiller()
    result = evaluate_object(case, (followed(), Copy(), Filling(filler)), Rules(corrections=1, several=(2, 3, 8)))
    assert [scores.way for scores in result.scores] == [
        Way("slices"), Way("slices", 1, "suggested", 1), Way("copy"), Way("slices", 1, "worst", 1),
        Way("slices", 2), Way("rows", 2), Way("slices", 3), Way("rows", 3),
    ]  # fmt: skip
    # An object of 8 slices has nothing left to fill when 8 are drawn.
    assert (result.entry, result.name, result.source, result.subject) == ("0", "object", "place CT", "sts-002")
    assert (result.axis, result.gap, result.voxels, result.slices, result.reference) == ("k", 0, 137, 8, 8)


@pytest.mark.parametrize("corrections", [-1, 51])
def test_corrections_that_cannot_be_made_are_a_sentence(corrections):
    with pytest.raises(FileError, match="give 0 to 50"):
        Rules(corrections)


# -- how methods are spelled -------------------------------------------------------------------------------------------


@pytest.fixture
def built(monkeypatch) -> BlockSlices:
    """What every slice segmenter's name builds; models of volumes are blocks, and Slicer's libraries are not here."""
    segmenter = BlockSlices()
    monkeypatch.setattr(methods, "build_slices", lambda *_: segmenter)
    monkeypatch.setattr(methods, "build", lambda *_: BlockSegmenter())
    absent = EntryPoint("fill", "a_package_that_is_not_here:Peer", methods.PEER_GROUP)
    monkeypatch.setattr(volume_methods, "entry_points", lambda **_: [absent])
    return segmenter


@pytest.mark.parametrize(
    ("spelling", "policy", "capacity", "recent"),
    [
        ("slices", "ours", 8, 3),
        ("slices:ours", "ours", 8, 3),
        ("slices:recent", "recent", 8, 3),
        ("slice-geodesic:self-sorting", "self-sorting", 8, 3),
        ("slices:single", "ours", 11, 0),
        ("slices:similar:single", "similar", 11, 0),
    ],
)
def test_a_spelling_says_what_slice_memory_is(built, spelling, policy, capacity, recent):
    method = method_of(spelling)
    assert isinstance(method, Propagation) and method.name == spelling
    assert (method.memory.policy, method.memory.capacity, method.memory.recent_capacity) == (policy, capacity, recent)


def test_the_memory_is_the_one_that_the_session_works_with(built):
    method_of("slices:single").answer(shifted(), (8,))
    assert built.followed[0] == ("k", 9, 8, (8,), (), (8,))  # anchors, recent and long-lived slices
    index, recent, long = [(each[1], each[4], each[5]) for each in built.followed][-1]
    assert recent == () and 8 in long and index not in long


def test_slices_are_evened_out_where_that_is_asked_for(built):
    """The image has a larger square in slice 8, of which a mask grown by one pixel reaches all but the corner: 8
    voxels too many."""
    image = np.where(squares(range(4, 12), largest=8), 100, 0).astype(np.int16)
    case = Case(labelled_object(squares(range(4, 12)), image), "k")
    plain, evened = (method_of(name).answer(case, (6,)) for name in ("slices", "slices:consistent"))
    assert measured(case, Way("plain"), plain).dice == pytest.approx(2 * 128 / (2 * 128 + 8))
    assert measured(case, Way("evened"), evened).dice == 1.0


def test_other_names_are_peers(built):
    assert isinstance(method_of("copy"), Copy)
    assert isinstance(method_of("nano"), InVolume)
    with pytest.raises(ModelError, match=r"pip install 'memsegslicer\[browser\]'"):
        method_of("fill")


def test_the_usual_peers_are_other_memories_and_other_ways():
    usual = ("slices:recent", "slices:self-sorting", "slices:similar", "slices:single", "slices:consistent")
    assert peers_of("slices") == (*usual, "slice-geodesic", "copy", "fill", "nano")
    assert "slice-geodesic" not in peers_of("slice-geodesic")
    assert peers_of("slices:recent") == ("slice-geodesic", "copy", "fill", "nano")


@pytest.mark.parametrize(
    ("spelling", "sentence"),
    [
        ("slices:never", "'slices:never' is no way to write a method; write NAME:ours"),
        ("slices:", "is no way to write a method"),
        ("copy:recent", "write copy alone"),
        ("nano:off", "write nano alone"),
        ("nano:consistent", "write nano alone"),
    ],
)
def test_a_wrong_spelling_is_a_sentence(built, spelling, sentence):
    with pytest.raises(ModelError, match=sentence):
        method_of(spelling)


def test_an_unknown_name_is_a_sentence():
    with pytest.raises(ModelError, match="no model called 'slyces'"):
        method_of("slyces")


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def cubes(tmp_path: Path) -> Path:
    folder = tmp_path / "cubes"
    folder.mkdir()
    return write_cubes(folder)


def silent() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_a_run_prints_tables_and_writes_a_file_that_can_be_read_again(cubes, tmp_path, built):
    console, target = silent(), tmp_path / "slices.json"
    record = run(Options(cubes, "slices", peers=("copy",), corrections=1, json=target), console)
    assert [each.entry for each in record.results] == ["0", "1"]
    content = json.loads(target.read_text())
    assert content["summary"][0]["way"] == {"method": "slices", "slices": 1, "chosen": "", "corrected": 0}
    assert content["summary"][0]["dice"] == 1 and content["gap_summary"] == []
    assert content["options"]["volumes"] == ["0", "1"] and content["options"]["axes"] == ["k"]
    assert content["options"]["methods"][0]["policy"] == "ours"
    assert str(tmp_path) not in target.read_text()  # no paths of this machine
    assert Record.read(target) == record
    text = console.file.getvalue()
    assert "Objects as they are: 2 objects of 2 sources, validation subjects, axis k" in text
    assert "From one slice" in text and "After corrected slices" in text and "From several true slices" in text


def test_the_report_holds_the_command_the_machine_and_every_table(cubes, built):
    output = cubes.parent / "report.md"
    run(Options(cubes, "slices", corrections=2, gap=4, axis="all", output=output), silent())
    text = output.read_text()
    assert "    memseg evaluate propagation cubes -o report.md --model slices --device auto --axis all" in text
    assert "--corrections 2 --gap 4 --subjects validation" in text
    assert "2 objects of 2 sources, validation subjects, axes k, j, i." in text
    assert "processors" in text and "MB at its peak" in text
    assert "Left out: `fill`. The peer 'fill' needs packages that are not here" in text
    assert "| slices | 1.000 | 1.000 | 0.00 | 0.00 | 0.00 |" in text and "| slices:single | 1.000 |" in text
    assert "| slices, suggested | Dice | 1.000 | 1.000 | 1.000 |" in text
    assert "**Dice from one slice by axis**" in text and "| method | k | j | i |" in text
    assert "with a gap of 4\n\n0 objects of 0 sources" in text  # the cubes are five slices long
    assert str(cubes.parent) not in text


def test_long_objects_are_followed_once_more_across_a_gap_by_all_that_goes_from_slice_to_slice(tmp_path, built):
    options = Options(write_bar(tmp_path), "slices", peers=("slices:recent", "copy"), corrections=1, gap=7)
    console = silent()
    record = run(options, console)
    plain, gapped = record.results
    assert (plain.gap, plain.slices, gapped.gap, gapped.slices) == (0, 36, 7, 29)
    assert [scores.way for scores in gapped.scores] == [Way("slices"), Way("slices:recent")]
    assert [scores.dice for scores in gapped.scores] == [1, 1]
    assert "1 object of 1 source, validation subjects" in console.file.getvalue()
    assert len(plain.scores) > 3 and record.of_gap(True) == (gapped,)


def test_objects_that_are_done_are_not_followed_again(cubes, built):
    asked = Options(cubes, "slices", peers=("copy",), corrections=0, parts=cubes.parent / "deep" / "parts")
    first = run(asked, silent())
    count = len(built.followed)
    assert len(list(asked.parts.iterdir())) == 2
    assert run(asked, silent()).results == first.results
    assert len(built.followed) == count
    run(Options(cubes, "slices", peers=("copy",), corrections=0, parts=asked.parts, axis="j", limit=1), silent())
    assert len(list(asked.parts.iterdir())) == 3


def test_a_stopped_run_goes_on_where_it_stopped(cubes, built, monkeypatch):
    target, parts = cubes.parent / "slices.json", cubes.parent / "parts"
    target.write_text("before")
    evaluate, begun = command.evaluate_object, []

    def watched(case: Case, *others):
        begun.append(case.labelled.entry.identity)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return evaluate(case, *others)

    asked = Options(cubes, "slices", peers=(), corrections=0, json=target, parts=parts)
    monkeypatch.setattr(command, "evaluate_object", watched)
    with pytest.raises(KeyboardInterrupt):
        run(asked, silent())
    assert target.read_text() == "before" and len(list(parts.iterdir())) == 1
    assert [each.entry for each in run(asked, silent()).results] == ["0", "1"]
    assert begun == ["0", "1", "1"]
    assert len(json.loads(target.read_text())["objects"]) == 2


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"axis": "t"}, FileError, "choose k, j, i or all"),
        ({"corrections": 99}, FileError, "give 0 to 50"),
        ({"gap": -1}, FileError, "A gap of -1 slices cannot be made"),
        ({"limit": 0}, FileError, "at least one object"),
        ({"subjects": "training"}, FileError, "--subjects all"),
        ({"model": "nano"}, ModelError, "measure one of: slices, slice-geodesic"),
        ({"model": "copy"}, ModelError, "does not go from slice to slice"),
        ({"peers": ("slices",)}, ModelError, "'slices' is asked for twice"),
        ({"peers": ("fill",)}, ModelError, "needs packages that are not here"),
        ({"json": Path("missing") / "folder" / "file.json"}, FileError, "create it first"),
        ({"output": Path("missing") / "folder" / "report.md"}, FileError, "create it first"),
    ],
)
def test_a_wrong_option_is_a_sentence(cubes, built, changes, error, sentence):
    with pytest.raises(error, match=sentence):
        run(Options(**{"dataset": cubes, "model": "slices", "peers": (), **changes}), silent())


def test_objects_too_small_to_be_followed_are_a_sentence(cubes, built, monkeypatch):
    monkeypatch.setattr("memseg.evaluation.propagation.cases.FEWEST_VOXELS", 126)
    with pytest.raises(FileError, match="large enough to be followed"):
        run(Options(cubes, "slices", peers=()), silent())


def test_an_object_can_be_evaluated_from_python(cubes, built):
    """The way of the module's docstring."""
    found = []
    for labelled in select(cubes, "validation", limit=1).objects():
        for case in cases_of(labelled, ("k", "i")):
            scores = evaluate_object(case, (method_of("slices"),), Rules(corrections=0, several=())).scores
            found += [(case.labelled.name, each.way.method, each.dice) for each in scores]
    assert found == [("cube", "slices", 1), ("cube", "slices", 1)]
