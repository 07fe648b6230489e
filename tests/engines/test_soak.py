"""The soak of tests/soak.py, in small: a third of a minute of a demo of ten losses under kills.

SOAK_MINUTES=30 python -m pytest -m slow tests/engines/test_soak.py -s

is the long one.
"""

from __future__ import annotations

import json
import os
import random

import pytest

from tests.made import call, needs_proc
from tests.soak import Soak

LOSSES = (
    "contrastive",
    "triplet",
    "multi_similarity",
    "margin",
    "normalized_softmax",
    "proxy_nca",
    "proxy_anchor",
    "proxy_nca_pp",
    "warped",
    "hist",
)


@pytest.mark.slow
@needs_proc
def test_nothing_is_lost_or_recorded_twice_under_kills_and_memory_does_not_grow(tmp_path):
    minutes = float(os.environ.get("SOAK_MINUTES", "0.3"))
    results, data = tmp_path / "results", tmp_path / "data"
    words = ("study", "--study", "demo", "--dataset", "glyphs", "--data", str(data))
    soak = Soak((*words, "--loss", *LOSSES, "--workers", "2"), results, random.Random(0))
    soak.run(60 * minutes, (10, 60) if minutes > 5 else (4, 8))
    soak.look()
    found = soak.summary()
    print(json.dumps(found))
    assert (found["lost"], found["twice"], found["failures"]) == (0, 0, 0)
    assert sum(soak.kills.values()) >= min(3, minutes)
    assert found["runs"] >= minutes
    if minutes > 5:
        begun, ended = found["coordinator_mib"]
        assert ended < 1.1 * begun + 10
    lines = call("check", results)[1].splitlines()
    findings = [line for line in lines[:-1] if not line.startswith("  ->")]
    assert all(": INCOMPLETE: " in line for line in findings), findings
