"""Room on a disk: looked at before work begins, and taken before a memory map writes into it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from harness.schema import Problem

SPARE = 64 << 20  # bytes of disk to leave free
PIECE = 1 << 20  # bytes that are written at once


def check(needed: int, folder: Path, what: str) -> None:
    """Problem where the disk of a folder has no room for so many bytes of `what`, and SPARE."""
    free = shutil.disk_usage(folder).free
    if needed + SPARE > free:
        raise Problem(
            f"{what} needs {needed / 1e9:.2f} GB more in {folder}, where {free / 1e9:.2f} GB are "
            "free; make room or move the data folder to a larger disk"
        )


def take(file: BinaryIO, n_bytes: int, folder: Path, what: str) -> None:
    """Let a file grow by so many bytes that it has on the disk at once; Problem where it is full.

    A memory map may write into these. Into a file with holes it may not: on a full disk the system
    would then end the whole process, without a message.
    """
    try:
        end = file.seek(0, os.SEEK_END)
        file.flush()
        if n_bytes and not _reserved(file, end, n_bytes):
            for first in range(0, n_bytes, PIECE):
                file.write(bytes(min(PIECE, n_bytes - first)))
            file.flush()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Problem(f"{what}: the disk of {folder} is full; make room, run this again") from None


def _reserved(file: BinaryIO, end: int, n_bytes: int) -> bool:
    """Whether the system could reserve bytes behind the end of a file, as some cannot."""
    if not hasattr(os, "posix_fallocate"):
        return False
    try:
        os.posix_fallocate(file.fileno(), end, n_bytes)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
            return False
        raise
    return True
