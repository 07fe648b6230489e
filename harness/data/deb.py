"""A Debian package's files, read without Debian's tools: an ar archive that holds data.tar."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

from harness.schema import Problem

MAGIC = b"!<arch>\n"
HEADER = 60  # bytes before each member: name 16, time 12, owner 6, group 6, mode 8, size 10, end 2
Mode = Literal["r|xz", "r|gz", "r|bz2", "r|"]  # of tarfile, for a stream
MODES: dict[str, Mode] = {".xz": "r|xz", ".gz": "r|gz", ".bz2": "r|bz2", "": "r|"}


def files(package: Path) -> Iterator[tuple[str, bytes]]:
    """(path from /, content) of every regular file that the package installs, in its order.

    Problem where the package is damaged or compressed in a way that Python 3.11 does not read.
    """
    with package.open("rb") as file:
        mode = _to_data(file, package)
        try:
            with tarfile.open(fileobj=file, mode=mode) as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isreg() else None
                    if content is not None:
                        yield member.name.removeprefix("."), content.read()
        except (tarfile.TarError, EOFError, OSError) as error:
            raise Problem(f"{package} is no whole package ({error}); get it again") from None


def _to_data(file: IO[bytes], package: Path) -> Mode:
    """Move to the content of data.tar, the package's files; how tarfile reads it."""
    if file.read(len(MAGIC)) != MAGIC:
        raise Problem(f"{package} is no Debian package; get it again")
    while len(header := file.read(HEADER)) == HEADER:
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        if name.startswith("data.tar"):
            compression = name.removeprefix("data.tar")
            if compression not in MODES:
                raise Problem(
                    f"{package} is compressed as {name}, which is not read here (.xz, .gz and .bz2 "
                    "are); get the package of Debian itself"
                )
            return MODES[compression]
        size = header[48:58].decode("ascii", "replace").strip()
        if not size.isdecimal():
            break
        file.seek(int(size) + int(size) % 2, 1)  # members start at even bytes
    raise Problem(f"{package} holds no data.tar; get it again")
