"""Optimism, what choosing on the test classes is worth, as runs: an honest and a test-tuned branch.

This is the protocol of the study `standard`. Both branches search over the same trials.
The honest branch trains them on one half of the trainval classes and chooses params and epochs on
the other half (stage `search`). It then retrains on all trainval classes for those epochs (stage
`complete`).
The test-tuned branch trains them on all trainval classes and chooses params and epochs on the test
classes, as much of the literature does (the stages in schema.TEST_TUNED).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.protocol.final import complete_epochs
from harness.protocol.search import Space, best
from harness.protocol.trials import search_runs, seed_prefix, trials_of
from harness.schema import TEST_TUNED, UNTRAINED, Record, Run, Stage, Study
from harness.seeds import seed_from

# Each branch: the stage of its search -> the stage of its final runs, with what that search chose.
BRANCHES: Mapping[Stage, Stage] = {"search": "complete", TEST_TUNED[0]: TEST_TUNED[1]}


def startable_runs(
    study: Study,
    dataset: str,
    loss: str,
    *,
    space: Space,
    records: Sequence[Record],
    search_repeat: int,
) -> list[Run]:
    """The runs of one repeat of both searches that can start, with those already done."""
    names = seed_prefix(study, dataset, search_repeat)

    def final_runs(
        stage: Stage, trial: int, params: Mapping[str, object], epochs: tuple[int, int] | None
    ) -> list[Run]:
        return [
            Run(
                study=study,
                dataset=dataset,
                loss=loss,
                stage=stage,
                # Both branches share the seeds of their repeats, so that these pair up.
                seed=seed_from(*names, "complete", repeat),
                params=params,
                trial=trial,
                repeat=repeat,
                epochs=epochs,
                search_repeat=search_repeat,
            )
            for repeat in range(study.repeats)
        ]

    if loss == UNTRAINED:
        return final_runs("complete", 0, {}, (0, 0))
    runs = []
    for search_stage, final_stage in BRANCHES.items():
        trials = trials_of(study, records, search_repeat=search_repeat, stage=search_stage)
        if len(trials) < study.trials:
            runs += search_runs(
                study,
                dataset,
                loss,
                space=space,
                trials=trials,
                search_repeat=search_repeat,
                stage=search_stage,
            )
            continue
        winner = best(trials)
        if winner is not None:
            epochs = None
            if final_stage not in TEST_TUNED:
                epochs = complete_epochs(study, winning_records(records, winner, search_repeat))
            runs += final_runs(final_stage, winner, trials[winner].params, epochs)
    return runs


def winning_records(records: Sequence[Record], winner: int, search_repeat: int) -> list[Record]:
    """The records of the honest search's winning trial: they say how many epochs to retrain."""
    return [
        record
        for record in records
        if (record.stage, record.trial, record.search_repeat) == ("search", winner, search_repeat)
    ]


def planned_counts(
    study: Study, loss: str, records: Sequence[Record], search_repeat: int
) -> dict[Stage, int]:
    """How many runs of each stage one repeat of both searches has."""
    if loss == UNTRAINED:
        return {"complete": study.repeats}
    counts: dict[Stage, int] = {}
    for search_stage, final_stage in BRANCHES.items():
        folds = 1 if search_stage in TEST_TUNED else len(study.search_folds)
        counts[search_stage] = study.trials * folds
        trials = trials_of(study, records, search_repeat=search_repeat, stage=search_stage)
        failed = len(trials) == study.trials and best(trials) is None
        counts[final_stage] = 0 if failed else study.repeats
    return counts
