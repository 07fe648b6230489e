"""Which entries a tracker has: a file of identifiers, so that no run is written twice."""

from __future__ import annotations

import os
from pathlib import Path


class Ledger:
    """Identifiers of what is written, a line each; a torn last line counts as nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole, _, torn = text.rpartition("\n")
        self.written = set(whole.splitlines())
        self._is_torn = bool(torn)

    def add(self, identifier: str) -> None:
        """Note that it is written."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" * self._is_torn + f"{identifier}\n")
            file.flush()
            os.fsync(file.fileno())
        self.written.add(identifier)
        self._is_torn = False
