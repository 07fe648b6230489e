"""Which records a study loses when its failures are to be redone: they, and what followed them."""

from __future__ import annotations

from collections.abc import Sequence

from harness.schema import TRIAL_STAGES, Record, Study


def redone(study: Study, records: Sequence[Record]) -> list[int]:
    """Positions of the failures of one loss, and of the records that would not be there so.

    A trial is proposed by the trials of the earlier batches, so a failed one has led to all trials
    of later batches and to the final runs; in a race also to every fold that came after it. A
    failed fold model has led to its ensemble and to the epochs of the Complete runs.
    """
    lost = {place for place, record in enumerate(records) if record.failure is not None}
    for place in sorted(lost):
        lost |= {
            later
            for later, record in enumerate(records)
            if record.search_repeat == records[place].search_repeat
            and _follows(study, records[place], record, is_later=later > place)
        }
    return sorted(lost)


def _follows(study: Study, failure: Record, record: Record, *, is_later: bool) -> bool:
    """Whether a record of the same search came about by a failure."""
    if study.test_scored:  # its trials are drawn at random, and nothing follows them
        return False
    if failure.stage in TRIAL_STAGES:
        if record.stage not in TRIAL_STAGES:
            return True
        batch = study.parallel_trials
        return record.trial // batch > failure.trial // batch or (study.race and is_later)
    if failure.stage != "repeat" or record.trial != failure.trial:
        return False
    return record.stage == "complete" or (
        record.stage == "ensemble" and record.repeat == failure.repeat
    )
