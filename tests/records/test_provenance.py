"""A record says which code and which packages made it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from harness.records import provenance

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the code is not a checkout")
def test_the_code_version_is_the_commit_that_is_checked_out():
    head = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert provenance.code_version()["commit"] == head.stdout.strip()
    assert provenance.code_version()["dirty"] in (True, False)


def test_the_package_versions_are_those_that_are_imported():
    versions = provenance.package_versions()
    assert versions["numpy"] == np.__version__
    assert {"python", "torch", "optuna"} <= versions.keys()


def test_the_processor_has_a_name():
    assert provenance.processor().strip()
