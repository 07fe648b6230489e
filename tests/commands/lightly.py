"""The command line with fewer batches in the study `smoke`, for tests that need a process."""

from __future__ import annotations

from dataclasses import replace

import studies.smoke
from harness.cli import main

STUDY = replace(studies.smoke.STUDY, iterations=3)

if __name__ == "__main__":
    studies.smoke.STUDY = STUDY
    main()
