"""Words in a real scene: the mask, the segment's name, the other segments, and what is remembered.

What words mean is found by a fake that takes them as they are: "left kidney" and the like are blocks round A, with one
round B as the alternative, and "split ..." gives the block round C away.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest
import slicer
from fakes import box_mask, turned_grid
from scenes import editAsSlicerDoes, slicersMask

from memseg.errors import PromptError
from memseg.geometry import Box
from memseg.memory.recall_files import RecallFolder, default_folder
from memseg.prompts import Click, Text
from memseg.text import ground, parse
from memseg.text.grounding import Found, Grounding, Surroundings
from memseg.text.query import Grow, Query, SplitSides, Thing
from MemSegSlicerLib import SceneBridge
from MemSegSlicerLib.Recall import Recall
from MemSegSlicerLib.TextRows import answerRows, comparisonWords

pytestmark = pytest.mark.slicer

GRID = turned_grid()
SHAPE = GRID.shape_kji
A, B, C = (5, 5, 5), (10, 12, 14), (14, 18, 22)


def boxRound(point: tuple[int, int, int]) -> Box:
    return Box(point, np.add(point, 1)).grown(2).clipped(SHAPE)


def block(*points: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    for point in points:
        mask |= box_mask(SHAPE, boxRound(point))
    return mask


def found(title: str, point: tuple[int, int, int], confidence: float, link: str = "physics") -> Found:
    return Found(title, boxRound(point), np.ones((5, 5, 5)), confidence, f"{title}, because it is there.", link)


class Speech:
    """Takes words as they are, and keeps the surroundings it was asked in."""

    def __init__(self) -> None:
        self.surroundings: Surroundings | None = None
        self.seen: dict[str, np.ndarray] = {}
        self.started, self.goOn = threading.Event(), threading.Event()
        self.goOn.set()

    def parse(self, words: str, remembered: tuple[str, ...] = ()) -> Query:
        if words.startswith("nonsense"):
            raise PromptError(f"'{words}' means nothing here; name a structure, such as left kidney.")
        asked = SplitSides() if words.startswith("split") else Grow(2.0) if words.startswith("grow") else Thing()
        return Query(words, asked)

    def ground(self, query: Query, surroundings: Surroundings) -> Grounding:
        self.started.set()
        assert self.goOn.wait(20)
        self.surroundings = surroundings
        self.seen = {}
        for name, (box, values) in surroundings.segments.items():
            self.seen[name] = np.zeros(SHAPE, np.uint8)
            self.seen[name][box.slices] = values
        if query.words == "nothing":
            raise PromptError("There is no such thing in this image; click it instead.")
        other = found("right part", C, 0.7) if isinstance(query.asked, SplitSides) else None
        link = "recall" if query.words.startswith("either") else "physics"
        candidates = (found(query.words, A, 0.9), found("something else", B, 0.4, link))
        links = ("Physics: two blocks.",)
        return Grounding(query, f"The {query.words}.", candidates, query.words, links=links, other=other)


@pytest.fixture
def speech(monkeypatch) -> Speech:
    speech = Speech()
    monkeypatch.setattr(parse, "parse", speech.parse)
    monkeypatch.setattr(ground, "ground", speech.ground)
    yield speech
    speech.goOn.set()


@pytest.fixture
def volumeNode(addVolume):
    return addVolume(GRID)


@pytest.fixture
def segmentationNode(scene, volumeNode):
    return SceneBridge.newSegmentation(scene, volumeNode)


@pytest.fixture
def segmentId(segmentationNode) -> str:
    """Of a segment that nobody named."""
    return SceneBridge.addSegment(segmentationNode, "Segment 1", (0.1, 0.8, 0.7))


@pytest.fixture
def ready(desk, speech, volumeNode, segmentationNode, segmentId):
    desk.controller.setVolume(volumeNode)
    desk.controller.setSegment(segmentationNode, segmentId)
    desk.finish()
    return desk


@pytest.fixture
def maskOf(segmentationNode, volumeNode):
    return lambda segmentId: slicersMask(segmentationNode, segmentId, volumeNode)


@pytest.fixture
def segment(segmentationNode, segmentId) -> slicer.vtkSegment:
    return segmentationNode.GetSegmentation().GetSegment(segmentId)


def type(desk, *texts: str) -> None:
    for words in texts:
        desk.controller.add(Text(words))
        desk.finish()


def undo(desk) -> None:
    desk.controller.undo()
    desk.finish()


class TestWords:
    def test_words_become_a_mask_and_the_state_tells_how_they_were_understood(self, ready, segmentId, maskOf):
        type(ready, "left kidney")
        assert np.array_equal(maskOf(segmentId), block(A))
        state = ready.controller.state
        understood = state.understood
        assert (understood.words, understood.sentence) == ("left kidney", "The left kidney.")
        assert [each.title for each in understood.alternatives] == ["left kidney", "something else"]
        assert (understood.chosen, understood.confidence, understood.links) == (0, 0.9, ("Physics: two blocks.",))
        assert understood.alternatives[1].why == "something else, because it is there."
        assert (state.error, state.voxels, state.canUndo) == ("", 125, True) and state.milliseconds > 0
        assert [entry.prompt.origin for entry in state.prompts] == ["left kidney"]

    def test_two_answers_found_in_different_ways_are_compared_and_others_are_not(self, ready):
        type(ready, "either kidney")
        understood = ready.controller.state.understood
        rows = answerRows(understood)
        assert [(row.number, row.who, row.facts) for row in rows] == [
            (0, "Values and shape", "either kidney, 90 % sure"),
            (1, "Recall memory", "something else, 40 % sure"),
        ]
        assert rows[0].picture.shape == rows[1].picture.shape == (160, 160, 3)
        assert f"on slice {understood.comparison.index}," in comparisonWords(understood)
        ready.controller.choose(1)
        ready.finish()
        assert ready.controller.state.understood.comparison is understood.comparison  # drawn once
        type(ready, "left kidney")
        assert answerRows(ready.controller.state.understood) == []
        assert comparisonWords(ready.controller.state.understood) == comparisonWords(None) == ""

    def test_another_alternative_is_one_step_and_undo_takes_it_back(self, ready, segmentId, maskOf):
        type(ready, "left kidney")
        ready.controller.choose(1)
        ready.finish()
        assert np.array_equal(maskOf(segmentId), block(B))
        understood = ready.controller.state.understood
        assert (understood.chosen, understood.confidence, understood.sentence) == (1, 0.4, "The left kidney.")
        undo(ready)
        assert np.array_equal(maskOf(segmentId), block(A)) and ready.controller.state.understood.chosen == 0
        undo(ready)
        assert not maskOf(segmentId).any() and ready.controller.state.understood is None

    def test_a_click_corrects_what_words_made(self, ready, segmentId, maskOf):
        type(ready, "left kidney")
        ready.controller.add(Click(C))
        ready.finish()
        assert np.array_equal(maskOf(segmentId), block(A, C))
        assert ready.controller.state.understood is None

    def test_words_replace_the_mask_there_was(self, ready, segmentId, maskOf):
        ready.controller.add(Click(C))
        ready.finish()
        type(ready, "left kidney")
        assert np.array_equal(maskOf(segmentId), block(A))
        undo(ready)
        assert np.array_equal(maskOf(segmentId), block(C))

    def test_a_choice_without_words_before_it_says_so(self, ready):
        ready.controller.choose(1)
        ready.finish()
        assert "type what to segment first" in ready.controller.state.error


class TestNames:
    def test_a_segment_that_nobody_named_takes_name_codes_and_colour(self, ready, segment):
        type(ready, "left kidney")
        assert segment.GetName() == "left kidney"
        assert "~SCT^64033007^Kidney~SCT^7771000^Left~" in segment.GetTerminology()
        assert np.allclose(np.array(segment.GetColor()) * 255, (185, 102, 83))

    def test_a_name_that_the_user_gave_stays(self, ready, segment):
        segment.SetName("what the surgeon asked for")
        type(ready, "left kidney")
        assert segment.GetName() == "what the surgeon asked for" and segment.GetColor() == (0.1, 0.8, 0.7)

    def test_later_words_change_the_name_that_earlier_ones_gave(self, ready, segment):
        type(ready, "left kidney", "spleen")
        assert segment.GetName() == "spleen" and "78961009" in segment.GetTerminology()
        segment.SetName("mine")
        type(ready, "left kidney")
        assert segment.GetName() == "mine"

    def test_a_command_names_nothing(self, ready, segment):
        ready.controller.add(Click(A))
        ready.finish()
        type(ready, "grow by 2 mm")
        assert segment.GetName() == "Segment 1"

    def test_words_the_terminology_does_not_know_name_without_codes_and_leave_the_colour(self, ready, segment):
        type(ready, "the thing on the left")
        assert segment.GetName() == "the thing on the left" and segment.GetColor() == (0.1, 0.8, 0.7)
        assert "Kidney" not in segment.GetTerminology()

    def test_a_colour_like_that_of_another_segment_is_not_taken(self, ready, segmentationNode, segment):
        SceneBridge.addSegment(segmentationNode, "right kidney")
        type(ready, "left kidney")
        assert segment.GetName() == "left kidney" and segment.GetColor() == (0.1, 0.8, 0.7)


class TestOtherSegments:
    def test_words_can_refer_to_what_was_segmented_painted_or_loaded(
        self, ready, speech, segmentationNode, volumeNode, segmentId
    ):
        liver, spleen = (SceneBridge.addSegment(segmentationNode, name) for name in ("liver", "spleen"))
        SceneBridge.addSegment(segmentationNode, "empty")
        ready.controller.setSegment(segmentationNode, liver)
        ready.controller.add(Click(B))
        ready.finish()
        editAsSlicerDoes(segmentationNode, spleen, volumeNode, block(C))
        ready.controller.setSegment(segmentationNode, segmentId)
        type(ready, "left kidney")
        assert np.array_equal(speech.seen["liver"], block(B)) and np.array_equal(speech.seen["spleen"], block(C))
        assert "left kidney" not in speech.seen and "Segment 1" not in speech.seen
        assert not speech.seen.get("empty", np.zeros(1)).any()

    def test_an_edit_of_a_segment_that_has_a_session_counts(
        self, ready, speech, segmentationNode, volumeNode, segmentId
    ):
        liver = SceneBridge.addSegment(segmentationNode, "liver")
        ready.controller.setSegment(segmentationNode, liver)
        ready.controller.add(Click(B))
        ready.finish()
        editAsSlicerDoes(segmentationNode, liver, volumeNode, block(B, C))
        ready.controller.setSegment(segmentationNode, segmentId)
        type(ready, "left kidney")
        assert np.array_equal(speech.seen["liver"], block(B, C))

    def test_the_session_does_not_keep_them(self, ready, segmentationNode, volumeNode):
        editAsSlicerDoes(segmentationNode, SceneBridge.addSegment(segmentationNode, "liver"), volumeNode, block(B))
        type(ready, "left kidney")
        (record,) = ready.controller._records.values()
        assert dict(record.session.segments) == {}

    def test_what_a_split_gives_away_becomes_a_segment(self, ready, segmentationNode, segmentId, segment, maskOf):
        type(ready, "kidneys", "split left and right")
        first, second = segmentationNode.GetSegmentation().GetSegmentIDs()
        assert first == segmentId and np.array_equal(maskOf(first), block(A)) and segment.GetName() == "left kidney"
        other = segmentationNode.GetSegmentation().GetSegment(second)
        assert other.GetName() == "right kidney" and np.array_equal(maskOf(second), block(C))
        assert "Kidney~SCT^24028007^Right" in other.GetTerminology()
        assert "right kidney" in ready.controller.state.report
        ready.controller.add(Click(B))
        ready.finish()
        assert [entry.prompt.kind for entry in ready.controller.state.prompts] == ["mask", "mask", "click"]

    def test_the_sides_of_what_has_no_sides_are_parts(self, ready, segmentationNode, segment):
        segment.SetName("liver")
        type(ready, "split left and right")
        names = [segmentationNode.GetSegmentation().GetNthSegment(index).GetName() for index in range(2)]
        assert names == ["liver", "right part of liver"]


class TestRemembering:
    def entries(self) -> list[str]:
        memory, problems = RecallFolder(default_folder()).read()
        assert problems == ()
        return [entry.title for entry in memory]

    def test_a_segment_is_remembered_under_a_name_and_known_in_all_sessions(
        self, ready, speech, segmentationNode, segmentId
    ):
        other = SceneBridge.addSegment(segmentationNode, "Segment 2")
        ready.controller.setSegment(segmentationNode, other)
        type(ready, "spleen")
        ready.controller.setSegment(segmentationNode, segmentId)
        type(ready, "left kidney")
        ready.controller.remember("left kidney", note="from a test")
        ready.finish()
        assert self.entries() == ["left kidney"] and ready.controller.state.error == ""
        assert ready.controller.state.report.startswith("Remembered as “left kidney”")
        ready.controller.setSegment(segmentationNode, other)
        type(ready, "spleen")
        assert "left kidney" in speech.surroundings.recall.names()

    def test_remembered_again_after_a_correction_it_takes_the_place_of_the_former(self, ready):
        type(ready, "left kidney")
        for act in (lambda: None, lambda: ready.controller.add(Click(C))):
            act()
            ready.controller.remember("left kidney")
            ready.finish()
        assert self.entries() == ["left kidney"]
        ready.controller.remember("kidney of an athlete")
        ready.finish()
        assert len(self.entries()) == 2

    @pytest.mark.parametrize(("name", "words"), [("", "name"), ("🙂", "name"), ("x" * 5000, "name")])
    def test_names_that_are_none_are_refused_with_a_sentence(self, ready, name, words):
        type(ready, "left kidney")
        ready.controller.remember(name)
        ready.finish()
        assert words in ready.controller.state.error and self.entries() == []

    def test_an_empty_segment_is_not_remembered(self, ready):
        ready.controller.remember("left kidney")
        ready.finish()
        assert "empty" in ready.controller.state.error and self.entries() == []

    def test_without_a_segment_the_user_is_told_to_choose_one(self, desk, volumeNode):
        desk.controller.setVolume(volumeNode)
        desk.controller.remember("left kidney")
        assert "choose a segment first" in desk.controller.state.error

    def test_by_itself_it_remembers_what_has_a_name_once_for_every_change(self, ready, segment):
        def leave() -> None:
            ready.controller.rememberIfNew()
            ready.finish()

        leave()
        ready.controller.add(Click(A))
        ready.finish()
        leave()  # nobody named it
        assert self.entries() == []
        segment.SetName("left kidney")
        leave()
        (first,) = RecallFolder(default_folder()).read()[0]
        leave()
        assert [entry.identity for entry in RecallFolder(default_folder()).read()[0]] == [first.identity]
        ready.controller.add(Click(B))
        ready.finish()
        leave()
        (second,) = RecallFolder(default_folder()).read()[0]
        assert second.volume_ml > first.volume_ml

    def test_the_memory_is_renamed_deleted_exported_and_imported(self, ready, tmp_path):
        recall = Recall()
        type(ready, "left kidney")
        ready.controller.remember("left kidney")
        ready.finish()
        (identity,) = [entry.identity for entry in RecallFolder(default_folder()).read()[0]]
        recall.memory()
        recall.exportTo(tmp_path / "shared.zip", [identity])
        recall.rename(identity, "spleen")
        assert "spleen" in recall.names and self.entries() == ["spleen"]
        recall.remove(identity)
        assert self.entries() == [] and not recall.isOwn(identity)
        assert recall.importFrom(tmp_path / "shared.zip") == (1, ())
        assert self.entries() == ["left kidney"] and recall.isOwn(identity)
        new, left = recall.importFrom(tmp_path / "shared.zip")
        assert new == 0 and "here already" in left[0]


class TestBadInput:
    @pytest.mark.parametrize("words", ["nonsense", "nonsense 🙂 肾 почка", "nothing"])
    def test_what_is_not_understood_or_not_there_is_a_sentence_and_changes_nothing(
        self, ready, segment, segmentId, maskOf, words
    ):
        type(ready, "left kidney", words)
        state = ready.controller.state
        assert state.error.endswith(("such as left kidney.", "click it instead."))
        assert np.array_equal(maskOf(segmentId), block(A)) and segment.GetName() == "left kidney"
        assert len(state.prompts) == 1 and state.understood.words == "left kidney"

    @pytest.mark.parametrize(("words", "sentence"), [("  ", "type what to segment"), ("kidney " * 2000, "fewer words")])
    def test_no_words_and_far_too_many_are_no_prompt(self, words, sentence):
        with pytest.raises(PromptError, match=sentence):
            Text(words)

    def test_with_nothing_loaded_the_user_is_told_to_choose_something(self, desk, speech):
        desk.controller.add(Text("left kidney"))
        assert "choose a volume first" in desk.controller.state.error

    def test_words_end_a_propagation_and_are_answered(self, ready, segmentId, maskOf):
        ready.controller.add(Click(B))
        ready.finish()
        ready.controller.propagate("k", 8)
        while ready.controller.state.progress.done < 1:
            ready.queue.process()
        type(ready, "left kidney")
        state = ready.controller.state
        kept = block(A)
        kept[8] = block(B)[8]  # the slice that the propagation began from is agreed
        assert np.array_equal(maskOf(segmentId), kept)
        assert (state.propagating, state.error, state.understood.words) == (False, "", "left kidney")

    @pytest.mark.parametrize("what", ["segment", "segmentation", "volume", "scene"])
    def test_things_that_vanish_while_words_are_being_understood_take_the_result_along(
        self, ready, speech, scene, volumeNode, segmentationNode, segmentId, what
    ):
        speech.goOn.clear()
        speech.started.clear()
        ready.controller.add(Text("split left and right"))
        assert speech.started.wait(20)
        match what:
            case "segment":
                segmentationNode.GetSegmentation().RemoveSegment(segmentId)
            case "segmentation":
                scene.RemoveNode(segmentationNode)
            case "volume":
                scene.RemoveNode(volumeNode)
            case "scene":
                scene.Clear(False)
        speech.goOn.set()
        ready.finish()
        state = ready.controller.state
        assert (state.prompts, state.busy, state.error, state.understood) == ((), False, "", None)
        if what == "segment":
            assert segmentationNode.GetSegmentation().GetNumberOfSegments() == 0

    def test_another_segment_that_vanishes_meanwhile_does_no_harm(
        self, ready, speech, volumeNode, segmentationNode, segmentId, maskOf
    ):
        liver = SceneBridge.addSegment(segmentationNode, "liver")
        editAsSlicerDoes(segmentationNode, liver, volumeNode, block(B))
        speech.goOn.clear()
        speech.started.clear()
        ready.controller.add(Text("left kidney"))
        assert speech.started.wait(20)
        segmentationNode.GetSegmentation().RemoveSegment(liver)
        speech.goOn.set()
        ready.finish()
        assert np.array_equal(speech.seen["liver"], block(B)) and np.array_equal(maskOf(segmentId), block(A))

    def test_a_segment_renamed_meanwhile_keeps_its_new_name(self, ready, speech, segment):
        speech.goOn.clear()
        speech.started.clear()
        ready.controller.add(Text("left kidney"))
        assert speech.started.wait(20)
        segment.SetName("mine")
        speech.goOn.set()
        ready.finish()
        assert segment.GetName() == "mine"
