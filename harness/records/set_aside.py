"""Records that a study starts again without: moved into a folder of their own, never deleted."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.files import write_text
from harness.records.folder import SET_ASIDE, check_admissible, hold, read_description
from harness.schema import Problem


def set_aside(where: Path, losses: Sequence[str], now: Mapping[str, Any]) -> Path | None:
    """Move the records of some losses into a folder of their own; where to, or None without any.

    All losses go if records of the study and dataset described by `now` could not stand beside
    theirs. What their runs keep in work/ goes with them. Nothing is deleted.
    """
    before = read_description(where)
    if before is None:
        return None
    try:
        check_admissible(where, before, now)
    except Problem:
        losses = sorted({path.stem for path in where.glob("*.jsonl")} | set(losses))
    target = where / SET_ASIDE / time.strftime("%Y-%m-%d_%H-%M-%S")
    while target.exists():
        target = target.with_name(f"{target.name}_")
    with contextlib.ExitStack() as locks:
        for loss in losses:
            locks.enter_context(hold(where / f"{loss}.jsonl"))
        paths = [where / f"{loss}.jsonl" for loss in losses]
        paths += [where / "work" / loss for loss in losses]
        paths = [path for path in paths if path.exists()]
        if not paths:
            return None
        write_text(target / "study.json", json.dumps(before, indent=1) + "\n")
        for path in paths:
            moved = target / path.relative_to(where)
            moved.parent.mkdir(exist_ok=True)
            path.rename(moved)
        if not any(where.glob("*.jsonl")):
            (where / "study.json").unlink()
    return target
