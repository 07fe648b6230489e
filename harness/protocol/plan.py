"""Study and records to the runs that can start now: the whole scheduler, a pure function.

Search (batches of `parallel_trials` trials, each of `folds` runs) -> best trial by mean held-out
MAP@R -> repeats x folds at `dim`, an ensemble for every repeat, and Complete runs at `complete_dim`
once the repeats have told how many epochs those train.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.protocol import optimism, race
from harness.protocol.search import Space, Trial, best
from harness.protocol.trials import by_search, folds_of, named, search_runs
from harness.protocol.trials import complete_epochs as complete_epochs
from harness.protocol.trials import trials_of as trials_of
from harness.schema import STANDARD, TEST_TUNED, UNTRAINED, Record, Run, Stage, Study
from harness.seeds import seed_from


@dataclass(frozen=True)
class Progress:
    """How far a study of one loss on one dataset is: runs done and planned, by stage."""

    done: Mapping[str, int]
    planned: Mapping[str, int]
    best_trial: int | None
    best_score: float | None
    failures: int
    raced_out: int = 0  # trials
    folds_saved: int = 0

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return all(self.done[stage] >= count for stage, count in self.planned.items())


def marked(study: Study, record: Record, earlier: Iterable[Record]) -> Record:
    """The record as it is kept: the fold that puts its trial out of a race says so."""
    if not study.race or record.stage != "search":
        return record
    if not race.is_out(study, folds_of([*earlier, record], record.search_repeat), record.trial):
        return record
    return replace(record, provenance={**record.provenance, "raced_out": True})


def next_runs(
    study: Study, dataset: str, loss: str, space: Space, records: Iterable[Record]
) -> list[Run]:
    """Every run that can start now and has no record; empty when nothing is left or all failed.

    They should start in this order: other repeats before other folds, folds before other trials of
    a batch, because repeats depend on nothing and a trial is worth most when it is whole. The
    repeats of the whole search are independent of each other, and the untrained trunk has one.
    """
    told: list[Run] = []
    for number, own in enumerate(_searches(study, loss, records)):
        done = {record.key: record for record in own}
        if study.protocol == STANDARD:
            wanted = optimism.wanted_runs(study, dataset, loss, space, own, number)
        elif loss == UNTRAINED:
            wanted = _final_runs(study, dataset, loss, 0, {}, done, number)
        else:
            wanted = _wanted_runs(study, dataset, loss, space, done, number)
        told += [run for run in wanted if run.key not in done]
    return told


def _searches(study: Study, loss: str, records: Iterable[Record]) -> list[list[Record]]:
    """The records of every repeat of a loss's search; the untrained trunk has one."""
    searches = by_search(study, records)
    return searches[:1] if loss == UNTRAINED else searches


def _wanted_runs(
    study: Study,
    dataset: str,
    loss: str,
    space: Space,
    done: Mapping[str, Record],
    search_repeat: int,
) -> list[Run]:
    """The runs of one repeat of the search that can start, done ones included."""
    trials = trials_of(study, done.values(), search_repeat)
    if len(trials) < study.trials:
        runs = search_runs(study, dataset, loss, space, trials, search_repeat)
        return _next_folds(runs, trials, done) if study.race else runs
    winner = best(trials)
    if winner is None:
        return []
    params = trials[winner].params
    return _final_runs(study, dataset, loss, winner, params, done, search_repeat)


def _next_folds(
    wanted: Sequence[Run], trials: Mapping[int, Trial], done: Mapping[str, Record]
) -> list[Run]:
    """Of each trial that is still in the race its next fold: they run one after another."""
    left = [run for run in wanted if run.key not in done and run.trial not in trials]
    first = {run.trial: run for run in reversed(left)}
    return [run for run in left if run is first[run.trial]]


