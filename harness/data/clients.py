"""Files out of public packages, brought by the machine's own npm or apt-get.

Each client knows its registry, proxy and certificates by its own settings, so no host stands here.
Two kinds of address: `npm:PACKAGE@VERSION/FILE` is a file within an npm package,
`apt:PACKAGE=VERSION` is a Debian package itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from harness.data import Say
from harness.files import replacing
from harness.schema import Problem

PROGRAMS = {"npm": "npm", "apt": "apt-get"}
SECONDS = 600  # for one package
REASON_LINES = 3  # of what a failed client printed


def has_client(address: str) -> bool:
    """Whether the address is one of a package, and not one for HTTP."""
    return address.partition(":")[0] in PROGRAMS


def bring(address: str, path: Path, say: Say) -> None:
    """Put the file of the address at `path`, whole or not at all.

    Problem where the client is not installed or fails, or the package has no such file.
    """
    scheme, _, package = address.partition(":")
    program = shutil.which(PROGRAMS[scheme])
    if program is None:
        raise Problem(f"no {PROGRAMS[scheme]} is installed here")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{scheme}-") as name:
        folder = Path(name)
        if scheme == "apt":
            _call([program, "download", package], folder, say)
            os.replace(_only(folder, "*.deb", package), path)
            return
        package, _, member = package.rpartition("/")
        _call([program, "pack", "--loglevel=error", "--ignore-scripts", package], folder, say)
        _take_out(_only(folder, "*.tgz", package), f"package/{member}", path)


def _call(command: list[str], folder: Path, say: Say) -> None:
    """Run a client in the folder; a Problem says in a line why it failed."""
    words = " ".join([Path(command[0]).stem, *command[1:]])
    say(f"calling {words}")
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise Problem(f"`{words}` did not end within {SECONDS} s") from None
    if ended.returncode != 0:
        lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
        reason = "; ".join(lines[:REASON_LINES]) or "it printed no reason"
        raise Problem(f"`{words}` failed with exit code {ended.returncode}: {reason}")


def _only(folder: Path, pattern: str, package: str) -> Path:
    """The one file of the pattern that the client left in the folder."""
    files = list(folder.glob(pattern))
    if len(files) != 1:
        raise Problem(f"{package}: the client left {len(files)} files {pattern} instead of one")
    return files[0]


def _take_out(archive: Path, member: str, path: Path) -> None:
    """Put one member of a tar archive at `path`."""
    try:
        with tarfile.open(archive) as opened, replacing(path) as temporary:
            content = opened.extractfile(member)
            if content is None:
                raise KeyError(member)
            with temporary.open("wb") as file:
                shutil.copyfileobj(content, file)
    except KeyError:
        raise Problem(f"{archive.name} holds no file {member}") from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise Problem(f"{archive.name} is no whole archive ({error}); run this again") from None
