"""Where a folder:PATH or table:FILE lies now, if it was moved after records were made of it.

The records keep the name that they were made under, because seeds come from it. The data folder's
cache/moved.json says where the images of that name lie now.
"""

from __future__ import annotations

import json
from pathlib import Path

from harness.files import write_text
from harness.schema import Problem

FILE = "moved.json"


def place_of(path: Path, data_root: Path) -> Path:
    """The path itself while it is there, else where it was moved to, as far as that is known."""
    if path.exists():
        return path
    return Path(_read(data_root).get(str(path), path))


def remember(path: Path, place: Path, data_root: Path) -> None:
    """Let `place` be read wherever a name says `path`, which is no longer there."""
    file = data_root / "cache" / FILE
    write_text(file, json.dumps(_read(data_root) | {str(path): str(place)}, indent=1) + "\n")


def _read(data_root: Path) -> dict[str, str]:
    file = data_root / "cache" / FILE
    try:
        places: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise Problem(f"{file} is not readable ({error}); remove it") from None
    if not isinstance(places, dict) or not all(isinstance(at, str) for at in places.values()):
        raise Problem(f"{file} holds no places of folders; remove it")
    return places
