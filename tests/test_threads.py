"""Pieces of work in threads: what is set within them, and what is left behind."""

from __future__ import annotations

import threading

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from harness.threads import each_in_a_thread
from tests.made import HANGS

CPU = torch.device("cpu")


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def blas_threads():
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_results_come_in_the_order_of_their_pieces_from_threads_of_one_thread_each(three_threads):
    together = threading.Barrier(3, timeout=HANGS)

    def work(piece):
        if piece < 3:
            together.wait()  # three pieces are at work at once
        return piece * 10, torch.get_num_threads(), blas_threads()

    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        results = each_in_a_thread(work, range(7), CPU)
        assert blas_threads() == before
    assert results == [(piece * 10, 1, {1}) for piece in range(7)]
    assert torch.get_num_threads() == 3


def test_where_torch_has_one_thread_the_caller_does_the_work():
    assert torch.get_num_threads() == 1
    here = threading.get_ident()
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        results = each_in_a_thread(lambda _: (threading.get_ident(), blas_threads()), "ab", CPU)
        assert blas_threads() == before
    assert results == [(here, {1}), (here, {1})]


@pytest.mark.parametrize("in_the_caller", [True, False])
def test_an_exception_of_any_thread_is_raised_and_everything_is_as_before(
    three_threads, in_the_caller
):
    here, done = threading.get_ident(), []

    def work(piece):
        done.append(piece)
        if (threading.get_ident() == here) == in_the_caller:
            raise ZeroDivisionError("made up")
        threading.Event().wait(0.01)

    before = blas_threads()
    with pytest.raises(ZeroDivisionError, match="made up"):
        each_in_a_thread(work, range(1000), CPU)
    assert len(done) < 1000
    assert torch.get_num_threads() == 3
    assert blas_threads() == before


def test_the_threads_have_the_caller_s_modes(three_threads):
    x = torch.ones(2, requires_grad=True)
    assert each_in_a_thread(lambda _: (x * 2).requires_grad, range(2), CPU) == [False] * 2
    with torch.inference_mode():
        made = torch.zeros(2)
        each_in_a_thread(lambda piece: made[piece].add_(1), range(2), CPU)
    assert made.tolist() == [1, 1]
    assert not (x * 2).is_inference()
