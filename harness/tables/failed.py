"""How many repeats have no score because a run of theirs failed: then a mean is of survivors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.protocol import trials
from harness.protocol.final import final_records
from harness.schema import Record, Study


def failed_repeats(
    study: Study, loss: str, records: Sequence[Record], *, searches: int | None = None
) -> Counter[str]:
    """Category -> repeats of the best trial with a failed run.

    Summed over the first `searches` repeats of the search, all of the study's if left out.
    """
    if not any(record.failure is not None and record.repeat is not None for record in records):
        return Counter()
    failed: set[tuple[str, int, int]] = set()
    by_search = trials.records_by_search(study, records)[:searches]
    for number, of_search in enumerate(by_search):
        for record in final_records(study, loss, of_search, search_repeat=number):
            if record.failure is not None and record.repeat is not None:
                category = "aggregate" if record.stage == "repeat" else record.stage
                failed.add((category, number, record.repeat))
    return Counter(category for category, _, _ in failed)
