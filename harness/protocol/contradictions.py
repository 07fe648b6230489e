"""Where a record contradicts itself, the study beside it, or the other records of its file."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.schema import POOL, TRIAL_STAGES, Record, Stage, Study


def contradictions(
    study: Study, fingerprint: str, records: Sequence[Record], *, strict: bool
) -> dict[int, str]:
    """Position -> where a record contradicts itself, its study.json or the others of its stage.

    `strict` also asks for a provenance, and for a curve that holds a search run's score.
    """
    reasons: dict[int, str] = {}
    digest = study.digest()
    names = _score_names(records)
    for place, record in enumerate(records):
        reason = _foreign(digest, fingerprint, record, strict=strict) or _wrong_sums(record)
        missing = names[record.stage] - record.scores.keys()
        if reason is None and record.failure is None and missing:
            reason = f"it has no {', '.join(sorted(missing))}, which others of its stage have"
        if reason is None and strict:
            reason = _wrong_curve(record)
        if reason is not None:
            reasons[place] = reason
    return reasons


def _score_names(records: Sequence[Record]) -> dict[Stage, set[str]]:
    """Stage -> the names of all scores that a record of it has."""
    names: dict[Stage, set[str]] = {}
    for record in records:
        names.setdefault(record.stage, set()).update(record.scores)
    return names


def _foreign(digest: str, fingerprint: str, record: Record, *, strict: bool) -> str | None:
    """How a record shows that it was made from another study or dataset; `strict`: or from none.

    A run that was given up before it began has no provenance.
    """
    given_up = not record.provenance and record.failure is not None
    wanted = {"study": digest, "dataset": fingerprint}
    for name, value in wanted.items():
        stated = record.provenance.get(name)
        if stated != value and not (stated is None and (given_up or not strict)):
            kind = "digest" if name == "study" else "fingerprint"
            return f"it was made from another {name}: {kind} {stated}, study.json's is {value}"
    return None


def _wrong_sums(record: Record) -> str | None:
    """Where scores by class do not add up to the scores."""
    if record.by_class is None or record.failure is not None:
        return None
    queries = math.fsum(record.by_class.get("queries", ()))
    if not queries:
        return "its sums by class are of no queries"
    for name, sums in record.by_class.items():
        value = queries if name == "queries" else math.fsum(sums) / queries
        score = record.scores.get(name, math.nan)
        if not math.isclose(value, score, rel_tol=1e-9, abs_tol=1e-12):
            return f"its {name} is {score}, its sums by class give {value}"
    return None


def _wrong_curve(record: Record) -> str | None:
    """A held-out score that no evaluation of the record's curve gave."""
    if record.failure is not None or record.stage not in TRIAL_STAGES:
        return None
    if record.stage == POOL and (reason := _wrong_test_sums(record)):
        return reason
    evaluations = [entry["map_at_r"] for entry in record.curve if "map_at_r" in entry]
    score = record.scores.get("map_at_r")
    if evaluations and score not in evaluations:
        return f"its map_at_r is {score}, which no evaluation of its curve gave"
    return None


def _wrong_test_sums(record: Record) -> str | None:
    """Test sums of the pool that no evaluation can have given, or an evaluation without them."""
    queries = record.test_queries or ()
    for entry in record.curve:
        sums = entry.get("test_sums", ())
        if ("map_at_r" in entry or sums) and len(sums) != len(queries):
            return f"its epoch {entry['epoch']} has {len(sums)} test sums of {len(queries)} classes"
        if not all(0 <= value <= count for value, count in zip(sums, queries, strict=False)):
            return f"its epoch {entry['epoch']} has test sums that are no sums of shares of 1"
    return None
