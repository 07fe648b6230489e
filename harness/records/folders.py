"""Which folders of results there are, and which hold records that no study.json describes."""

from __future__ import annotations

import fnmatch
from pathlib import Path

from harness.records import packed


def described(results: Path, study: str = "*") -> list[Path]:
    """The folders results/<study>/<dataset> with a study.json, by name; `study` may be a glob."""
    return sorted(path.parent for path in results.glob(f"{study}/*/study.json"))


def without_study(results: Path, study: str = "*") -> list[str]:
    """A line on each such folder whose records cannot be read, because it has no study.json."""
    kinds = ("*.jsonl", f"*.jsonl{packed.SUFFIX}")
    files = (path for kind in kinds for path in results.glob(f"*/*/{kind}"))
    folders = {path.parent for path in files if fnmatch.fnmatchcase(path.parent.parent.name, study)}
    return [
        f"{folder} holds records of {', '.join(path.stem for path in packed.record_files(folder))} "
        "and no study.json, which says of what study they are: they are left out; restore it from "
        "where they come from, or move the folder away"
        for folder in sorted(folders - set(described(results)))
    ]
