"""The lock between processes, while others come and go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.data import lock

pytest.importorskip("fcntl", reason="there are no file locks here")


def test_a_lock_whose_file_its_holder_removes_at_that_moment_is_taken_anew(tmp_path, monkeypatch):
    path, stat = tmp_path / "x.lock", Path.stat
    removals = []

    def removed_meanwhile(self, **named):
        if self == path and not removals:
            removals.append(self)
            path.unlink()
            raise FileNotFoundError(str(self))
        return stat(self, **named)

    monkeypatch.setattr(Path, "exists", lambda _: True)  # as it was when the file was opened
    monkeypatch.setattr(Path, "stat", removed_meanwhile)
    handle = lock.take(path, None)
    assert removals
    assert handle is not None
    assert os.path.samestat(os.fstat(handle), os.stat(path))
    assert lock.take(path, None) is None  # it is held
    os.close(handle)
