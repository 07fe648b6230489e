"""One holder of a lock file at a time, on local and on network file systems.

Where the file system locks for all machines, its lock decides, and it ends with its process. Some
network file systems have no locks, or lock for each machine alone, or keep the lock of a machine
that is gone. Therefore the lock file also names its holder, and the holder renews the file's time
as long as it lives. On the holder's own machine the lock is free as soon as its process is dead. On
another machine it is free once LEASE_SECONDS have passed without a renewal. That time is compared
with the time that the file system gives to a new file, so the machines' clocks may differ.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

LEASE_SECONDS = 120.0
RENEW_SECONDS = 20.0
RIVAL_SECONDS = 1.0  # without locks: how long to wait for a process that writes at the same moment
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class LockHeld(Exception):
    """Another process holds the lock file.

    `holder` is {pid, host, since, ...}, empty where the file does not name it. The holder renewed
    the file's time `seconds_since_renewal` ago; 0 where it is known to live. `by_file_system` says
    that the file system itself refused the lock, so that no lease ends it.
    """

    def __init__(
        self, holder: dict[str, Any], seconds_since_renewal: float, *, by_file_system: bool
    ) -> None:
        super().__init__(holder)
        self.holder = holder
        self.seconds_since_renewal = seconds_since_renewal
        self.by_file_system = by_file_system


@contextlib.contextmanager
def hold(lock: Path) -> Iterator[Callable[[], bool]]:
    """Hold the lock file while the context lasts; LockHeld if another process does.

    Gives what says whether the file is still this process's. Whoever removes it lets a second
    process in, and the holder of the removed file must stop.
    """
    with open(lock, "a+") as file:
        file_system_locks = _lock_open_file(file, lock, fcntl.LOCK_EX)
        _check_holder(lock, file_system_locks)
        this_process = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
            "machine": _machine(),
            "started": _start_time(os.getpid()),
            "token": uuid.uuid4().hex,
        }
        _rewrite(file, json.dumps(this_process))
        if not file_system_locks:
            time.sleep(RIVAL_SECONDS)
            if (holder := _read_holder(lock)) != this_process:
                raise LockHeld(holder or {}, 0.0, by_file_system=False)
        released = threading.Event()
        renewal = threading.Thread(target=_renew, args=(file, released), daemon=True)
        renewal.start()
        try:
            yield lambda: _is_in_place(file, lock, this_process)
        finally:
            released.set()
            renewal.join()
            if _read_holder(lock) == this_process:
                _rewrite(file, "")


def holder_of(lock: Path) -> dict[str, Any] | None:
    """Who holds the lock file now, or None."""
    try:
        with open(lock) as file:
            _check_holder(lock, _lock_open_file(file, lock, fcntl.LOCK_SH))
    except FileNotFoundError:
        return None
    except LockHeld as held:
        return held.holder
    return None


def _lock_open_file(file: IO[str], lock: Path, mode: int) -> bool:
    """Take the file system's lock and return True; False where the file system has no locks.

    LockHeld where another process has it.
    """
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockHeld(
            _read_holder(lock) or {}, _seconds_since_renewal(lock), by_file_system=True
        ) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


def _check_holder(lock: Path, file_system_locks: bool) -> None:
    """LockHeld where the file names a holder that still counts, whatever the file system says."""
    holder = _read_holder(lock)
    if holder is None:
        return
    if holder["machine"] == _machine():  # a lock that works at all works within one machine
        if not file_system_locks and _start_time(holder["pid"]) == holder["started"] is not None:
            raise LockHeld(holder, 0.0, by_file_system=False)
    elif (seconds := _seconds_since_renewal(lock)) < LEASE_SECONDS:
        raise LockHeld(holder, seconds, by_file_system=False)


def _is_in_place(file: IO[str], lock: Path, holder: dict[str, Any]) -> bool:
    """Whether the open file still lies at its path and names the holder."""
    try:
        if not os.path.samestat(os.fstat(file.fileno()), lock.stat()):
            return False
        return _read_holder(lock) == holder
    except FileNotFoundError:
        return False
    except OSError:  # a file server that is away for a moment
        return True


def _read_holder(lock: Path) -> dict[str, Any] | None:
    """Who the file names; None where it is released, or an older version wrote fewer fields."""
    try:
        holder: dict[str, Any] = json.loads(lock.read_text())
    except (ValueError, RecursionError, FileNotFoundError):
        return None
    if not isinstance(holder, dict) or not isinstance(holder.get("pid"), int):
        return None
    texts = [holder.get(name) for name in ("machine", "started")]
    return holder if all(isinstance(text, str) for text in texts) else None


def _rewrite(file: IO[str], text: str) -> None:
    """Replace the open file's content; the file stays the same one, so its lock stays too."""
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()
    os.fsync(file.fileno())


def _renew(file: IO[str], released: threading.Event) -> None:
    """Set the file's time to now, again and again, until it is released."""
    while not released.wait(RENEW_SECONDS):
        with contextlib.suppress(OSError):  # a file server that is away for a moment
            os.utime(file.fileno())


def _seconds_since_renewal(lock: Path) -> float:
    """Seconds since the file's time was set, by the file system's own clock.

    By this machine's, which may go otherwise, for a reader who may not write there.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=lock.parent, prefix=".clock-") as clock:
            now = os.stat(clock.name).st_mtime
    except OSError:
        now = time.time()
    return max(0.0, now - lock.stat().st_mtime)


def _machine() -> str:
    """This machine since its last start: no other machine has this name, nor this one later."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def _start_time(pid: int) -> str | None:
    """When a process of this machine started, as the kernel gives it; None where it is dead."""
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
