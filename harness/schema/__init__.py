"""The nouns, frozen: Study, Dataset, Part, Split, Run, Record, Problem."""

from __future__ import annotations

from harness.schema.diagnostics import DIAGNOSTICS, Better, Diagnostic
from harness.schema.field_types import fits
from harness.schema.fields import (
    BASELINES,
    BY_CLASS,
    FEATURES,
    LATER,
    LDA,
    NOT_IN_DIGEST,
    OPTIMISM,
    POOL,
    RECORD_FORMAT,
    REPLACED,
    RULES,
    TRIAL_STAGES,
    UNTRAINED,
    VARIANT_NAME,
    VARIED,
    WHICH_RUNS,
    WHITENING,
    CurveValue,
    Precision,
    Stage,
    Values,
)
from harness.schema.images import Bools, Dataset, Features, Floats, Images, Ints, Part, Split
from harness.schema.problems import Diverged, Problem, Stopped
from harness.schema.run import Record, Run, record_of, run_of
from harness.schema.study import Demonstration, Study

__all__ = [
    "BASELINES",
    "BY_CLASS",
    "DIAGNOSTICS",
    "FEATURES",
    "LATER",
    "LDA",
    "NOT_IN_DIGEST",
    "OPTIMISM",
    "POOL",
    "RECORD_FORMAT",
    "REPLACED",
    "RULES",
    "TRIAL_STAGES",
    "UNTRAINED",
    "VARIANT_NAME",
    "VARIED",
    "WHICH_RUNS",
    "WHITENING",
    "Better",
    "Bools",
    "CurveValue",
    "Dataset",
    "Demonstration",
    "Diagnostic",
    "Diverged",
    "Features",
    "Floats",
    "Images",
    "Ints",
    "Part",
    "Precision",
    "Problem",
    "Record",
    "Run",
    "Split",
    "Stage",
    "Stopped",
    "Study",
    "Values",
    "fits",
    "record_of",
    "run_of",
]
