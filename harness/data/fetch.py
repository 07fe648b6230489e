"""Fetch a dataset: download it or take files placed by hand, unpack, check, move into place."""

from __future__ import annotations

import gzip
import importlib.util
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from types import ModuleType

from harness.data import Say, lock
from harness.data.download import check_sum, download
from harness.data.listing import Listing, Source, named
from harness.schema import Problem

LOCK = ".fetch.lock"  # in a dataset's folder, while a process fetches it
ARCHIVES = (".zip", ".tgz", ".tar.gz", ".tar")
DAMAGED = (  # what unpacking a damaged archive raises
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    EOFError,
    zlib.error,
    RuntimeError,
)


def fetch(
    name: str,
    module: ModuleType,
    root: Path,
    *,
    say: Say,
    sources: Sequence[Source] | None = None,
) -> bool:
    """Bring the dataset `name` into the folder `root`; True if it is whole there afterwards.

    `module` is the dataset's module in data/datasets; its sources are tried in turn, or `sources`.
    Files already in `root` under a source's names are used in place of a download. If no source
    works, the steps by hand are printed. A dataset appears in `root` only once its counts are
    right; of several processes that fetch it, one does and the others wait. Problem where other
    folders are in the way, `root` cannot be written, or a package that draws it is missing.

    A module that draws its images from the files has `build(files, into, say)` for it, and `NEEDS`,
    the packages that it takes: {module: name to install}. Other modules' files are unpacked.
    """
    if _incomplete(module, root) is None:
        say(f"{name}: already whole in {root}; `python -m harness data verify {name}` opens it all")
        return True
    for needed, package in getattr(module, "NEEDS", {}).items():
        if importlib.util.find_spec(needed) is None:
            raise Problem(
                f"{name} is drawn by the package {package}, which is not installed: "
                "python -m pip install -r requirements.txt"
            )
    advice = "let this user write there, or give another folder with --data"
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"{root} cannot be made ({error.strerror}); {advice}") from None
    if not os.access(root, os.W_OK):
        raise Problem(f"{root} cannot be written; {advice}")
    with lock.alone(root / LOCK, say):
        return _fetch_alone(name, module, root, module.SOURCES if sources is None else sources, say)


def _fetch_alone(
    name: str, module: ModuleType, root: Path, sources: Sequence[Source], say: Say
) -> bool:
    """`fetch` while no other process fetches into `root`."""
    reason = _incomplete(module, root)
    if reason is None:
        say(f"{name}: whole in {root}, where another process fetched it")
        return True
    for source in sources:
        by_hand = all((root / file.name).is_file() for file in source.files)
        if not by_hand and any(file.url is None for file in source.files):
            continue
        if not by_hand:
            _check_nothing_in_the_way(name, root, reason)
        try:
            _bring(name, module, source, root, by_hand=by_hand, say=say)
        except (Problem, OSError) as error:
            say(f"{name}: from {source.name}: {error}")
            continue
        listing: Listing = module.listing(root)
        classes = len(listing.class_names)
        say(f"{listing.name}: {len(listing):,} images, {classes:,} classes in {root}")
        return True
    say(f"{name} is not whole in {root} ({reason}). By hand:")
    for step in module.BY_HAND:
        say("  " + step.replace("{root}", str(root)))
    return False


def _incomplete(module: ModuleType, root: Path) -> str | None:
    """Why the dataset in `root` is not whole, or None if it is."""
    try:
        module.listing(root)
    except Problem as problem:
        return str(problem)
    return None


def _check_nothing_in_the_way(name: str, root: Path, reason: str) -> None:
    """Problem where `root` holds folders: they would be mixed with what is unpacked."""
    folders = sorted(item.name for item in root.iterdir() if item.is_dir() and item.name[0] != ".")
    if folders:
        raise Problem(
            f"{root} holds {named(folders)}, which is no whole copy of {name} ({reason}); move it "
            "away and run this again"
        )


def _bring(
    name: str, module: ModuleType, source: Source, root: Path, *, by_hand: bool, say: Say
) -> None:
    """All files of the source, unpacked and checked beside their place, then moved into `root`."""
    downloads, unpacked = root / ".download", root / ".unpacking"
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir()
    try:
        if not by_hand:
            downloads.mkdir(exist_ok=True)
            say(f"{name}: downloading from {source.name}")
        files = [
            check_sum(root / file.name, file, say) if by_hand else download(file, downloads, say)
            for file in source.files
        ]
        try:
            if hasattr(module, "build"):
                say(f"{name}: drawing its images")
                module.build(files, unpacked, say)
            else:
                for path in files:
                    say(f"{name}: unpacking {path.name}")
                    unpack(path, unpacked)
            for note in module.listing(unpacked).notes:
                say(f"NOTE: {name}: {note}")
        except Problem:
            if not by_hand and any(file.checksum is None for file in source.files):
                shutil.rmtree(downloads)  # so that the next call does not use it again
            raise
        for item in sorted(unpacked.iterdir()):
            if (root / item.name).is_dir():
                raise Problem(f"{root / item.name} is in the way; move it away and run this again")
            os.replace(item, root / item.name)
        shutil.rmtree(downloads, ignore_errors=True)
        if by_hand:
            unneeded = [p.name for p in files if is_archive(p) or hasattr(module, "build")]
            say(f"{name}: no longer needed: {named(unneeded)}")
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)


def is_archive(path: Path) -> bool:
    """Whether `unpack` unpacks the file, going by its name."""
    return path.name.lower().endswith(ARCHIVES)


def unpack(path: Path, into: Path) -> None:
    """Unpack a zip or tar archive into the folder `into`; any other file is copied there.

    Problem for a damaged archive or one with members that would land outside.
    """
    if not is_archive(path):
        shutil.copy2(path, into / path.name)
        return
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                for member in archive.namelist():
                    _check_inside(path, member)
                archive.extractall(into)
        else:
            with tarfile.open(path) as archive:
                _unpack_tar(path, archive, into)
    except DAMAGED as error:
        raise Problem(f"{path} is no whole archive ({error}); get it again") from None


def _check_inside(path: Path, member: str) -> None:
    """Problem for a member of an archive that would land outside of the folder it goes to."""
    inner = PurePosixPath(member.replace("\\", "/"))
    if inner.is_absolute() or ".." in inner.parts or member[1:2] == ":":
        raise Problem(f"{path}: its member {member!r} would land outside")


def _unpack_tar(path: Path, archive: tarfile.TarFile, into: Path) -> None:
    """Unpack by tarfile's rules for data.

    Python has them from 3.11.4 on. Before, files and folders alone are unpacked, with the owner and
    the rights that these rules give them, and anything else is a Problem.
    """
    if hasattr(tarfile, "data_filter"):
        try:
            archive.extractall(into, filter="data")
        except tarfile.FilterError as error:
            raise Problem(f"{path}: {error}; it is not the archive it should be") from None
        return
    for member in archive:
        member.name = member.name.lstrip("/")
        _check_inside(path, member.name)
        if not (member.isfile() or member.isdir()):
            raise Problem(f"{path}: its member {member.name!r} is neither a file nor a folder")
        member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
        member.mode = 0o755 if member.isdir() else member.mode & 0o755 | 0o600
    archive.extractall(into)
