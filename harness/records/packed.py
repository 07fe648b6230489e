"""Record files as they are committed: LOSS.jsonl.xz, the same lines compressed.

Whatever reads records reads these too, where there is no LOSS.jsonl beside them. A study that goes
on unpacks them first.
"""

from __future__ import annotations

import lzma
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.files import replacing
from harness.schema import Problem

SUFFIX = ".xz"
LINE = b"\n"


def record_files(where: Path) -> list[Path]:
    """The record files LOSS.jsonl of a results folder, by name, also those that are packed."""
    packed = {path.with_suffix("") for path in where.glob(f"*.jsonl{SUFFIX}")}
    return sorted(packed | set(where.glob("*.jsonl")))


def packed_path(path: Path) -> Path:
    """Where the packed form of LOSS.jsonl lies."""
    return path.with_name(path.name + SUFFIX)


def content_of(path: Path) -> bytes:
    """The bytes of LOSS.jsonl, packed or not; none where there is neither.

    Problem where the packed file is torn.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    try:
        return lzma.decompress(packed_path(path).read_bytes())
    except FileNotFoundError:
        return b""
    except lzma.LZMAError as error:
        raise Problem(
            f"{packed_path(path)} is not readable ({error}); restore it, or remove it and its runs "
            "are done again"
        ) from None


def pack(path: Path, into: Path) -> Path:
    """Write the packed form of LOSS.jsonl into a folder; the same bytes for the same records."""
    target = packed_path(into / path.name)
    with replacing(target) as temporary:
        temporary.write_bytes(lzma.compress(content_of(path), preset=9 | lzma.PRESET_EXTREME))
    return target


def unpack(path: Path) -> None:
    """Put LOSS.jsonl in the place of its packed form, so that records can be added."""
    if path.exists() or not packed_path(path).exists():
        return
    with replacing(path) as temporary:
        temporary.write_bytes(content_of(path))
    packed_path(path).unlink()


@dataclass(frozen=True)
class Carried:
    """Losses whose records were copied, and why others of which there are more were not."""

    copied: list[str]
    kept: list[str]


def carry_over(
    source: Path, where: Path, hold: Callable[[Path], AbstractContextManager[Any]]
) -> Carried:
    """Copy study.json and the records that `where` lacks from another results folder.

    Of a loss that `where` has, only where its records are the first of the other folder's; else
    they stay as they are. No file is written that `hold` does not give: a study may be about to
    write it.
    """
    contents = {path.name: content_of(path) for path in record_files(source)}
    present = {path.name: content_of(path) for path in record_files(where)}
    taken, kept = {}, []
    for name, theirs in contents.items():
        own = present.get(name)
        if own is None or (theirs.startswith(own) and theirs != own):
            taken[name] = theirs
        elif theirs.count(LINE) > own.count(LINE):
            counts = f"{own.count(LINE)} records here, {theirs.count(LINE)} there"
            kept.append(f"{Path(name).stem} ({counts}; remove {where / name} to take those)")
    where.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        for name in taken:
            held.enter_context(hold(where / name))
        if not (where / "study.json").exists() and (source / "study.json").exists():
            with replacing(where / "study.json") as temporary:
                temporary.write_bytes((source / "study.json").read_bytes())
        for name, content in taken.items():
            if content_of(where / name) != present.get(name, b""):
                raise Problem(f"{where / name} was being written; give the command again")
            with replacing(where / name) as temporary:
                temporary.write_bytes(content)
            packed_path(where / name).unlink(missing_ok=True)
    return Carried([Path(name).stem for name in taken], kept)
