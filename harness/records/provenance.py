"""What made a record: the code, the packages, the processor."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.files import CHECKOUT
from harness.records import code

ROOT = CHECKOUT
PACKAGES = ("torch", "torchvision", "numpy", "optuna", "pytorch-metric-learning", "scikit-learn")


@functools.lru_cache(maxsize=1)
def code_version() -> dict[str, Any]:
    """The checkout's commit, and whether its files differ from it.

    Files that git does not track count where they are code: in harness/, losses/ and studies/.
    Where the commit does not say which code it is, `content` does: a digest of those three folders.
    Where git says nothing, `commit` gives the content and the reason, and `dirty` is None.
    """
    commit, reason = _commit()
    if not commit:
        content = code.content_code(ROOT)
        return {"commit": f"content {content} ({reason})", "dirty": None, "content": content}
    tracked = _git("status", "--porcelain", "--untracked-files=no").stdout
    in_code = _git("status", "--porcelain", "--untracked-files=all", "--", *code.FOLDERS).stdout
    if not tracked.strip() and not in_code.strip():
        return {"commit": commit, "dirty": False}
    return {"commit": commit, "dirty": True, "content": code.content_code(ROOT)}


def _commit() -> tuple[str, str]:
    """The commit that is checked out, or nothing and the reason why git does not say it."""
    if not (ROOT / ".git").exists():
        return "", "no git checkout"
    try:
        ended = _git("rev-parse", "HEAD")
    except FileNotFoundError:
        return "", "git is not installed"
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"git cannot be asked: {type(error).__name__}"
    if ended.returncode == 0:
        return ended.stdout.strip(), ""
    if "dubious ownership" in ended.stderr:
        return "", "git refuses the checkout, which another user owns"
    return "", "git knows no commit"


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    """A git command on the checkout, ended."""
    return subprocess.run(
        ["git", "-C", str(ROOT), *words], capture_output=True, text=True, timeout=60
    )


@functools.lru_cache(maxsize=4)
def package_versions(*more: str) -> dict[str, str]:
    """Versions of Python and of the packages whose change can change a number, `more` of them."""
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in (*PACKAGES, *more):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def processor() -> str:
    """The processor's name as the system gives it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
