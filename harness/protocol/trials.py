"""The search of a study as trials and runs: what is done of it, what comes next. Pure functions.

A search chooses on held-out classes; the branch of `standard` that measures what tuning on the
test set is worth has a stage of its own, whose records no other search reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from harness.protocol import race
from harness.protocol.search import Space, Trial, propose
from harness.schema import TEST_TUNED, Record, Run, Stage, Study
from harness.seeds import seed_from


def named(study: Study, dataset: str, search_repeat: int) -> tuple[str | int, ...]:
    """What every seed of a study's search on a dataset starts with; the first says no number."""
    again = ("search_repeat", search_repeat) if search_repeat else ()
    return (study.name, dataset, *again)


def trials_of(
    study: Study, records: Iterable[Record], search_repeat: int = 0, stage: Stage = "search"
) -> dict[int, Trial]:
    """The complete trials: their params and the mean over folds of held-out MAP@R.

    A trial with a failed fold has no score. A trial whose folds are not all there is left out,
    unless it is out of a race: then its score is an estimate. Of the stage test_tuned_search the
    score is the test MAP@R of its one run.
    """
    folds = folds_of(records, search_repeat, stage)
    wanted = _folds(study, stage)
    needed = set(wanted)
    trials = {}
    for number in sorted(folds):
        runs = folds[number]
        out = race.is_out(study, folds, number)
        if number >= study.trials or not (out or needed <= runs.keys()):
            continue
        score = None
        if not [run for run in runs.values() if run.failure is not None]:
            scores = [run.scores["map_at_r"] for run in runs.values()]
            score = race.estimate(study, folds, number) if out else math.fsum(scores) / len(scores)
        trials[number] = Trial(runs[wanted[0]].params, score, out)
    return trials


def by_search(study: Study, records: Iterable[Record]) -> list[list[Record]]:
    """The records of every repeat of the search that the study asks for, in one pass."""
    told: list[list[Record]] = [[] for _ in range(study.search_repeats)]
    for record in records:
        if record.search_repeat < study.search_repeats:
            told[record.search_repeat].append(record)
    return told


def folds_of(
    records: Iterable[Record], search_repeat: int = 0, stage: Stage = "search"
) -> dict[int, dict[int | None, Record]]:
    """The records of a search by trial and fold."""
    folds: dict[int, dict[int | None, Record]] = {}
    for record in records:
        if record.stage == stage and record.search_repeat == search_repeat:
            folds.setdefault(record.trial, {})[record.fold] = record
    return folds


def _folds(study: Study, stage: Stage) -> tuple[int | None, ...]:
    """The folds of a trial; one run without any where the whole trainval half trains."""
    return (None,) if stage in TEST_TUNED else study.search_folds


def search_runs(
    study: Study,
    dataset: str,
    loss: str,
    space: Space,
    trials: Mapping[int, Trial],
    search_repeat: int = 0,
    *,
    stage: Stage = "search",
) -> list[Run]:
    """The runs of the first batch of trials that is not whole.

    Where a study has two searches, all trials are drawn at random, so that both hold the same ones.
    """
    size = study.parallel_trials
    batch = next(
        start for start in range(0, study.trials, size) if not _whole(study, trials, start)
    )
    names = named(study, dataset, search_repeat)
    proposals = propose(
        space,
        [trials[number] for number in range(batch)],
        min(size, study.trials - batch),
        startup=study.trials if study.test_tuned else study.startup_trials,
        seed=seed_from(*names, "proposals", batch),
    )
    return [
        Run(
            study=study,
            dataset=dataset,
            loss=loss,
            stage=stage,
            trial=batch + i,
            fold=fold,
            seed=seed_from(*names, stage, batch + i, *(() if fold is None else (fold,))),
            params=params,
            search_repeat=search_repeat,
        )
        for i, params in enumerate(proposals)
        for fold in _folds(study, stage)
    ]


def _whole(study: Study, trials: Mapping[int, Trial], start: int) -> bool:
    stop = min(start + study.parallel_trials, study.trials)
    return all(number in trials for number in range(start, stop))


def complete_epochs(study: Study, records: Iterable[Record]) -> tuple[int, int] | None:
    """Epochs (normal, followup) of the Complete runs; None if every run failed.

    Total and follow-up epochs are averaged over the runs of the other categories and each is
    rounded up to the nearest multiple of `complete_epochs_multiple`; the normal phase takes the
    rest. Epochs are those behind the model that a run kept. Source: arXiv 2408.15656, D-B1.
    """
    ran = [record.epochs for record in records if record.failure is None]
    if not ran:
        return None
    multiple = study.complete_epochs_multiple

    def rounded(total: int) -> int:
        return -(-total // (len(ran) * multiple)) * multiple

    total = rounded(sum(normal + followup for normal, followup in ran))
    followup = rounded(sum(followup for _, followup in ran))
    return total - followup, followup
