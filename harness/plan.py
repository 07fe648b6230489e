"""Study and records to the runs that can start now: the whole scheduler, a pure function.

Search (batches of `parallel_trials` trials, each of `folds` runs) -> best trial by mean held-out
MAP@R -> repeats x folds at `dim`, an ensemble for every repeat, and Complete runs at `complete_dim`
once the repeats have told how many epochs those train.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from harness.schema import UNTRAINED, Record, Run, Stage, Study
from harness.search import Space, Trial, best, propose
from harness.seeds import seed_from


@dataclass(frozen=True)
class Progress:
    """How far a study of one loss on one dataset is: runs done and planned, by stage."""

    done: Mapping[str, int]
    planned: Mapping[str, int]
    best_trial: int | None
    best_score: float | None
    failures: int

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return all(self.done[stage] >= count for stage, count in self.planned.items())


def trials_of(study: Study, records: Iterable[Record]) -> dict[int, Trial]:
    """The complete trials: their params and the mean over folds of held-out MAP@R.

    A trial with a failed fold has no score. A trial whose folds are not all there is left out.
    """
    folds: dict[int, dict[int, Record]] = {}
    for record in records:
        if record.stage == "search" and record.fold is not None:
            folds.setdefault(record.trial, {})[record.fold] = record
    trials = {}
    for number in sorted(folds):
        runs = folds[number]
        if number >= study.trials or len(runs) < study.folds:
            continue
        failed = any(record.failure is not None for record in runs.values())
        score = (
            None if failed else math.fsum(r.scores["map_at_r"] for r in runs.values()) / len(runs)
        )
        trials[number] = Trial(runs[0].params, score)
    return trials


def next_runs(
    study: Study, dataset: str, loss: str, space: Space, records: Iterable[Record]
) -> list[Run]:
    """Every run that can start now and has no record; empty when nothing is left or all failed.

    They should start in this order: other repeats before other folds, folds before other trials of
    a batch, because repeats depend on nothing and a trial is worth most when it is whole.
    """
    records = list(records)
    done = {record.key: record for record in records}
    if loss == UNTRAINED:
        wanted = _final_runs(study, dataset, loss, 0, {}, done)
    else:
        trials = trials_of(study, records)
        if len(trials) < study.trials:
            wanted = _search_runs(study, dataset, loss, space, trials)
        else:
            winner = best(trials)
            if winner is None:
                return []
            params = trials[winner].params
            wanted = _final_runs(study, dataset, loss, winner, params, done)
    return [run for run in wanted if run.key not in done]


def _search_runs(
    study: Study, dataset: str, loss: str, space: Space, trials: Mapping[int, Trial]
) -> list[Run]:
    size = study.parallel_trials
    batch = next(
        start for start in range(0, study.trials, size) if not _whole(study, trials, start)
    )
    proposals = propose(
        space,
        [trials[number] for number in range(batch)],
        min(size, study.trials - batch),
        startup=study.startup_trials,
        seed=seed_from(study.name, dataset, "proposals", batch),
    )
    return [
        Run(
            study=study,
            dataset=dataset,
            loss=loss,
            stage="search",
            trial=batch + i,
            fold=fold,
            seed=seed_from(study.name, dataset, "search", batch + i, fold),
            params=params,
        )
        for i, params in enumerate(proposals)
        for fold in range(study.folds)
    ]


def _whole(study: Study, trials: Mapping[int, Trial], start: int) -> bool:
    stop = min(start + study.parallel_trials, study.trials)
    return all(number in trials for number in range(start, stop))


def fold_runs(ensemble: Run) -> list[Run]:
    """The runs whose models an ensemble joins, fold by fold."""
    return [
        replace(
            ensemble,
            stage="repeat",
            fold=fold,
            seed=seed_from(
                ensemble.study.name, ensemble.dataset, "repeat", ensemble.repeat or 0, fold
            ),
        )
        for fold in range(ensemble.study.folds)
    ]


def _final_runs(
    study: Study,
    dataset: str,
    loss: str,
    trial: int,
    params: Mapping[str, object],
    done: Mapping[str, Record],
) -> list[Run]:
    untrained = (0, 0) if loss == UNTRAINED else None

    def final(stage: Stage, repeat: int, epochs: tuple[int, int] | None) -> Run:
        seed = seed_from(study.name, dataset, stage, repeat)
        return Run(study, dataset, loss, stage, seed, params, trial, repeat, None, epochs)

    ensembles = [final("ensemble", repeat, untrained) for repeat in range(study.repeats)]
    folds = [run for ensemble in ensembles for run in fold_runs(ensemble)]
    runs = sorted(folds, key=lambda run: run.fold or 0)
    runs += [e for e in ensembles if all(run.key in done for run in fold_runs(e))]
    epochs = untrained
    if epochs is None and all(run.key in done for run in folds):
        epochs = complete_epochs(study, [done[run.key] for run in folds])
    if epochs is not None:
        runs += [final("complete", repeat, epochs) for repeat in range(study.repeats)]
    return runs


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


def progress(study: Study, loss: str, records: Iterable[Record]) -> Progress:
    """Runs done and planned by stage; records of other winners than the present one do not count.

    When every trial failed, or every repeat did, nothing more is planned.
    """
    records = list(records)
    trials = trials_of(study, records)
    winner = 0 if loss == UNTRAINED else best(trials)
    searching = loss != UNTRAINED
    planned = {"search": study.trials * study.folds} if searching else {}
    every_trial_failed = searching and len(trials) == study.trials and winner is None
    if not every_trial_failed:
        planned |= {
            "repeat": study.repeats * study.folds,
            "ensemble": study.repeats,
            "complete": study.repeats,
        }
    final = searching and len(trials) < study.trials
    counted = [
        record
        for record in records
        if (record.stage == "search" and record.trial < study.trials)
        or (record.stage != "search" and record.trial == winner and not final)
    ]
    done = {stage: sum(record.stage == stage for record in counted) for stage in planned}
    repeats = [record for record in counted if record.stage == "repeat"]
    if repeats and len(repeats) == planned.get("repeat") and all(r.failure for r in repeats):
        planned["complete"] = 0
    return Progress(
        done=done,
        planned=planned,
        best_trial=winner if searching else None,
        best_score=trials[winner].score if searching and winner is not None else None,
        failures=sum(record.failure is not None for record in counted),
    )
