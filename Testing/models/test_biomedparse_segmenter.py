"""BiomedParse as a segmenter: words find an object in every slice, clicks correct it, and what is not found is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bright_biomedparse import EDGE, VOCABULARY, bright_segmenter, network_of
from fakes import BlockSegmenter, ellipsoid, turned_grid
from small_biomedparse import small_biomedparse, small_config
from typer.testing import CliRunner

from memseg import catalog, models_command, registry, talking
from memseg.build import _built, build
from memseg.errors import ModalityUnknownError, ModelError, PromptError, StoppedError
from memseg.evaluation.metrics import dice
from memseg.geometry import Box, Grid
from memseg.history import History
from memseg.journal import Journal, resume_session
from memseg.memory.recall import RecallMemory
from memseg.networks.biomedparse.model import BiomedParse
from memseg.prompts import Click, Text
from memseg.segmenters import biomedparse_weights
from memseg.segmenters.base import Numbered, Segmenter
from memseg.segmenters.biomedparse import BiomedParseSegmenter
from memseg.segmenters.biomedparse_walk import Pace
from memseg.session import Session
from memseg.text.remembering import remember
from memseg.volume import Volume
from memseg.watching import Progress, Watch

SHAPE, CENTRE = (20, 60, 64), (9, 28, 33)
OBJECT = ellipsoid(SHAPE, CENTRE, (5.2, 15.0, 18.5))
ASKED = Text("left kidney in CT")


def bright(truth: np.ndarray = OBJECT, grid: Grid | None = None) -> Volume:
    """Soft tissue of -50 HU with an object of 200."""
    return Volume(truth.astype(np.int16) * 250 - 50, grid or turned_grid(truth.shape))


def astuple(history: History) -> tuple:
    return history.state, history.done, history.undone, history.next_number


def session_of(segmenter=None, volume: Volume | None = None, **options) -> Session:
    return Session(volume or bright(), segmenter or bright_segmenter(), "cpu", **options)


# -- words -------------------------------------------------------------------------------------------------------------


def test_words_find_the_object_on_an_oblique_volume_of_thick_slices():
    session = session_of()
    session.add(ASKED)
    assert dice(OBJECT, session.mask_kji) > 0.93
    assert session.prompts[0].prompt == ASKED and session.note == ""


def test_it_is_a_segmenter_and_its_card_says_that_its_weights_are_not_free():
    card = catalog.card("biomedparse")
    assert isinstance(bright_segmenter(), Segmenter) and {"text", "click"} <= card.prompts
    assert catalog.needs_a_yes(card) and not card.files and not catalog.can_be_built(card)
    assert "memseg models add biomedparse FILE" in catalog.how_to_add(card)


def test_every_slice_is_shown_with_its_neighbours_in_the_window_of_the_words():
    segmenter, volume = bright_segmenter(), bright(grid=Grid.from_spacing(SHAPE, (2.5, 1, 1)))
    segmenter.predict(volume, (Numbered(1, ASKED),), np.zeros(SHAPE, np.uint8), None)
    shown = torch.cat(network_of(segmenter).shown)
    assert shown.shape == (20, 3, EDGE, EDGE)
    assert torch.equal(shown[1:, 1], shown[:-1, 0]) and torch.equal(shown[:-1, 2], shown[1:, 0])
    assert torch.equal(shown[0, 1], shown[1, 0]) and torch.equal(shown[-1, 2], shown[-2, 0])
    # -50 HU in the abdomen's window of -150 to 250: a quarter of 255, cut off
    assert shown[0, 0, 32, 32] == 63 and shown[9, 0, 32, 32] == 223


def test_a_second_question_costs_the_decoder_only():
    segmenter, session = bright_segmenter(), None
    session = session_of(segmenter, memory=False)
    session.add(ASKED)
    session.add(Text("right kidney in CT"))
    network = network_of(segmenter)
    assert len(network.shown) == 20 and network.answers == 40 and len(network.asked) == 2


def test_another_window_is_encoded_anew():
    segmenter = bright_segmenter()
    session = session_of(segmenter, memory=False)
    session.add(ASKED)
    session.add(Text("liver in CT"))
    assert len(network_of(segmenter).shown) == 40


def test_words_that_match_nothing_paint_nothing_and_say_so():
    segmenter = bright_segmenter()
    network_of(segmenter).knows = ("kidney",)
    session = session_of(segmenter)
    session.add(ASKED)
    before = session.mask_kji.copy()
    with pytest.raises(PromptError, match=r"finds no spleen in CT here: it is 0% sure .* Say it in other words"):
        session.add(Text("spleen in CT"))
    assert np.array_equal(session.mask_kji, before) and len(session.prompts) == 1


def test_new_words_replace_the_mask_of_earlier_ones():
    session = session_of()
    session.add(Click((2, 3, 3)))
    assert session.mask_kji[2, 3, 3] == 1
    session.add(ASKED)
    assert session.mask_kji[2, 3, 3] == 0 and session.mask_kji[CENTRE] == 1


# -- the kind of image -------------------------------------------------------------------------------------------------


def test_the_kind_of_image_is_asked_for_where_it_cannot_be_told_and_remembered():
    array = bright().array_kji.astype(np.float32) - 120  # -170 to 80: neither air nor the values of MR
    segmenter, volume = bright_segmenter(), Volume(array, turned_grid(SHAPE))
    session = session_of(segmenter, volume)
    with pytest.raises(ModalityUnknownError, match="say it once in the words, such as 'left kidney in CT'"):
        session.add(Text("left kidney"))
    assert not session.mask_kji.any() and not session.prompts
    session.add(Text("left kidney in CT"))
    session.add(Text("right kidney"))
    assert asked_last(segmenter) == VOCABULARY.encode("right kidney in abdominal CT")


def asked_last(segmenter) -> tuple[int, ...]:
    return tuple(network_of(segmenter).asked[-1].tolist())


def unknown() -> Volume:
    """-170 to 80: neither air nor the values of MR."""
    return Volume(bright().array_kji.astype(np.float32) - 120, turned_grid(SHAPE))


def test_the_kind_of_image_that_was_said_counts_for_all_sessions_on_the_image_and_is_saved_with_them():
    volume, segmenter = unknown(), bright_segmenter()
    session = session_of(segmenter, volume)
    assert session.modality == ""
    session.tell_modality("MR")
    session.add(Text("left kidney"))
    assert asked_last(segmenter) == VOCABULARY.encode("left kidney in MRI")
    assert session_of(volume=volume).modality == "MR" and session_of(volume=unknown()).modality == ""
    again = Session.from_bytes(session.to_bytes(), unknown(), bright_segmenter())
    assert again.modality == "MR"
    again.remove(0)
    again.add(Text("right kidney"))
    assert asked_last(again._segmenter) == VOCABULARY.encode("right kidney in MRI")


def test_a_kind_of_image_that_there_is_none_of_is_refused():
    session = session_of(volume=unknown())
    with pytest.raises(PromptError, match="choose one of: CT, MR, PET, ultrasound, microscopy"):
        session.tell_modality("X-ray")
    assert session.modality == ""


def test_a_session_in_which_the_kind_of_image_was_told_is_resumed_from_its_journal(tmp_path, monkeypatch):
    monkeypatch.setattr("memseg.build.build", lambda *_: bright_segmenter())
    volume = unknown()
    session = session_of(volume=volume)
    session.keep_journal(Journal.begin(tmp_path / "session.journal", volume, session.model, True))
    session.tell_modality("CT")
    session.add(Text("left kidney"))
    again = resume_session(tmp_path / "session.journal", unknown(), "cpu")
    assert again.modality == "CT" and np.array_equal(again.mask_kji, session.mask_kji) and session.mask_kji.any()


# -- beside a model that takes no words --------------------------------------------------------------------------------


@pytest.fixture
def reader(monkeypatch):
    """BiomedParse reads the words of a session whose model takes none."""
    segmenter = bright_segmenter()
    monkeypatch.setattr(catalog, "default_for_text", lambda: "biomedparse")
    monkeypatch.setattr(talking, "build", lambda *_: segmenter)
    return segmenter


def chained(volume: Volume) -> Session:
    return Session(volume, BlockSegmenter(), "cpu", recall=RecallMemory())


def test_words_that_only_the_reader_could_answer_ask_for_the_kind_of_image(reader):
    session = chained(unknown())
    with pytest.raises(ModalityUnknownError, match="cannot be told by its values"):
        session.add(Text("left kidney"))
    with pytest.raises(ModalityUnknownError):
        session.add(Text("frobnicated gland"))  # of which the grammar makes nothing
    assert not session.prompts
    session.add(Text("left kidney in CT"))
    assert session.modality == "CT" and dice(OBJECT, session.mask_kji) > 0.8
    assert asked_last(reader) == VOCABULARY.encode("left kidney in abdominal CT")


def test_the_answer_of_the_reader_in_the_chain_is_stopped_too_and_nothing_else_answers_in_its_place(reader):
    session = chained(bright())
    watch = Watch()
    watch.stop()
    with watch.over(), pytest.raises(StoppedError):
        session.add(Text("left kidney"))
    assert not session.prompts and not session.can_undo


def test_its_answer_and_what_is_remembered_are_compared_where_they_differ_most(reader):
    truth = ellipsoid((40, 64, 64), (20, 30, 30), (8.2, 9.2, 9.2))
    volume = bright(truth, Grid.from_spacing(truth.shape, (3, 3, 3)))
    box = Box((14, 18, 18), (27, 43, 43))  # remembered is a block that goes beyond it
    session = chained(volume)
    session.recall = RecallMemory((remember(volume, box, np.ones(box.shape_kji, np.uint8), "left kidney"),))
    session.add(Text("left kidney"))
    links = [found.link for found in session.understood.found]
    assert links[:2] == ["model", "recall"]
    compared = session.compared
    assert [side.who for side in compared.sides] == ["BiomedParse", "Recall memory"]
    assert compared.axis == "k" and box.start_kji[0] - 2 <= compared.index <= box.stop_kji[0] + 1
    first = session.mask_kji.copy()
    session.choose(compared.sides[1].number)
    assert session.compared is compared and session.chosen == 1 and not np.array_equal(session.mask_kji, first)
    session.undo()
    assert np.array_equal(session.mask_kji, first) and session.chosen == 0
    session.undo()
    assert not session.mask_kji.any() and session.compared is None


def test_words_answered_in_one_way_only_are_not_compared(reader):
    session = chained(bright())
    session.add(Text("left kidney"))
    assert len(session.understood.found) == 1 and session.compared is None


# -- corrections -------------------------------------------------------------------------------------------------------


def test_clicks_correct_the_mask_of_the_words():
    session = session_of()
    session.add(ASKED)
    away = np.argwhere((session.mask_kji > 0) & ellipsoid(SHAPE, (9, 28, 48), (2, 3, 3)).astype(bool))[0]
    session.add(Click(tuple(away), positive=False))
    assert session.mask_kji[tuple(away)] == 0 and session.mask_kji[CENTRE] == 1
    session.add(Click((2, 3, 3)))
    assert session.mask_kji[2, 3, 3] == 1 and session.mask_kji[CENTRE] == 1
    session.undo()
    session.undo()
    assert dice(OBJECT, session.mask_kji) > 0.93


def test_without_words_a_click_is_answered_as_well():
    session = session_of()
    session.add(Click(CENTRE))
    assert session.mask_kji[CENTRE] == 1 and not network_of(session._segmenter).shown


def test_a_session_with_words_and_clicks_is_saved_and_goes_on():
    session, segmenter = session_of(), bright_segmenter()
    session.add(ASKED)
    session.add(Click((9, 28, 50), positive=False))
    again = Session.from_bytes(session.to_bytes(), session.volume, segmenter)
    assert np.array_equal(again.mask_kji, session.mask_kji)
    again.remove(1)
    assert dice(OBJECT, again.mask_kji) > 0.93


# -- volumes of other shapes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "note"), [(1, "The image has a single slice"), (2, "")])
def test_a_volume_of_one_or_two_slices_is_answered(count, note):
    truth = np.repeat(OBJECT[9:10], count, axis=0)
    session = session_of(volume=bright(truth, Grid.from_spacing(truth.shape, (5, 1, 1))))
    session.add(ASKED)
    assert dice(truth, session.mask_kji) > 0.93 and session.note.startswith(note)
    assert bool(session.note) == bool(note)


def test_a_sagittal_volume_is_cut_into_its_own_slices_and_that_is_said():
    truth = np.ascontiguousarray(OBJECT.transpose(1, 2, 0))  # 20 thick slices along i
    session = session_of(volume=bright(truth, Grid.from_spacing(truth.shape, (1, 1, 4))))
    session.add(ASKED)
    assert dice(truth, session.mask_kji) > 0.93
    assert "cut into sagittal slices" in session.note


# -- long work ---------------------------------------------------------------------------------------------------------


def test_stopped_in_mid_volume_nothing_has_changed_and_asking_again_goes_on():
    segmenter = bright_segmenter()
    network, session = network_of(segmenter), session_of(segmenter, memory=False)
    session.add(Click((2, 3, 3)))
    before, history = session.mask_kji.copy(), astuple(session.history)
    watch = Watch(lambda progress: watch.stop() if progress.words == "slice 7 of 20" else None)
    with watch.over(), pytest.raises(StoppedError):
        session.add(ASKED)
    assert np.array_equal(session.mask_kji, before) and astuple(session.history) == history and len(network.shown) == 7
    session.add(ASKED)
    assert dice(OBJECT, session.mask_kji) > 0.93 and len(network.shown) == 20


def test_every_slice_is_told_of_before_it_is_looked_at():
    heard, session = [], session_of(memory=False)
    with Watch(heard.append).over():
        session.add(ASKED)
    assert heard[:2] == [Progress("slice 1 of 20", 0.0), Progress("slice 2 of 20", 0.05)]
    assert heard[-2:] == [Progress("slice 20 of 20", 0.95), Progress("putting the slices together", 1.0)]
    assert len(heard) == 21


def test_what_is_told_never_goes_back_with_memory_and_in_a_tall_volume():
    truth = np.zeros((100, 24, 24), np.uint8)
    truth[40:57, 6:18, 6:18] = 1
    tall = bright(truth, Grid.from_spacing(truth.shape, (1, 1, 1)))
    for volume, pace in ((bright(), None), (tall, Pace(10.0))):
        heard = []
        with Watch(heard.append).over():
            session_of(bright_segmenter(pace=pace), volume).add(ASKED)
        fractions = [progress.fraction for progress in heard]
        assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == 1
        assert any("with memory" in progress.words for progress in heard)


def test_an_answer_to_earlier_words_that_is_stopped_when_a_prompt_is_taken_out_changes_nothing():
    session = session_of()
    session.add(ASKED)
    session.add(Text("right kidney in CT"))
    before, history = session.mask_kji.copy(), astuple(session.history)
    watch = Watch()
    watch.stop()
    with watch.over(), pytest.raises(StoppedError):
        session.remove(0)
    assert np.array_equal(session.mask_kji, before) and astuple(session.history) == history


def test_slices_come_one_by_one_and_closing_ends_the_work():
    segmenter = bright_segmenter()
    looks = segmenter.looks(bright(), "left kidney in CT")
    assert [next(looks).number for _ in range(3)] == [0, 1, 2]
    looks.close()
    assert len(network_of(segmenter).shown) == 3


def test_in_a_tall_volume_a_few_slices_are_looked_at_first_and_those_between_where_the_object_is():
    truth = np.zeros((100, 24, 24), np.uint8)
    truth[40:57, 6:18, 6:18] = 1
    volume = bright(truth, Grid.from_spacing(truth.shape, (1, 1, 1)))
    found = []
    for every_mm in (0.0, 10.0):
        segmenter = bright_segmenter(pace=Pace(every_mm))
        session = session_of(segmenter, volume, memory=False)
        session.add(ASKED)
        found.append((session.mask_kji.copy(), len(network_of(segmenter).shown)))
        assert ("One slice in 10 was looked at first" in session.note) == (every_mm > 0)
    assert np.array_equal(found[0][0], found[1][0])
    # 0, 10, ... 90 and 99; then 41 to 57, of which 50 is one, and 39
    assert found[0][1] == 100 and found[1][1] == 11 + 17 - 1 + 1


# -- weights -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_files(monkeypatch):
    """Readers that expect a small network."""
    monkeypatch.setattr(biomedparse_weights, "BiomedParseConfig", lambda: small_config(EDGE, len(VOCABULARY)))
    return small_biomedparse(small_config(EDGE, len(VOCABULARY))).state_dict()


def same(network: BiomedParse, weights: dict[str, torch.Tensor]) -> bool:
    ours = network.state_dict()
    return ours.keys() == weights.keys() and all(torch.equal(ours[name], value) for name, value in weights.items())


def test_a_training_checkpoint_is_read_and_what_is_not_the_networks_is_left_alone(tmp_path, small_files):
    content = {f"model.{name}": value for name, value in small_files.items()}
    torch.save({"state_dict": {**content, "loss.weight": torch.ones(2)}, "epoch": 3}, tmp_path / "biomedparse_v2.ckpt")
    assert same(biomedparse_weights.load(tmp_path / "biomedparse_v2.ckpt"), small_files)


def test_a_file_of_what_was_learned_alone_gets_the_two_constants(tmp_path, small_files):
    learned = {name: value for name, value in small_files.items() if not name.startswith("pixel_")}
    torch.save(learned, tmp_path / "biomedparse_v2.ckpt")
    network = biomedparse_weights.load(tmp_path / "biomedparse_v2.ckpt")
    assert float(network.pixel_mean.mean()) == pytest.approx(114.495) and same(network, small_files)


def test_what_is_missing_is_named(tmp_path, small_files):
    kept = {name: value for name, value in small_files.items() if "classifier_query" not in name}
    torch.save(kept, tmp_path / "other.ckpt")
    with pytest.raises(ModelError, match=r"BiomedParse: they lack sem_seg_head\.predictor\.classifier_query"):
        biomedparse_weights.load(tmp_path / "other.ckpt")


def test_weights_of_version_1_are_told_apart_and_refused(tmp_path, small_files):
    old = {
        name.replace("language_encoder.encoder_transformer", "lang_encoder.lang_encoder"): value
        for name, value in small_files.items()
    }
    torch.save(old, tmp_path / "biomedparse_v1.pt")
    with pytest.raises(ModelError, match=r"those of BiomedParse v1, .* use biomedparse_v2\.ckpt"):
        biomedparse_weights.load(tmp_path / "biomedparse_v1.pt")


def test_a_file_is_added_once_its_licence_is_accepted_and_then_answers_to_words(tmp_path, small_files, monkeypatch):
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "registry"))
    torch.save({"state_dict": small_files}, tmp_path / "biomedparse_v2.ckpt")
    arguments = ["add", "biomedparse", str(tmp_path / "biomedparse_v2.ckpt")]
    refused = CliRunner().invoke(models_command.app, arguments, input="n\n")
    assert isinstance(refused.exception, ModelError) and catalog.default_for_text() == ""
    done = CliRunner().invoke(models_command.app, [*arguments, "--accept-licence"])
    assert done.exception is None and "CC BY-NC-SA 4.0" in done.output
    assert catalog.default_for_text() == "biomedparse"
    assert isinstance(build("biomedparse", "cpu"), BiomedParseSegmenter)
    _built.cache_clear()


def test_a_file_becomes_a_segmenter_that_answers_and_answers_the_same_again(tmp_path, small_files):
    torch.save({"state_dict": small_files}, tmp_path / "biomedparse_v2.ckpt")
    truth = OBJECT[6:10, ::2, ::2]
    volume = bright(truth, Grid.from_spacing(truth.shape, (5, 2, 2)))
    looks = []
    for _ in range(2):
        segmenter = BiomedParseSegmenter.from_file(tmp_path / "biomedparse_v2.ckpt", "cpu")
        looks += [list(segmenter.looks(volume, "left kidney in CT")) for _ in range(2)]
    for others in looks[1:]:
        for look, other in zip(looks[0], others, strict=True):
            assert np.array_equal(look.logits, other.logits) and look.existence == other.existence
    assert np.isfinite(looks[0][0].logits).all() and looks[0][0].logits.shape == (EDGE // 4, EDGE // 4)
