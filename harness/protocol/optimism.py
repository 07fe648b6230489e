"""The protocol `standard` as runs: two searches over the same trials, and what each one chose.

The honest branch trains trials on one half of the trainval classes, chooses params and epochs on
the other half (stage `search`), then retrains on all trainval classes for those epochs (stage
`complete`). The test-tuned branch trains the same trials on all trainval classes and chooses params
and epochs on the test classes, as much of the literature does (the stages in schema.TEST_TUNED).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.protocol.search import Space, best
from harness.protocol.trials import complete_epochs, named, search_runs, trials_of
from harness.schema import TEST_TUNED, UNTRAINED, Record, Run, Stage, Study
from harness.seeds import seed_from

# The stage that searches -> the stage of the runs with what it chose.
BRANCHES: Mapping[Stage, Stage] = {"search": "complete", TEST_TUNED[0]: TEST_TUNED[1]}


def wanted_runs(
    study: Study,
    dataset: str,
    loss: str,
    space: Space,
    records: Sequence[Record],
    search_repeat: int,
) -> list[Run]:
    """The runs of one repeat of both searches that can start, done ones included."""
    names = named(study, dataset, search_repeat)

    def final(
        stage: Stage, trial: int, params: Mapping[str, object], epochs: tuple[int, int] | None
    ) -> list[Run]:
        # Both branches share the seeds of their repeats, so that they pair up.
        return [
            Run(study, dataset, loss, stage, seed, params, trial, i, None, epochs, search_repeat)
            for i in range(study.repeats)
            for seed in [seed_from(*names, "complete", i)]
        ]

    if loss == UNTRAINED:
        return final("complete", 0, {}, (0, 0))
    runs = []
    for searching, stage in BRANCHES.items():
        trials = trials_of(study, records, search_repeat, searching)
        if len(trials) < study.trials:
            runs += search_runs(study, dataset, loss, space, trials, search_repeat, stage=searching)
            continue
        winner = best(trials)
        if winner is not None:
            epochs = None
            if stage not in TEST_TUNED:
                epochs = complete_epochs(study, winning_runs(records, winner, search_repeat))
            runs += final(stage, winner, trials[winner].params, epochs)
    return runs


def winning_runs(records: Sequence[Record], winner: int, search_repeat: int) -> list[Record]:
    """The honest search's runs of its winning trial: they tell how many epochs to retrain."""
    return [
        record
        for record in records
        if (record.stage, record.trial, record.search_repeat) == ("search", winner, search_repeat)
    ]


def planned(
    study: Study, loss: str, records: Sequence[Record], search_repeat: int
) -> dict[Stage, int]:
    """How many runs of each stage one repeat of both searches has."""
    if loss == UNTRAINED:
        return {"complete": study.repeats}
    counts: dict[Stage, int] = {}
    for searching, stage in BRANCHES.items():
        folds = 1 if searching in TEST_TUNED else len(study.search_folds)
        counts[searching] = study.trials * folds
        trials = trials_of(study, records, search_repeat, searching)
        failed = len(trials) == study.trials and best(trials) is None
        counts[stage] = 0 if failed else study.repeats
    return counts
