"""The search of a study as trials and runs: what is done, what comes next. Pure functions.

The pool of the study `optimism` is proposed and seeded like a search. Its runs have a stage of
their own, whose records no search of another study reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from harness.protocol import race
from harness.protocol.search import Space, Trial, best, fixed_params, in_space, propose
from harness.schema import BASELINES, Record, Run, Stage, Study
from harness.seeds import seed_from


def seed_prefix(study: Study, dataset: str, search_repeat: int) -> tuple[str | int, ...]:
    """The first names of every seed of a search on a dataset; the first search has no number."""
    if search_repeat:
        return (study.name, dataset, "search_repeat", search_repeat)
    return (study.name, dataset)


def trials_of(
    study: Study, records: Iterable[Record], *, search_repeat: int = 0
) -> dict[int, Trial]:
    """The finished trials: their params and the mean over folds of held-out MAP@R.

    A trial with a failed fold has no score. A trial without all of its folds is left out, unless it
    is out of a race: then its score is an estimate.
    """
    by_trial = fold_records(records, search_repeat=search_repeat, stage=study.trial_stage)
    trials = {}
    for number in sorted(by_trial):
        folds = by_trial[number]
        # a fold whose record was taken out of the file comes again, and the trial is judged then
        is_unbroken = set(range(len(folds))) == folds.keys()
        raced_out = is_unbroken and race.is_out(study, by_trial, number)
        if number >= study.trials or not (raced_out or set(range(study.folds)) <= folds.keys()):
            continue
        if any(record.failure is not None for record in folds.values()):
            score = None
        elif raced_out:
            score = race.estimate(study, by_trial, number)
        else:
            score = math.fsum(record.scores["map_at_r"] for record in folds.values()) / len(folds)
        trials[number] = Trial(folds[0].params, score, raced_out)
    return trials


def uninformative(study: Study, records: Iterable[Record], space: Space) -> list[str]:
    """The trials outside `space` of searches that are not finished: no proposal uses them.

    As names such as "trial 3" or "trial 3 of search repeat 1".
    """
    names = []
    for search_repeat, of_search in enumerate(records_by_search(study, records)):
        trials = trials_of(study, of_search, search_repeat=search_repeat)
        if len(trials) < study.trials:
            suffix = f" of search repeat {search_repeat}" if search_repeat else ""
            names += [
                f"trial {number}{suffix}"
                for number, trial in trials.items()
                if in_space(space, trial.params) is None
            ]
    return names


def winner_of(
    study: Study,
    loss: str,
    records: Iterable[Record],
    *,
    search_repeat: int = 0,
) -> int | None:
    """The trial behind the final runs; None while the search runs or if all failed."""
    return winner_among(study, loss, trials_of(study, records, search_repeat=search_repeat))


def winner_among(study: Study, loss: str, trials: Mapping[int, Trial]) -> int | None:
    """The best of a search's trials; None before all are finished or if all failed.

    Without a search there is one configuration, which counts as trial 0.
    """
    if loss in BASELINES or not study.searches:
        return 0
    return best(trials) if len(trials) == study.trials else None


def records_by_search(study: Study, records: Iterable[Record]) -> list[list[Record]]:
    """The records of each repeat of the search that the study has, in one pass."""
    searches: list[list[Record]] = [[] for _ in range(study.search_repeats)]
    for record in records:
        if record.search_repeat < study.search_repeats:
            searches[record.search_repeat].append(record)
    return searches


def fold_records(
    records: Iterable[Record], *, search_repeat: int = 0, stage: Stage = "search"
) -> dict[int, dict[int | None, Record]]:
    """The records of one search: trial -> fold -> record."""
    by_trial: dict[int, dict[int | None, Record]] = {}
    for record in records:
        if record.stage == stage and record.search_repeat == search_repeat:
            by_trial.setdefault(record.trial, {})[record.fold] = record
    return by_trial


def search_runs(
    study: Study,
    dataset: str,
    loss: str,
    *,
    space: Space,
    trials: Mapping[int, Trial],
    search_repeat: int = 0,
) -> list[Run]:
    """The runs of the first batch of trials that is not finished.

    The pool of `optimism` is drawn at random, so that any k of it are a random search.
    """
    size = study.parallel_trials
    first = next(
        start
        for start in range(0, study.trials, size)
        if not all(number in trials for number in range(start, min(start + size, study.trials)))
    )
    names = seed_prefix(study, dataset, search_repeat)
    fixed = fixed_params(study, loss)
    proposals = propose(
        space,
        [trials[number] for number in range(first)],
        min(size, study.trials - first),
        startup=study.trials if study.test_scored else study.startup_trials,
        seed=seed_from(*names, "proposals", first),
    )
    return [
        run
        for number, params in enumerate(proposals, start=first)
        for run in trial_runs(
            study,
            dataset,
            loss,
            number=number,
            params=fixed | params,
            search_repeat=search_repeat,
        )
    ]


def trial_runs(
    study: Study,
    dataset: str,
    loss: str,
    *,
    number: int,
    params: Mapping[str, object],
    search_repeat: int,
) -> list[Run]:
    """The runs of one trial with its params, fold by fold."""
    names = seed_prefix(study, dataset, search_repeat)
    return [
        Run(
            study=study,
            dataset=dataset,
            loss=loss,
            stage=study.trial_stage,
            trial=number,
            fold=fold,
            seed=seed_from(*names, study.trial_stage, number, fold),
            params=params,
            search_repeat=search_repeat,
        )
        for fold in range(study.folds)
    ]
