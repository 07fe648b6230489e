"""Files as they lie in people's folders: what tools leave behind, links, wrappings, natural order.

What tools leave behind is never data: hidden files and folders, thumbnails of file managers and
network drives, the second halves of files that macOS packs. Linked folders are followed; a link
back to a folder around it is not, or the walk would never end.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.schema import Problem

LEFT_BY_TOOLS = frozenset(
    {
        *("__macosx", "@eadir", "#recycle", "#snapshot", "@recycle", "$recycle.bin", "lost+found"),
        *("system volume information", "network trash folder", "temporary items", "__pycache__"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    }
)


@dataclass
class Remains:
    """What a walk left out: names that tools leave behind with their counts, links in a circle."""

    names: Counter[str] = field(default_factory=Counter)
    circles: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        """Lines that say so."""
        lines = []
        if self.names:
            listed = ", ".join(sorted(self.names)[:5]) + (", ..." if len(self.names) > 5 else "")
            lines.append(
                f"{self.names.total():,} files or folders that tools leave behind are no data "
                f"({listed})"
            )
        if self.circles:
            lines.append(f"links back to a folder around them: {', '.join(self.circles[:5])}")
        return lines


def is_left_by_tools(name: str) -> bool:
    """Whether a file or folder of this name is hidden or a tool's own."""
    return name.startswith(".") or name.casefold() in LEFT_BY_TOOLS


def entries(folder: Path, remains: Remains | None = None) -> tuple[list[str], list[str]]:
    """Names of the folders (linked ones too) and of the files within, sorted; Problem if unread."""
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as items:
            for item in items:
                if is_left_by_tools(item.name):
                    if remains is not None:
                        pattern = "._*" if item.name.startswith("._") else item.name
                        remains.names[pattern] += 1
                else:
                    (folders if item.is_dir() else files).append(item.name)
    except OSError as error:
        raise Problem(
            f"{folder} cannot be read ({error.strerror}); its images would be lost: let this user "
            "read it or move it away"
        ) from None
    return sorted(folders), sorted(files)


def files_within(folder: Path, remains: Remains, around: Sequence[Path] = ()) -> Iterator[str]:
    """Paths of all files anywhere within, relative to the folder, with "/".

    `around` are the folders that lead to this one; a link to one of them is a circle.
    """
    real = [os.path.realpath(place) for place in around]
    yield from _files_within(folder, "", [*real, os.path.realpath(folder)], remains)


def _files_within(folder: Path, inside: str, around: list[str], remains: Remains) -> Iterator[str]:
    folders, files = entries(folder, remains)
    for name in files:
        yield inside + name
    for name in folders:
        real = os.path.realpath(folder / name)
        if real in around:
            remains.circles.append(str(folder / name))
        else:
            yield from _files_within(folder / name, f"{inside}{name}/", [*around, real], remains)


def folders_down(root: Path, levels: int) -> Iterator[Path]:
    """`root`, the folders within it, and so on `levels` down: the nearest first."""
    nearest = [root]
    for level in range(levels + 1):
        yield from nearest
        if level < levels:
            nearest = [
                place / name
                for place in nearest
                if place.is_dir() and os.access(place, os.R_OK | os.X_OK)
                for name in entries(place)[0]
            ]


def wrapped(root: Path, places: Sequence[str], levels: int = 2) -> Path:
    """The folder with one of `places` in it: `root`, or within it at most `levels` down.

    `root` itself where none has: the message of what is missing is then about it.
    """
    for base in folders_down(root, levels) if root.is_dir() else ():
        if any((base / place).exists() for place in places):
            return base
    return root


def natural(name: str) -> list[tuple[int, int]]:
    """A key that sorts 2 before 10, and otherwise as the characters' code points do."""
    return [
        (ord("0"), int(run)) if run.isdecimal() else (ord(run), 0)
        for run in re.findall(r"[0-9]+|[^0-9]", name, flags=re.DOTALL)
    ]
