"""Where runs execute. One shape: an engine has `slots` and submit(run) -> Future of a Record."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait

from harness.execute import Places, execute
from harness.records import record_of
from harness.schema import Problem, Record, Run


class Inline:
    """Runs execute in this process, one after the other."""

    slots = 1

    def __init__(self, places: Places) -> None:
        self.places = places
        prepare(places)

    def submit(self, run: Run) -> Future[Record]:
        """Execute now; the future is done when this returns."""
        future: Future[Record] = Future()
        try:
            future.set_result(execute(run, self.places))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        """Nothing is left open."""


class Local:
    """Worker processes on this machine, one per slot; `places` has one entry a slot.

    Slots may be of several GPUs, or share one. All have the same folders and number of threads. A
    worker that dies (killed, out of memory, crash) costs its run one retry in a new process,
    then a failure record with the reason. Workers end when this process does, however it ends.
    """

    def __init__(self, places: Sequence[Places]) -> None:
        self.slots = len(places)
        self._started: dict[ProcessPoolExecutor, Future[None]] = {}
        self._places: dict[ProcessPoolExecutor, Places] = {}
        self._free = [self._worker(own) for own in places]
        self._busy: set[ProcessPoolExecutor] = set()
        self._lock = threading.Lock()
        self._closed = False

    def _worker(self, places: Places) -> ProcessPoolExecutor:
        worker = ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(places,),
        )
        self._started[worker] = worker.submit(_started)
        self._places[worker] = places
        return worker

    def submit(self, run: Run) -> Future[Record]:
        """Execute in a free worker; there is one as long as no more than `slots` are in flight."""
        outer: Future[Record] = Future()
        self._start(run, outer, attempt=1)
        return outer

    def _start(self, run: Run, outer: Future[Record], attempt: int) -> None:
        with self._lock:
            if self._closed:
                outer.cancel()
                return
            worker = self._free.pop(0)  # on a retry: another slot, where one is free
            self._busy.add(worker)
        inner = worker.submit(execute, run, self._places[worker])
        inner.add_done_callback(lambda done: self._finish(run, outer, attempt, worker, done))

    def _finish(
        self,
        run: Run,
        outer: Future[Record],
        attempt: int,
        worker: ProcessPoolExecutor,
        inner: Future[Record],
    ) -> None:
        error = None if inner.cancelled() else inner.exception()
        died = isinstance(error, BrokenProcessPool)
        if died and self._started[worker].exception() is not None:
            outer.set_exception(
                Problem(
                    "worker processes end before they begin (what they print is above); mend "
                    "that, nothing was recorded"
                )
            )
            return
        with self._lock:
            self._busy.discard(worker)
            if not self._closed:
                self._free.append(self._worker(self._places[worker]) if died else worker)
        if self._closed or inner.cancelled():
            outer.cancel()
        elif died and attempt == 1:
            self._start(run, outer, attempt=2)
        elif died:
            outer.set_result(_died(run))
        elif error is not None:
            outer.set_exception(error)
        else:
            outer.set_result(inner.result())

    def close(self) -> None:
        """Stop every worker at once; runs in flight are lost."""
        with self._lock:
            self._closed = True
            workers = [*self._free, *self._busy]
        for worker in workers:
            for process in list((worker._processes or {}).values()):
                process.kill()
            worker.shutdown(wait=False, cancel_futures=True)


def _died(run: Run) -> Record:
    return record_of(
        run,
        scores={},
        curve=[],
        epochs=(0, 0),
        failure="its worker process died twice (killed, out of memory or crashed)",
        seconds=0.0,
        provenance={},
    )


def _started() -> None:
    """Succeeds in a worker that has come to life."""


def _begin(places: Places) -> None:
    """A worker's start: Ctrl-C is the conductor's business; end when the conductor ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def follow() -> None:
            wait([sentinel])
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()
    prepare(places)


def prepare(places: Places) -> None:
    """Threads and determinism of the process that executes runs."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.set_num_threads(places.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Every new tensor would be filled with NaN first, a third of a small network's time, to make
    # reads of uninitialised memory repeat themselves; nothing here reads any.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
