"""A lock between processes: who works on a thing holds it, others wait and find the work done.

It is a lock of the operating system on a file, so it ends with its process, however that ends.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.data import Say

try:
    import fcntl
except ImportError:  # not a Unix: there are no locks, and everyone works alone
    fcntl = None  # type: ignore[assignment]

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def alone(lock: Path, say: Say) -> Iterator[bool]:
    """Hold the lock that a file stands for, waiting for it if need be; False where there are none.

    The holder removes the lock's file; who waited for a removed file tries again.
    """
    handle = take(lock, say)
    if handle is None:
        yield False
        return
    try:
        yield True
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def take(lock: Path, say: Say | None) -> int | None:
    """A file handle that holds the lock, waiting for it if need be; None where there are no locks.

    Without `say` it does not wait: None where another process holds the lock.
    """
    while fcntl is not None:
        handle = os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if say is None:
                    os.close(handle)
                    return None
                say(f"another process holds {lock}; waiting for it")
                fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            os.close(handle)
            if error.errno not in NO_LOCKS:
                raise
            return None
        if _is_of(handle, lock):
            return handle
        os.close(handle)
    return None


def _is_of(handle: int, lock: Path) -> bool:
    """Whether an open file is still the one that lies at a path; its holder may remove it."""
    try:
        return os.path.samestat(os.fstat(handle), lock.stat())
    except FileNotFoundError:
        return False
