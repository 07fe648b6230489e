"""Files of one's own that a command writes to begin with: their names; none is replaced."""

from __future__ import annotations

import keyword
from collections.abc import Collection
from pathlib import Path

from harness import files


def check_name(kind: str, name: str, reserved: Collection[str] = ()) -> None:
    """Problem for what cannot be the name of a file of this kind, or means something else."""
    from harness.schema import Problem

    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
        raise Problem(f"{name!r} cannot be a {kind}'s name: use snake_case, such as my_{kind}")
    if name.startswith("_") or name in reserved:
        raise Problem(f"{name!r} cannot be a {kind}'s name: it means something else; try my_{kind}")


def write(kind: str, name: str, folder: str, text: str, next_commands: list[str]) -> None:
    """Write FOLDER/NAME.py below the checkout and print what to type next; Problem if it exists."""
    from harness.schema import Problem

    path = Path(folder) / f"{name}.py"
    if (files.CHECKOUT / path).exists():
        raise Problem(f"{path} exists; take another name, or edit it")
    files.write_text(files.CHECKOUT / path, text)
    print(f"{path}: a {kind} that works. Make it yours, then:")
    for command in next_commands:
        print(f"  python -m harness {command}")


def needed(command: str, name: str | None) -> str:
    """The name; Problem where the command got none."""
    from harness.schema import Problem

    if name is None:
        raise Problem(f"{command} needs a NAME: {command} mine")
    return name
