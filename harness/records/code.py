"""Digests of code: of a loss with what it imports from losses/, of a study's file, of everything.

Comments, docstrings and layout change no number, so they do not count in the first two.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.files import CHECKOUT

FOLDERS = ("harness", "losses", "studies")
DIGITS = 12
# Fields of syntax trees that some versions of Python lack, and that say nothing about numbers.
IGNORED = ("ctx", "kind", "type_comment", "type_ignores", "type_params")


@functools.lru_cache
def loss_code(loss: str, root: Path = CHECKOUT) -> str | None:
    """The digest of losses/<loss>.py and of every file in losses/ that it imports, in turn.

    None for what is no file there, as the untrained trunk. It is read once: later changes of the
    file are not in this process, which has imported it.
    """

    def source(name: str) -> bytes | None:
        path = root / "losses" / f"{name}.py"
        return path.read_bytes() if path.is_file() else None

    return _code_of(loss, source)


@functools.lru_cache
def loss_code_at(commit: str, loss: str, root: Path = CHECKOUT) -> str | None:
    """The digest of a loss as it was at a commit; None where git does not say."""

    def source(name: str) -> bytes | None:
        words = ["git", "-C", str(root), "show", f"{commit}:losses/{name}.py"]
        try:
            ended = subprocess.run(words, capture_output=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return ended.stdout if ended.returncode == 0 else None

    return _code_of(loss, source)


def loss_code_behind(provenance: Mapping[str, Any], loss: str) -> str | None:
    """The digest of the loss that made a record; of an older one by its commit, if that was clean.

    None where it cannot be told.
    """
    stated = provenance.get("loss_code")
    if stated is not None or provenance.get("dirty") is not False:
        return None if stated is None else str(stated)
    return loss_code_at(str(provenance.get("commit")), loss)


def _code_of(loss: str, source: Callable[[str], bytes | None]) -> str | None:
    """The digest of a loss and what it imports, from sources by their name in losses/."""
    names, trees = [loss], {}
    while names:
        name = names.pop()
        if name in trees or (text := source(name)) is None:
            continue
        trees[name] = ast.parse(text)
        names += _imports_from_losses(trees[name])
    if loss not in trees:
        return None
    return _digest("\n".join(f"{name} {_shape(trees[name])}" for name in sorted(trees)).encode())


@functools.lru_cache
def study_code(study: str, root: Path = CHECKOUT) -> str | None:
    """The digest of studies/<study>.py; None where there is no such file.

    It tells where a study came from. Its values have a digest of their own, and they decide.
    """
    path = root / "studies" / f"{study}.py"
    return _digest(str(_shape(ast.parse(path.read_bytes()))).encode()) if path.is_file() else None


@functools.lru_cache
def content_code(root: Path = CHECKOUT, folders: tuple[str, ...] = FOLDERS) -> str:
    """The digest of every Python file in harness/, losses/ and studies/, byte by byte."""
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    parts = (
        f"{path.relative_to(root).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n"
        for path in paths
    )
    return _digest("".join(parts).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def _imports_from_losses(tree: ast.AST) -> list[str]:
    """Names of the files in losses/ that a file there may import."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = f"losses.{node.module or ''}".rstrip(".") if node.level else node.module or ""
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return [name.split(".")[1] for name in names if name.startswith("losses.")]


def _shape(value: Any) -> Any:
    """A syntax tree as nested lists, without docstrings, places and empty fields."""
    if isinstance(value, list):
        return [_shape(item) for item in value]
    if not isinstance(value, ast.AST):
        return repr(value)
    fields = dict(ast.iter_fields(value))
    body = fields.get("body")
    documented = isinstance(value, (ast.Module, ast.ClassDef, ast.FunctionDef))
    if documented and body and _is_text(body[0]):
        fields["body"] = body[1:]
    return [
        type(value).__name__,
        *(
            [name, _shape(content)]
            for name, content in fields.items()
            if name not in IGNORED and content is not None and content != []
        ),
    ]


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
