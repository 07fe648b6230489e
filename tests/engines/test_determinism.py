"""One study in two fresh processes whose surroundings differ: the same records, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.made import images

LOSSES = ("margin", "untrained")  # margin draws its triplets at random in each step
SURROUNDINGS = (
    {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TZ": "UTC"},
    {"PYTHONHASHSEED": "4711", "OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "2", "TZ": "Asia/Tokyo"},
)
CODE = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.made import TINY, run
SMALL = replace(TINY, folds=2, trials=2, startup_trials=1, repeats=2)
if __name__ == "__main__":
    run(SMALL, Path(sys.argv[1]), Path(sys.argv[2]), losses=("margin",), workers=int(sys.argv[3]))
"""


def record_bytes(results: Path, loss: str) -> bytes:
    """A loss's records in the order of their keys, without the seconds.

    And without what says whether the checkout was edited, which may happen while tests run.
    """
    [path] = results.glob(f"*/*/{loss}.jsonl")
    fields = [json.loads(line) for line in path.read_text().splitlines()]
    for one in fields:
        del one["seconds"], one["digest"]
        for name in ("content", "dirty"):
            one["provenance"].pop(name, None)
    return "\n".join(json.dumps(one) for one in sorted(fields, key=lambda f: f["key"])).encode()


@pytest.mark.slow
def test_hash_seeds_threads_workers_and_time_zones_change_no_byte_of_a_record(tmp_path):
    folder = images(tmp_path / "images" / "tiny")
    script = tmp_path / "once.py"
    script.write_text(CODE)
    found = []
    for workers, surroundings in enumerate(SURROUNDINGS, start=1):
        results = tmp_path / str(workers) / "results"
        environment = {**os.environ, **surroundings, "PYTHONPATH": str(Path.cwd())}
        subprocess.run(
            [sys.executable, script, folder, results, str(workers)], env=environment, check=True
        )
        found.append({loss: record_bytes(results, loss) for loss in LOSSES})
    first, second = found
    assert all(len(content) > 1000 for content in first.values())
    assert first == second
