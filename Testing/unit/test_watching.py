"""Answers that take their time are watched and stopped from outside, and only by whoever waits for them."""

from __future__ import annotations

import threading

import pytest

from memseg.errors import StoppedError
from memseg.watching import Progress, Watch, tell


def three_slices() -> str:
    for place in range(3):
        tell(f"slice {place + 1} of 3", place / 3)
    return "answer"


def test_what_is_told_is_heard_in_order():
    heard = []
    with Watch(heard.append).over():
        assert three_slices() == "answer"
    assert heard == [Progress("slice 1 of 3", 0.0), Progress("slice 2 of 3", 1 / 3), Progress("slice 3 of 3", 2 / 3)]


def test_without_a_watch_telling_is_of_no_effect():
    assert three_slices() == "answer"


def test_the_work_ends_at_the_next_thing_it_tells_once_it_is_stopped():
    heard = []

    def hear(progress: Progress) -> None:
        heard.append(progress.words)
        if len(heard) == 2:
            watch.stop()

    watch = Watch(hear)
    with watch.over(), pytest.raises(StoppedError, match="nothing was changed"):
        three_slices()
    assert heard == ["slice 1 of 3", "slice 2 of 3"] and watch.is_stopped


def test_a_watch_ends_with_what_it_is_over_and_an_inner_one_takes_its_place():
    outer, inner = [], []
    with Watch(outer.append).over():
        with Watch(inner.append).over():
            tell("inside")
        tell("outside")
    tell("after")
    assert [each.words for each in inner] == ["inside"] and [each.words for each in outer] == ["outside"]


def test_stopping_one_answer_does_not_stop_that_of_another_thread():
    stopped, answers = Watch(), []
    stopped.stop()

    def work() -> None:
        with Watch().over():
            answers.append(three_slices())

    with stopped.over():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(10)
        with pytest.raises(StoppedError):
            three_slices()
    assert answers == ["answer"]


@pytest.mark.parametrize(("words", "fraction"), [("", 0.5), ("slice 3", -0.1), ("slice 3", 1.1)])
def test_progress_that_makes_no_sense_cannot_be_told(words, fraction):
    with pytest.raises(ValueError):
        Progress(words, fraction)
