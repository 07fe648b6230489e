"""One experiment, one file: a study whose records answer a question of their own, beside a table.

A file has the name of its study and defines

    page(study, dataset, records, notes) -> Page     records maps a loss to its records

`records` hold their learning curves. The page ends with the experiment's sentences: what the paper
found, what these records say, and whether the two agree (harness/tables/statement.py).
Files that start with an underscore are no experiments: they hold what several share.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def names() -> list[str]:
    """The studies that are experiments: the folder is the registry."""
    files = (file.name for file in pkgutil.iter_modules(__path__))
    return sorted(name for name in files if not name.startswith("_"))


def load(study: str) -> ModuleType | None:
    """The file of the experiment of that name; None where the study is a comparison of losses."""
    return importlib.import_module(f"{__name__}.{study}") if study in names() else None
