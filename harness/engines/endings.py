"""How an attempt at a run can end other than with its record, told apart by whose fault it is."""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import logging
import os
import signal
import time
import traceback
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

from harness.files import CHECKOUT
from harness.schema import Diverged, Problem, Record, Run, Stopped

# Signals that a process brings on itself. All others come from outside: a user, the system that
# needs the memory, a cluster.
CRASHES = {
    *(signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL),
    *(signal.SIGSYS, signal.SIGTRAP),
}
# Errors of files that say nothing about the run that meets them.
OF_THE_MACHINE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE),
}
# Packages whose signal handlers end a run's process by an exception, before it is queued again.
SCHEDULERS = {"submitit"}
Outcome = Record | Problem | Stopped
OUT_OF_MEMORY = "OutOfMemoryError"
MEMORY = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
CRASHED = "it ended its process"
ENDED_OF_OLD = ("its worker process died", "its Slurm job ended", "its Ray worker was lost")
GPU_LOST, GPU_LOST_CODE = "CUDA error", 70


EXIT_SECONDS = 5.0  # how long the exit code of a dead process may take


class Lost(Exception):
    """A run whose process was ended from outside: no fault of the run, so it leaves no record."""


def crash(exit_code: int) -> str | None:
    """How a process ended itself, in words; None where a signal from outside ended it.

    `exit_code` is as multiprocessing gives it: below 0 for a signal.
    """
    if exit_code >= 0:
        return f"exit code {exit_code}"
    return signal.Signals(-exit_code).name if -exit_code in CRASHES else None


def exit_code(process: BaseProcess) -> int:
    """The exit code of a process that has just died; as if killed where it takes too long."""
    deadline = time.monotonic() + EXIT_SECONDS
    while (code := process.exitcode) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return -signal.SIGKILL if code is None else code


def version_of(checkpoint: Path) -> tuple[int, int] | None:
    """Time and inode of a checkpoint, different for every one that is written, or None."""
    try:
        status = checkpoint.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino


def readable(error: BaseException, run: Run) -> Problem | Stopped:
    """The exception that ended an attempt at a run, as one that every process can read.

    An exception may not survive the way between processes, so one that is neither a Problem nor
    Stopped becomes a Problem that names the run.
    """
    if isinstance(error, Stopped):
        return Stopped(str(error))
    if isinstance(error, Problem):
        return Problem(str(error))
    return Problem(
        f"{run.loss} on {run.dataset}, {run.key}: {reason(error)}; nothing was recorded of it: "
        "mend that, then the same command carries on"
    )


def is_of_a_scheduler(error: BaseException) -> bool:
    """Whether an exception was raised by a scheduler's signal handler, and not by the run."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(SCHEDULERS & set(Path(frames[-1].f_code.co_filename).parts)) if frames else False


def failure_of(error: BaseException) -> str:
    """What a record says of the exception that ended its run; `reason` says where it was raised.

    Memory that ran out has one name, whichever library noticed it. Problem where the machine is at
    fault and not the run: its disk is full, or fails.
    """
    if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
        raise Problem(
            f"{reason(error)}; nothing was recorded of the run: mend that, then the same command "
            "carries on"
        ) from None
    if isinstance(error, Diverged):
        return f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, MemoryError) or any(text in str(error) for text in MEMORY):
        return f"{OUT_OF_MEMORY}: {error}".splitlines()[0]
    return reason(error)


def ended_its_process(failure: str) -> bool:
    """Whether a failure is that a run's processes ended, by itself or, in older records, at all."""
    return failure.startswith((CRASHED, *ENDED_OF_OLD))


def leave_if_gpu_is_lost(outcome: Outcome) -> None:
    """End this process after an error that its GPU does not recover from within a process.

    Otherwise every later run of the process would fail too, whatever its loss.
    """
    failure = outcome.failure if isinstance(outcome, Record) else str(outcome)
    if failure is not None and GPU_LOST in failure and not failure.startswith(OUT_OF_MEMORY):
        logging.getLogger("harness").error("%s; its process ends", failure)
        os._exit(GPU_LOST_CODE)


def reason(error: BaseException) -> str:
    """An exception in one line: its kind, its text, and the line of the checkout that raised it."""
    text = " ".join(str(error).split())
    line = f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    places = [
        (Path(frame.filename).relative_to(CHECKOUT), frame.lineno)
        for frame in frames
        if Path(frame.filename).is_relative_to(CHECKOUT)
    ]
    return f"{line} ({places[-1][0]}:{places[-1][1]})" if places else line


@contextlib.contextmanager
def crash_noted(path: Path) -> Iterator[None]:
    """Let a crash of this process in the context leave its traceback in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        faulthandler.enable(file)
        try:
            yield
        finally:
            faulthandler.disable()
    path.unlink(missing_ok=True)


def noted_crash(path: Path) -> str | None:
    """The first line that a crash left in a file, which is removed; None where it left none."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    path.unlink(missing_ok=True)
    return lines[0] if lines else None