def fold_runs(ensemble: Run) -> list[Run]:
    """The runs whose models an ensemble joins, fold by fold."""
    return [
        replace(
            ensemble,
            stage="repeat",
            fold=fold,
            seed=seed_from(
                *named(ensemble.study, ensemble.dataset, ensemble.search_repeat),
                *("repeat", ensemble.repeat or 0, fold),
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
    search_repeat: int,
) -> list[Run]:
    untrained = (0, 0) if loss == UNTRAINED else None
    names = named(study, dataset, search_repeat)

    def final(stage: Stage, repeat: int, epochs: tuple[int, int] | None) -> Run:
        seed = seed_from(*names, stage, repeat)
        return Run(
            study, dataset, loss, stage, seed, params, trial, repeat, None, epochs, search_repeat
        )

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


def progress(study: Study, loss: str, records: Iterable[Record]) -> Progress:
    """Runs done and planned by stage; records of other winners than the present one do not count.

    When every trial failed, or every repeat did, nothing more is planned. The best trial is that of
    the first search, chosen on held-out classes.
    """
    done: Counter[str] = Counter()
    planned: Counter[str] = Counter()
    failures, raced_out, saved = 0, 0, 0
    winner, score = None, None
    for number, own in enumerate(_searches(study, loss, records)):
        trials = trials_of(study, own, number)
        if number == 0 and loss != UNTRAINED and (winner := best(trials)) is not None:
            score = trials[winner].score
        counts = _planned(study, loss, own, trials, number)
        out, spared = _spared(study, own, number)
        raced_out, saved = raced_out + out, saved + spared
        counted = _counted(study, loss, own, trials, number)
        there = Counter(record.stage for record in counted)
        repeats = [record for record in counted if record.stage == "repeat"]
        if repeats and len(repeats) == counts.get("repeat") and all(r.failure for r in repeats):
            counts["complete"] = 0
        for stage, count in counts.items():
            planned[stage] += count
            done[stage] += there[stage]
        failures += sum(record.failure is not None for record in counted)
    return Progress(
        done=dict(done),
        planned=dict(planned),
        best_trial=winner,
        best_score=score,
        failures=failures,
        raced_out=raced_out,
        folds_saved=saved,
    )


def _planned(
    study: Study,
    loss: str,
    records: Sequence[Record],
    trials: Mapping[int, Trial],
    search_repeat: int,
) -> dict[Stage, int]:
    """How many runs of each stage one repeat of the search has."""
    if study.protocol == STANDARD:
        return optimism.planned(study, loss, records, search_repeat)
    counts: dict[Stage, int] = {}
    if loss != UNTRAINED:
        counts["search"] = study.trials * study.folds - _spared(study, records, search_repeat)[1]
        if len(trials) == study.trials and best(trials) is None:
            return counts
    counts |= {"repeat": study.repeats * study.folds, "ensemble": study.repeats}
    return counts | {"complete": study.repeats}


def _spared(study: Study, records: Sequence[Record], search_repeat: int) -> tuple[int, int]:
    """How many trials of a search are out of its race, and how many folds that spares."""
    if not study.race:
        return 0, 0
    folds = folds_of(records, search_repeat)
    trials = trials_of(study, records, search_repeat)
    out = [number for number, trial in trials.items() if trial.raced_out]
    return len(out), sum(study.folds - len(folds[number]) for number in out)


def _counted(
    study: Study,
    loss: str,
    records: Sequence[Record],
    trials: Mapping[int, Trial],
    search_repeat: int,
) -> list[Record]:
    """The records of planned trials, and of final runs those of the present winner."""
    asked: dict[Stage, Stage] = {  # one search stands behind several stages
        record.stage: TEST_TUNED[1] if record.stage in TEST_TUNED else "complete"
        for record in records
        if record.stage not in optimism.BRANCHES
    }
    found = {
        stage: winner_of(study, loss, records, stage, search_repeat)
        if stage in TEST_TUNED
        else _winner(study, loss, trials)
        for stage in set(asked.values())
    }
    return [
        record
        for record in records
        if (
            record.trial < study.trials
            if record.stage in optimism.BRANCHES
            else record.trial == found[asked[record.stage]]
        )
    ]


def winner_of(
    study: Study,
    loss: str,
    records: Sequence[Record],
    stage: Stage = "complete",
    search_repeat: int = 0,
) -> int | None:
    """The trial behind the final runs of a stage; None while the search goes on or if all failed.

    The stages of the test-tuned branch go by that branch's own search, all others by held-out
    scores.
    """
    searching: Stage = TEST_TUNED[0] if stage in TEST_TUNED else "search"
    return _winner(study, loss, trials_of(study, records, search_repeat, searching))


def _winner(study: Study, loss: str, trials: Mapping[int, Trial]) -> int | None:
    if loss == UNTRAINED:
        return 0
    return best(trials) if len(trials) == study.trials else None
