"""Claims, statements and evidence for tests, with defaults for whatever a test does not name."""

from __future__ import annotations

from pathlib import Path

from harness.audit.by_records import Evidence
from harness.audit.claims import Claim
from harness.audit.statements import Statement

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
WARPED = "2408.15656"
A_AGAINST_B = {"a": {"method": ("a",)}, "b": {"method": ("b",)}}
SETTINGS = {"trunk": "resnet50", "dim": "512", "tuned_on": "cv4"}


def claim_of(**columns):
    """A claim of loss a on CUB; its id is made of the columns given."""
    defaults = {"paper": "p", "method": "a", "dataset": "cub", "metric": "R@1"}
    defaults |= {"value": 50.0, "table": "1", "reported_by": "own"}
    claim_id = ".".join(str(value) for value in columns.values())
    return Claim(**{**defaults, "claim_id": claim_id, **columns})


def statement_of(kind, **fields):
    defaults = {"statement_id": "s", "paper": "p", "text": "x", "where_said": "y", "kind": kind}
    return Statement(**{**defaults, **fields})


def evidence_of(values, settings=SETTINGS, repeats=None, name="r"):
    """Our evidence of these values, from records that are called r0, r1 ..."""
    return Evidence(values, [f"{name}{i}" for i in range(len(values))], settings, repeats)


def only(findings, check, subject):
    """The one finding of a check about a subject."""
    hits = [f for f in findings if f.check == check and f.subject == subject]
    assert len(hits) == 1, [f.subject for f in hits]
    return hits[0]
