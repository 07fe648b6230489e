"""How many runs were cut off at their limit of epochs: a line for the caption of every table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.protocol import plateau, trials
from harness.schema import Record, Study

Counts = Mapping[str, tuple[int, int]]  # loss -> runs that were cut off, runs that could be


def counts(
    study: Study, records: Mapping[str, Sequence[Record]], *, searches: int | None = 1
) -> Counts:
    """The capped runs of each loss among those that choose their epochs, where there are any.

    Of the first `searches` repeats of the search, or of all for None. Final runs count if they are
    of the best trial.
    """
    by_loss = {
        loss: _of_loss(
            study.for_loss(loss), loss, trials.records_by_search(study, of_loss)[:searches]
        )
        for loss, of_loss in records.items()
    }
    return {loss: count for loss, count in by_loss.items() if count[1]}


def _of_loss(study: Study, loss: str, by_search: Sequence[Sequence[Record]]) -> tuple[int, int]:
    capped, runs = 0, 0
    for number, of_search in enumerate(by_search):
        winner = trials.winner_of(study, loss, of_search, search_repeat=number)
        for record in of_search:
            if not plateau.chooses_epochs(record):
                continue
            if record.repeat is None:
                counted = record.trial < study.trials
            else:
                counted = record.trial == winner and record.repeat < study.repeats
            if counted:
                runs += 1
                capped += plateau.is_capped(record, study)
    return capped, runs


def line(counted: Counts) -> list[str]:
    """The caption's line, with every loss that has a capped run; none where no run is capped."""
    capped = sum(count for count, _ in counted.values())
    if not capped:
        return []
    by_loss = ", ".join(f"{loss} {count} of {runs}" for loss, (count, runs) in counted.items())
    return [
        f"CAPPED: {capped} of {sum(runs for _, runs in counted.values())} runs ({by_loss}) ended "
        "at max_epochs or followup_max_epochs, not at a plateau: longer training might change "
        "these numbers."
    ]
