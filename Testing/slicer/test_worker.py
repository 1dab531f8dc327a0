"""One thread for all session work, and a main queue for shells without an event loop."""

from __future__ import annotations

import threading
import time

import pytest

from MemSegSlicerLib.Worker import MainQueue, Worker

pytestmark = pytest.mark.slicer


@pytest.fixture
def queue() -> MainQueue:
    return MainQueue()


@pytest.fixture
def worker(queue):
    worker = Worker(queue.post)
    yield worker
    worker.close()


def unexpected(error: Exception) -> None:
    raise AssertionError(error)


def test_jobs_run_in_order_on_one_other_thread_and_results_come_back_on_the_main_one(queue, worker):
    jobThreads, results = [], []

    def job(number: int) -> int:
        jobThreads.append(threading.get_ident())
        return number

    for number in range(20):
        worker.submit(lambda n=number: job(n), lambda n: results.append((n, threading.get_ident())), unexpected)
    assert worker.busy
    assert queue.waitUntilIdle(worker, 10)
    assert results == [(number, threading.get_ident()) for number in range(20)]
    assert len(set(jobThreads)) == 1 and jobThreads[0] != threading.get_ident()
    assert not worker.busy


def test_a_failing_job_tells_its_own_callback_and_the_next_one_runs(queue, worker):
    failures, results = [], []
    worker.submit(lambda: 1 / 0, results.append, failures.append)
    worker.submit(lambda: "fine", results.append, failures.append)
    assert queue.waitUntilIdle(worker, 10)
    assert [type(error) for error in failures] == [ZeroDivisionError] and results == ["fine"]


def test_a_receiver_that_fails_does_not_keep_results_from_the_others(queue, worker, caplog):
    results = []
    worker.submit(lambda: 0, lambda value: 1 / value, unexpected)
    worker.submit(lambda: 1, results.append, unexpected)
    assert queue.waitUntilIdle(worker, 10)
    assert results == [1] and "a result could not be taken" in caplog.text


def test_waiting_includes_jobs_that_results_submit_in_turn(queue, worker):
    results = []

    def again(value: int) -> None:
        results.append(value)
        if value < 5:
            worker.submit(lambda: value + 1, again, unexpected)

    worker.submit(lambda: 0, again, unexpected)
    assert queue.waitUntilIdle(worker, 10)
    assert results == [0, 1, 2, 3, 4, 5]


def test_settling_delivers_everything_at_once_and_nothing_twice(queue, worker):
    results = []
    worker.submit(lambda: 1, lambda value: worker.submit(lambda: value + 1, results.append, unexpected), unexpected)
    worker.settle()
    assert results == [2]
    queue.process()
    assert results == [2]


def test_work_for_a_pause_waits_until_nothing_has_run_for_that_long(queue, worker):
    order = []
    worker.whenIdle(0.2, lambda: "in the pause", order.append, unexpected)
    for _ in range(4):
        time.sleep(0.1)
        worker.submit(lambda: "a click", order.append, unexpected)
    assert queue.waitUntilIdle(worker, 10)
    assert order == ["a click"] * 4
    end = time.monotonic() + 10
    while len(order) < 5 and time.monotonic() < end:
        queue.process()
        time.sleep(0.01)
    assert order[4] == "in the pause"


def test_of_two_things_for_a_pause_the_one_for_the_shorter_pause_comes_first(queue, worker):
    order = []
    worker.whenIdle(30.0, lambda: "long", order.append, unexpected)
    worker.whenIdle(0.01, lambda: "short", order.append, unexpected)
    end = time.monotonic() + 10
    while not order and time.monotonic() < end:
        queue.process()
        time.sleep(0.01)
    assert order == ["short"]


def test_waiting_too_long_says_so(queue, worker):
    goOn = threading.Event()
    worker.submit(lambda: goOn.wait(10), lambda _: None, unexpected)
    assert not queue.waitUntilIdle(worker, 0.05)
    goOn.set()
    assert queue.waitUntilIdle(worker, 10)


def test_closing_waits_for_the_running_job_drops_the_rest_and_delivers_nothing(queue, worker):
    started, ran, delivered = threading.Event(), [], []

    def first() -> None:
        started.set()
        time.sleep(0.1)
        ran.append("first")

    worker.submit(first, delivered.append, unexpected)
    worker.submit(lambda: ran.append("second"), delivered.append, unexpected)
    assert started.wait(10)
    worker.close()
    worker.close()
    queue.process()
    assert ran == ["first"] and delivered == []
    with pytest.raises(RuntimeError, match="closed"):
        worker.submit(lambda: None, delivered.append, unexpected)


def test_a_worker_that_was_never_used_starts_no_thread(queue):
    count = threading.active_count()
    worker = Worker(queue.post)
    assert threading.active_count() == count and not worker.busy
    worker.close()
