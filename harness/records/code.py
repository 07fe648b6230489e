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

TRUNKS = ("harness", "training", "trunks")  # the folder of the trunks' files
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

    return _code_of(loss, _read_in(root / "losses"), "losses")


@functools.lru_cache
def trunk_code(trunk: str, root: Path = CHECKOUT) -> str | None:
    """As loss_code, of harness/training/trunks/<trunk>.py.

    None for the trunks of libraries, whose versions records name.
    """
    return _code_of(trunk, _read_in(root.joinpath(*TRUNKS)), ".".join(TRUNKS))


def run_code(loss: str, trunk: str) -> str:
    """The digests of what a run imports: of its loss, by the file's name, and of its trunk."""
    return f"{loss_code(loss)} {trunk_code(trunk)}"


def _read_in(folder: Path) -> Callable[[str], bytes | None]:
    """Reads the files of a folder by their names; None where there is no such file."""

    def source(name: str) -> bytes | None:
        path = folder / f"{name}.py"
        return path.read_bytes() if path.parent == folder and path.is_file() else None

    return source


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

    return _code_of(loss, source, "losses")


def loss_code_behind(provenance: Mapping[str, Any], loss: str) -> str | None:
    """The digest of the loss that made a record; of an older one by its commit, if that was clean.

    None where it cannot be told.
    """
    stated = provenance.get("loss_code")
    if stated is not None or provenance.get("dirty") is not False:
        return None if stated is None else str(stated)
    return loss_code_at(str(provenance.get("commit")), loss)


def _code_of(first: str, source: Callable[[str], bytes | None], package: str) -> str | None:
    """The digest of a file and what it imports of its package, from sources by their names."""
    names, trees = [first], {}
    while names:
        name = names.pop()
        if name in trees or (text := source(name)) is None:
            continue
        trees[name] = ast.parse(text)
        names += _imports_from(package, trees[name])
    if first not in trees:
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
    paths = [path for path in paths if path.is_file()]  # not a link to a file that is gone
    parts = (
        f"{path.relative_to(root).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n"
        for path in paths
    )
    return _digest("".join(parts).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def _imports_from(package: str, tree: ast.AST) -> list[str]:
    """Names of the files of a package that a file there may import."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            inside = f"{package}.{node.module or ''}".rstrip(".")
            module = inside if node.level else node.module or ""
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    start = f"{package}."
    return [name.removeprefix(start).split(".")[0] for name in names if name.startswith(start)]


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
