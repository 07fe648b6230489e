"""Runs on this machine, in worker processes."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from harness.engines.endings import (
    CRASHED,
    Lost,
    Outcome,
    crash,
    exit_code,
    leave_if_gpu_is_lost,
    readable,
    version_of,
)
from harness.engines.execute import Execute, Places, execute
from harness.engines.process import (
    CONDUCTOR_SIGNALS,
    given_up,
    new_stop_file,
    start_worker,
)
from harness.records.folder import checkpoint_path
from harness.schema import Problem, Record, Run

MAX_DEATHS = 2  # worker deaths of a kind without a new checkpoint in between that end a run
MAX_FAILED_STARTS = 3  # workers in a row that die before they have started, which stop the study


@dataclass(eq=False)
class _Submission:
    """A run that was submitted, and how its workers died."""

    run: Run
    future: Future[Record]
    # In a row without a new checkpoint: how each ended itself, None for a signal from outside.
    deaths: list[str | None] = field(default_factory=list)
    checkpoint: tuple[int, int] | None = None  # the checkpoint file with which its worker began
    worker: ProcessPoolExecutor | None = None
    overdue: str | None = None  # why the conductor has ended it


class Local:
    """Worker processes on this machine, one per slot; `places` has one entry a slot.

    Slots may be on several GPUs, or share one. All have the same folders and number of threads.

    A run whose worker dies goes on from its checkpoint in a new process. A second death without a
    new checkpoint in between ends it: a failure record if both were crashes (a segmentation fault,
    an exit), Lost if both came from outside (SIGKILL, also by a system that is out of memory). The
    death of a worker that had not yet started does not count.

    Workers end when this process ends, in whatever way.
    """

    def __init__(self, places: Sequence[Places], execute: Execute = execute) -> None:
        self.slots = len(places)
        self._execute = execute
        # By worker: a future that has an exception if the worker died before it had started.
        self._starts: dict[ProcessPoolExecutor, Future[None]] = {}
        self._places: dict[ProcessPoolExecutor, Places] = {}
        self._processes: dict[ProcessPoolExecutor, BaseProcess] = {}  # of workers with a run
        self._free = [self._new_worker(slot) for slot in places]
        self._busy: set[ProcessPoolExecutor] = set()
        self._submissions: dict[Future[Record], _Submission] = {}
        self._failed_starts = 0  # in a row
        self._lock = threading.Lock()
        self._closed = False
        self._stop_file = new_stop_file(Path(tempfile.gettempdir()))

    def _new_worker(self, places: Places) -> ProcessPoolExecutor:
        worker = ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=start_worker,
            initargs=(places,),
        )
        # The new process inherits blocked signals. Without this, a Ctrl-C during its imports would
        # end it with a traceback, before start_worker ignores the signal.
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, CONDUCTOR_SIGNALS)
        try:
            self._starts[worker] = worker.submit(_started)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)
        self._places[worker] = places
        return worker

    def submit(self, run: Run) -> Future[Record]:
        """Execute in a free worker; there is one as long as no more than `slots` are in flight."""
        submission = _Submission(run, Future())
        self._submissions[submission.future] = submission
        submission.future.add_done_callback(lambda future: self._submissions.pop(future, None))
        self._start(submission)
        return submission.future

    def end(self, future: Future[Record], reason: str) -> None:
        """Kill the worker of a run, which becomes a failure record with this reason."""
        submission = self._submissions.get(future)
        if submission is not None and submission.worker is not None:
            submission.overdue = reason
            if (process := self._processes.get(submission.worker)) is not None:
                process.kill()

    def _start(self, submission: _Submission) -> None:
        """Hand the run to a free worker."""
        with self._lock:
            if self._closed:
                submission.future.cancel()
                return
            worker = self._free.pop(0)  # after a death: another slot, if one is free
            self._busy.add(worker)
        submission.worker = worker
        run, places = submission.run, self._places[worker]
        submission.checkpoint = version_of(checkpoint_path(places.results, run))
        try:
            self._processes[worker] = next(iter((worker._processes or {}).values()))
            result = worker.submit(_attempt, self._execute, run, places, self._stop_file)
        except (BrokenProcessPool, StopIteration) as error:  # it died while it was idle
            result = Future()
            result.set_exception(BrokenProcessPool(str(error)))
        result.add_done_callback(lambda result: self._finish(submission, worker, result))

    def _finish(
        self, submission: _Submission, worker: ProcessPoolExecutor, result: Future[Outcome]
    ) -> None:
        """Free the worker, and pass its result on or start the run of a dead worker again."""
        try:
            error = None if result.cancelled() else result.exception()
            died = isinstance(error, BrokenProcessPool)
            self._release(worker, died=died)
            if self._closed or result.cancelled():
                submission.future.cancel()
            elif died:
                self._retry_or_give_up(submission, worker)
            elif error is not None:
                submission.future.set_exception(error)
            elif isinstance(outcome := result.result(), Record):
                submission.future.set_result(outcome)
            else:
                submission.future.set_exception(outcome)
        except Exception as error:  # this thread has no other way to report it
            submission.future.set_exception(error)

    def _has_started(self, worker: ProcessPoolExecutor) -> bool:
        return self._starts[worker].exception() is None

    def _release(self, worker: ProcessPoolExecutor, *, died: bool) -> None:
        """Free the worker's slot; a dead worker is replaced by a new one."""
        started = self._has_started(worker)
        with self._lock:
            self._failed_starts = 0 if started else self._failed_starts + 1
            self._busy.discard(worker)
            if not self._closed:
                self._free.append(self._new_worker(self._places[worker]) if died else worker)

    def _retry_or_give_up(self, submission: _Submission, worker: ProcessPoolExecutor) -> None:
        """Start the run of a dead worker again, unless the run itself kills its workers."""
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise Problem(
                f"{MAX_FAILED_STARTS} worker processes in a row end before they begin (what they "
                "print is above); mend that, nothing was recorded"
            )
        run = submission.run
        process = self._processes.pop(worker, None)
        path = checkpoint_path(self._places[worker].results, run)
        if self._has_started(worker) and process is not None:
            if version_of(path) != submission.checkpoint:
                submission.deaths.clear()
            submission.deaths.append(crash(exit_code(process)))
        del self._starts[worker], self._places[worker]
        if submission.overdue is not None:
            submission.future.set_result(given_up(run, f"{CRASHED}: {submission.overdue}"))
            return
        crashes = [death for death in submission.deaths if death is not None]
        if len(crashes) >= MAX_DEATHS:
            reason = f"{CRASHED} {len(crashes)} times at the same place ({', '.join(crashes)})"
            submission.future.set_result(given_up(run, reason))
        elif len(submission.deaths) - len(crashes) >= MAX_DEATHS:
            raise Lost(
                f"its worker process was killed from outside {MAX_DEATHS} times at the same place "
                "(often by a system that is out of memory)"
            )
        else:
            self._start(submission)

    def stop(self) -> str:
        """Let the runs in flight finish their epoch and write a checkpoint; see Stopped."""
        self._stop_file.touch()
        return "stopping: runs in flight finish their epoch and keep a checkpoint"

    def close(self) -> None:
        """Kill every worker; runs in flight are lost."""
        with self._lock:
            self._closed = True
            workers = [*self._free, *self._busy]
        for worker in workers:
            for process in list((worker._processes or {}).values()):
                process.kill()
        # Without this, the interpreter sometimes meets half-closed pipes when it exits.
        for worker in workers:
            worker.shutdown(wait=True, cancel_futures=True)
        self._stop_file.unlink(missing_ok=True)


def _attempt(execute: Execute, run: Run, places: Places, stop_file: Path) -> Outcome:
    """What a worker executes; its outcome can be read by this process."""
    outcome: Outcome
    try:
        outcome = execute(run, places, stop_file.exists)
    except (Exception, SystemExit) as error:
        outcome = readable(error, run)
    leave_if_gpu_is_lost(outcome)
    return outcome


def _started() -> None:
    """Succeeds in a worker process that has started."""
