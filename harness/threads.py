"""Pieces of work side by side on the cores of a CPU, each piece in one thread.

Where a piece is hundreds of small operations, this takes half of the time on two cores. Spreading
every operation over all cores does not: each would wait for the last, and so would the next.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

__all__ = ["Lock", "each_in_a_thread"]

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def each_in_a_thread(
    work: Callable[[Piece], Result], pieces: Iterable[Piece], device: torch.device
) -> list[Result]:
    """`work` of every piece, in their order, without gradients.

    On a CPU as many at once as torch has threads, while torch and NumPy's matrix products take one
    thread each; on a GPU one after the other. The first exception is raised, and no piece begins
    after it.
    """
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    mode = torch.inference_mode if torch.is_inference_mode_enabled() else torch.no_grad
    waiting = iter(list(enumerate(pieces)))
    taking, results = Lock(), {}

    def take() -> tuple[int, Piece] | None:
        with taking:
            return next(waiting, None)

    def share() -> None:
        """What one thread does: piece after piece, while there are any and none has failed."""
        nonlocal waiting
        with mode():  # that of the calling thread
            while (taken := take()) is not None:
                number, piece = taken
                try:
                    results[number] = work(piece)
                except BaseException:
                    waiting = iter(())
                    raise

    with _libraries().limit(limits=1, user_api="blas"):
        if threads == 1:
            share()
        else:
            torch.set_num_threads(1)  # which every new thread takes over
            try:
                # This thread takes a share, for each further one keeps memory of its own.
                with ThreadPoolExecutor(threads - 1) as pool:
                    others = [pool.submit(share) for _ in range(threads - 1)]
                    share()
                for other in others:
                    other.result()
            finally:
                torch.set_num_threads(threads)
    return [results[number] for number in range(len(results))]


@functools.cache
def _libraries() -> ThreadpoolController:
    """What sets the threads of the BLAS libraries that this process has loaded."""
    return ThreadpoolController()
