"""Records that a study starts again without: moved into a folder of their own, never deleted."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.files import replacing, write_text
from harness.records.folder import SET_ASIDE, check_admissible, hold, read_description
from harness.records.packed import packed_path, record_files
from harness.schema import Problem


def set_aside(where: Path, losses: Sequence[str], now: Mapping[str, Any]) -> Path | None:
    """Move the records of some losses into a folder of their own; where to, or None without any.

    All losses go if records of the study and dataset described by `now` could not stand beside
    theirs. What their runs keep in work/ goes with them. Nothing is deleted.
    """
    before = read_description(where)
    if before is None and not record_files(where):
        return None
    try:
        if before is None:
            raise Problem("nothing says of what study the records are")
        check_admissible(where, before, now)
    except Problem:
        losses = sorted({path.stem for path in record_files(where)} | set(losses))
    target = _new_folder(where)
    with contextlib.ExitStack() as locks:
        for loss in losses:
            locks.enter_context(hold(where / f"{loss}.jsonl"))
        paths = [where / f"{loss}.jsonl" for loss in losses]
        paths += map(packed_path, list(paths))
        paths += [where / "work" / loss for loss in losses]
        paths = [path for path in paths if path.exists()]
        if not paths:
            return None
        if before is not None:
            write_text(target / "study.json", json.dumps(before, indent=1) + "\n")
        for path in paths:
            moved = target / path.relative_to(where)
            moved.parent.mkdir(parents=True, exist_ok=True)
            path.rename(moved)
        if not record_files(where):
            (where / "study.json").unlink(missing_ok=True)
    return target


def set_lines_aside(path: Path, places: Sequence[int]) -> Path:
    """Move some lines of a record file, whose lock is held, into a folder of their own; where to.

    They are copied before they are taken out, so that an interruption loses none.
    """
    lines = path.read_bytes().splitlines(keepends=True)
    moved = set(places)
    target = _new_folder(path.parent)
    before = read_description(path.parent)
    write_text(target / "study.json", json.dumps(before, indent=1) + "\n")
    for file, is_kept in ((target / path.name, False), (path, True)):
        with replacing(file) as temporary:
            temporary.write_bytes(
                b"".join(line for i, line in enumerate(lines) if (i not in moved) == is_kept)
            )
    return target


def _new_folder(where: Path) -> Path:
    """A folder for records that are set aside, named by the time, that does not exist yet."""
    target = where / SET_ASIDE / time.strftime("%Y-%m-%d_%H-%M-%S")
    while target.exists():
        target = target.with_name(f"{target.name}_")
    return target
