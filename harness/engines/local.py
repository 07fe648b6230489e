"""Where runs execute. One shape: an engine has `slots` and submit(run) -> Future of a Record."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

from harness.engines.execute import Execute, Places, checkpoint_path, execute
from harness.schema import Problem, Record, Run, record_of

DEATHS = 2  # of workers without a new checkpoint in between, until a run is given up
STILLBORN = 3  # workers in a row that die before they begin, until the study stops
THE_CONDUCTORS = (signal.SIGINT, signal.SIGTERM)  # signals that workers leave to it


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

    def stop(self) -> str:
        """Nothing is in flight between two submissions."""
        return "stopping"

    def close(self) -> None:
        """Nothing is left open."""


@dataclass(eq=False)
class _Flight:
    """A run that was handed in, and what befell the workers that it had."""

    run: Run
    outer: Future[Record]
    deaths: int = 0  # in a row without a new checkpoint
    kept: tuple[int, int] | None = None  # the checkpoint with which its worker took it


class Local:
    """Worker processes on this machine, one per slot; `places` has one entry a slot.

    Slots may be of several GPUs, or share one. All have the same folders and number of threads. A
    run whose worker dies (killed, out of memory, crash) goes on from its checkpoint in a new
    process. What a run does to its worker it does again at the same place, so a second death
    without a checkpoint in between is a failure record with the reason; deaths between which the
    run got on, and those of workers that had not yet begun, do not count: they came from outside.
    Workers end when this process does, however it ends.
    """

    def __init__(self, places: Sequence[Places], execute: Execute = execute) -> None:
        self.slots = len(places)
        self._execute = execute
        self._started: dict[ProcessPoolExecutor, Future[None]] = {}
        self._places: dict[ProcessPoolExecutor, Places] = {}
        self._free = [self._worker(own) for own in places]
        self._busy: set[ProcessPoolExecutor] = set()
        self._stillborn = 0  # workers in a row that died before they began
        self._lock = threading.Lock()
        self._closed = False
        self._stop_file = stop_file(Path(tempfile.gettempdir()))

    def _worker(self, places: Places) -> ProcessPoolExecutor:
        worker = ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(places,),
        )
        # Blocked signals stay blocked in the new process: else a Ctrl-C while it still imports
        # would end it with a traceback before it has said that it ignores them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, THE_CONDUCTORS)
        try:
            self._started[worker] = worker.submit(_started)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._places[worker] = places
        return worker

    def submit(self, run: Run) -> Future[Record]:
        """Execute in a free worker; there is one as long as no more than `slots` are in flight."""
        flight = _Flight(run, Future())
        self._start(flight)
        return flight.outer

    def _start(self, flight: _Flight) -> None:
        with self._lock:
            if self._closed:
                flight.outer.cancel()
                return
            worker = self._free.pop(0)  # after a death: another slot, where one is free
            self._busy.add(worker)
        places = self._places[worker]
        flight.kept = _kept(flight.run, places)
        try:
            inner = worker.submit(self._execute, flight.run, places, self._stop_file.exists)
        except BrokenProcessPool as error:  # it died while it was idle
            inner = Future()
            inner.set_exception(error)
        inner.add_done_callback(lambda done: self._finish(flight, worker, done))

    def _finish(self, flight: _Flight, worker: ProcessPoolExecutor, inner: Future[Record]) -> None:
        try:
            error = None if inner.cancelled() else inner.exception()
            died = isinstance(error, BrokenProcessPool)
            self._let_go(worker, died)
            if self._closed or inner.cancelled():
                flight.outer.cancel()
            elif died:
                self._mourn(flight, worker)
            elif error is not None:
                flight.outer.set_exception(error)
            else:
                flight.outer.set_result(inner.result())
        except Exception as error:  # else nobody would hear of it, in this thread
            flight.outer.set_exception(error)

    def _let_go(self, worker: ProcessPoolExecutor, died: bool) -> None:
        """The worker is free again, or another one in its place."""
        began = self._started[worker].exception() is None
        with self._lock:
            self._stillborn = 0 if began else self._stillborn + 1
            self._busy.discard(worker)
            if not self._closed:
                self._free.append(self._worker(self._places[worker]) if died else worker)

    def _mourn(self, flight: _Flight, worker: ProcessPoolExecutor) -> None:
        """Start the run of a dead worker again, unless it is the run that kills them."""
        if self._stillborn >= STILLBORN:
            raise Problem(
                f"{STILLBORN} worker processes in a row end before they begin (what they print "
                "is above); mend that, nothing was recorded"
            )
        if self._started[worker].exception() is None:
            got_on = _kept(flight.run, self._places[worker]) != flight.kept
            flight.deaths = 1 if got_on else flight.deaths + 1
        del self._started[worker], self._places[worker]
        if flight.deaths < DEATHS:
            self._start(flight)
        else:
            flight.outer.set_result(_died(flight.run))

    def stop(self) -> str:
        """Ask the runs in flight to end after their epoch, their checkpoint kept; see Stopped."""
        self._stop_file.touch()
        return "stopping: runs in flight finish their epoch and keep a checkpoint"

    def close(self) -> None:
        """Stop every worker at once; runs in flight are lost."""
        with self._lock:
            self._closed = True
            workers = [*self._free, *self._busy]
        for worker in workers:
            for process in list((worker._processes or {}).values()):
                process.kill()
        for worker in workers:  # else, now and then, Python's own end meets half-closed pipes
            worker.shutdown(wait=True, cancel_futures=True)
        self._stop_file.unlink(missing_ok=True)


def stop_file(folder: Path) -> Path:
    """A name for the file whose existence asks the runs of one engine to end early."""
    return folder / f".harness-stop-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def _kept(run: Run, places: Places) -> tuple[int, int] | None:
    """Which checkpoint a run has: every one that is written is another file."""
    try:
        found = checkpoint_path(run, places).stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino


def _died(run: Run) -> Record:
    return record_of(
        run,
        scores={},
        curve=[],
        epochs=(0, 0),
        failure=(
            f"its worker process died {DEATHS} times at the same place (killed, out of memory or "
            "crashed)"
        ),
        seconds=0.0,
        provenance={},
    )


def _started() -> None:
    """Succeeds in a worker that has come to life."""


def _begin(places: Places) -> None:
    """A worker's start: Ctrl-C is the conductor's business; end when the conductor ends."""
    for number in THE_CONDUCTORS:
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def follow() -> None:
            wait([sentinel])
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()
    prepare(places)


def keep_log() -> None:
    """Let a process on a cluster's node write what it says into its log."""
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("harness").setLevel(logging.INFO)


def prepare(places: Places) -> None:
    """Threads and determinism of the process that executes runs."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # What one worker compiles (`compile` in a study), the others then find.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str((places.data / "compiled").resolve()))
    import torch

    torch.set_num_threads(places.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Every new tensor would be filled with NaN first, a third of a small network's time, to make
    # reads of uninitialised memory repeat themselves; nothing here reads any.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
