"""How many repeats have no score because a run of theirs failed: then a mean is of survivors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.protocol import trials
from harness.protocol.final import outdated_complete
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
        for record in of_search:
            if record.failure is None or record.repeat is None or record.repeat >= study.repeats:
                continue
            winner = trials.winner_of(study, loss, of_search, search_repeat=number)
            outdated = outdated_complete(
                study, loss, of_search, winner=winner, search_repeat=number
            )
            if record.trial == winner and record.key not in outdated:
                category = "aggregate" if record.stage == "repeat" else record.stage
                failed.add((category, number, record.repeat))
    return Counter(category for category, _, _ in failed)
