"""One holder of a lock file at a time, on local and on network file systems.

Where the file system locks for all machines, that decides, and the lock goes when its process ends.
Some network file systems do not lock, or each machine for itself, or keep the lock of a machine
that is gone. Therefore the file names its holder, and the holder renews the file's time as long as
it lives: on the holder's own machine a dead one holds nothing from the moment of its death, and on
another machine nothing once LEASE_SECONDS have passed without a sign of life. Times are compared
with those that the file system gives to a new file, so machines' clocks may differ.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

LEASE_SECONDS = 120.0
RENEW_SECONDS = 20.0
SETTLE_SECONDS = 1.0  # without locks: for another one who took it at the same moment to show
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Taken(Exception):
    """Another one holds it: `holder` {pid, host, since, ...}, `silent` seconds without a sign."""

    def __init__(self, holder: dict[str, Any], silent: float, *, locked: bool) -> None:
        super().__init__(holder)
        self.holder, self.silent, self.locked = holder, silent, locked


@contextlib.contextmanager
def hold(lock: Path) -> Iterator[None]:
    """Hold the lock file while the context lasts; Taken if another one does."""
    with open(lock, "a+") as file:
        locks = _look(file, lock, fcntl.LOCK_EX)
        mine = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
            "machine": _machine(),
            "started": _started(os.getpid()),
            "token": uuid.uuid4().hex,
        }
        _write(file, json.dumps(mine))
        if not locks:
            time.sleep(SETTLE_SECONDS)
            if (told := _told(lock)) != mine:
                raise Taken(told or {}, 0.0, locked=False)
        over = threading.Event()
        renewing = threading.Thread(target=_renew, args=(file, over), daemon=True)
        renewing.start()
        try:
            yield
        finally:
            over.set()
            renewing.join()
            if _told(lock) == mine:
                _write(file, "")


def holder_of(lock: Path) -> dict[str, Any] | None:
    """Who holds the lock file now, or None."""
    try:
        with open(lock) as file:
            _look(file, lock, fcntl.LOCK_SH)
    except FileNotFoundError:
        return None
    except Taken as taken:
        return taken.holder
    return None


def _look(file: IO[str], lock: Path, how: int) -> bool:
    """Lock the open file if it can be; whether its file system has locks. Taken if it is."""
    locks = True
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Taken(_told(lock) or {}, _silent(lock), locked=True) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        locks = False
    told = _told(lock)
    if told is None:
        return locks
    if told["machine"] == _machine():  # where locks work at least for the machine itself
        if not locks and _started(told["pid"]) == told["started"] is not None:
            raise Taken(told, 0.0, locked=False)
    elif (silent := _silent(lock)) < LEASE_SECONDS:
        raise Taken(told, silent, locked=False)
    return locks


def _told(lock: Path) -> dict[str, Any] | None:
    """Who the file names; None where it was let go, or written by a version that said less."""
    try:
        told: dict[str, Any] = json.loads(lock.read_text())
    except (ValueError, FileNotFoundError):
        return None
    return told if {"pid", "machine", "started"} <= set(told) else None


def _write(file: IO[str], text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()
    os.fsync(file.fileno())


def _renew(file: IO[str], over: threading.Event) -> None:
    while not over.wait(RENEW_SECONDS):
        with contextlib.suppress(OSError):  # a server that is away for a moment
            os.utime(file.fileno())


def _silent(lock: Path) -> float:
    """Seconds since the holder's last sign of life, by the file system's own clock."""
    with tempfile.NamedTemporaryFile(dir=lock.parent, prefix=".clock-") as clock:
        return max(0.0, os.stat(clock.name).st_mtime - lock.stat().st_mtime)


def _machine() -> str:
    """This machine since it was started: a name that no other one has, nor itself later."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str | None:
    """When a process of this machine began, in the kernel's words; None where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except FileNotFoundError:
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"
