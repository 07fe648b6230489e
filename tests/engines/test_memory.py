"""Memory that a training step frees stays with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

PAGES = """
import resource, sys
import numpy as np
from harness.engines.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
for _ in range(3):
    np.ones(2**23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(2**23)  # 64 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_memory_that_a_step_frees_is_there_for_the_next_one_without_a_page_fault():
    def faults(kind):
        words = [sys.executable, "-c", PAGES, kind]
        return int(subprocess.run(words, capture_output=True, check=True, text=True).stdout)

    assert faults("kept") < 100 < faults("as it is")  # 163,840 pages, or fewer large ones
