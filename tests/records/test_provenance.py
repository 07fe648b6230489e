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


CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: {model}
model name\t: AMD EPYC
flags\t\t: fpu avx2 fma{flags}

processor\t: 1
model name\t: another
"""


def test_processors_of_one_name_that_compute_otherwise_are_told_apart(monkeypatch):
    def described(text: str) -> tuple[str, str | None]:
        provenance._cpuinfo.cache_clear()
        monkeypatch.setattr(provenance.Path, "read_text", lambda _: text)
        return provenance.processor(), provenance.processor_kind()

    try:
        newer = described(CPUINFO.format(model=17, flags=" avx512f avx512_bf16 avx512_bitalg"))
        older = described(CPUINFO.format(model=1, flags=""))
        arm = described("processor\t: 0\nFeatures\t: fp asimd\n")
    finally:
        monkeypatch.undo()
        provenance._cpuinfo.cache_clear()
    assert newer == ("AMD EPYC", "family 25, model 17: avx2 fma avx512f avx512_bf16")
    assert older == ("AMD EPYC", "family 25, model 1: avx2 fma")
    assert arm[0]
    assert arm[1] is None
