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
# by which torch and the BLAS choose their kernels
INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16")
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
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def processor_kind() -> str | None:
    """What of a processor changes last digits, where Linux tells it: family, model, instructions.

    Virtual machines give one name to processors that compute otherwise ("AMD EPYC").
    """
    cpuinfo = _cpuinfo()
    if not {"cpu family", "model", "flags"} <= cpuinfo.keys():
        return None
    flags = set(cpuinfo["flags"].split())
    known = " ".join(name for name in INSTRUCTIONS if name in flags)
    return f"family {cpuinfo['cpu family']}, model {cpuinfo['model']}: {known}"


@functools.lru_cache(maxsize=1)
def _cpuinfo() -> dict[str, str]:
    """The fields of the first processor in /proc/cpuinfo; none where there is no such file."""
    with contextlib.suppress(OSError):
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
        fields = (line.partition(":") for line in first.splitlines())
        return {name.strip(): value.strip() for name, _, value in fields}
    return {}
