"""Study and records to the runs that can start now: the whole scheduler, a pure function.

The search runs batches of `parallel_trials` trials, each of `folds` runs. The best trial is the one
with the highest mean held-out MAP@R. Its params go into repeats x folds at `dim`, with an ensemble
for every repeat. The epochs of these runs decide how long the Complete runs at `complete_dim`
train, which start last. The pool of the study `optimism` is trials and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.protocol import race
from harness.protocol.final import final_runs, outdated_complete
from harness.protocol.search import Space, Trial, best, fixed_params
from harness.protocol.trials import (
    fold_records,
    records_by_search,
    search_runs,
    trials_of,
    winner_among,
)
from harness.schema import BASELINES, TRIAL_STAGES, Record, Run, Stage, Study


@dataclass(frozen=True)
class Progress:
    """How far a study of one loss on one dataset is: runs done and planned by stage."""

    done: Mapping[str, int]
    planned: Mapping[str, int]
    best_trial: int | None
    best_score: float | None
    failures: int
    raced_out: int = 0  # trials
    folds_saved: int = 0

    @property
    def finished(self) -> bool:
        """Whether every planned run is done."""
        return all(self.done[stage] >= count for stage, count in self.planned.items())


def mark_raced_out(study: Study, record: Record, earlier: Iterable[Record]) -> Record:
    """The record, with `raced_out` in its provenance if its fold puts its trial out of a race."""
    if not study.race or record.stage != "search":
        return record
    folds = fold_records([*earlier, record], search_repeat=record.search_repeat)
    if not race.is_out(study, folds, record.trial):
        return record
    return replace(record, provenance={**record.provenance, "raced_out": True})


def next_runs(
    study: Study, dataset: str, loss: str, *, space: Space, records: Iterable[Record]
) -> list[Run]:
    """Every run that can start now and has no record; empty when all are done or all failed.

    They should start in this order. Other repeats come before other folds, because repeats depend
    on nothing. Other folds come before other trials of a batch, because only a trial with all of
    its folds has a score. The repeats of the whole search are independent of each other;
    baselines have a single one.
    """
    runs: list[Run] = []
    for search_repeat, search_records in enumerate(_searches(study, loss, records)):
        done = {record.key: record for record in search_records}
        startable = startable_runs(
            study, dataset, loss, space=space, done=done, search_repeat=search_repeat
        )
        runs += [run for run in startable if run.key not in done]
    return runs


def startable_runs(
    study: Study,
    dataset: str,
    loss: str,
    *,
    space: Space,
    done: Mapping[str, Record],
    search_repeat: int,
) -> list[Run]:
    """The runs of one repeat of the search that can start, with those already done."""
    if loss in BASELINES:
        if study.test_scored:
            return []
        return final_runs(
            study, dataset, loss, trial=0, params={}, done=done, search_repeat=search_repeat
        )
    if not study.searches:
        params = fixed_params(study, loss)
        return final_runs(
            study, dataset, loss, trial=0, params=params, done=done, search_repeat=search_repeat
        )
    trials = trials_of(study, done.values(), search_repeat=search_repeat)
    if len(trials) < study.trials:
        runs = search_runs(
            study, dataset, loss, space=space, trials=trials, search_repeat=search_repeat
        )
        return _next_folds(runs, trials, done) if study.race else runs
    winner = best(trials)
    if winner is None or study.test_scored:
        return []
    return final_runs(
        study,
        dataset,
        loss,
        trial=winner,
        params=trials[winner].params,
        done=done,
        search_repeat=search_repeat,
    )


def _searches(study: Study, loss: str, records: Iterable[Record]) -> list[list[Record]]:
    """The records of every repeat of a loss's search; baselines have one."""
    searches = records_by_search(study, records)
    return searches[:1] if loss in BASELINES else searches


def _next_folds(
    runs: Sequence[Run], trials: Mapping[int, Trial], done: Mapping[str, Record]
) -> list[Run]:
    """The next fold of each trial that is still in the race: its folds run one after another."""
    open_runs = [run for run in runs if run.key not in done and run.trial not in trials]
    first = {run.trial: run for run in reversed(open_runs)}
    return [run for run in open_runs if run is first[run.trial]]


def progress(study: Study, loss: str, records: Iterable[Record]) -> Progress:
    """Runs done and planned by stage; final runs of another winner than the present do not count.

    When every trial failed, or every repeat did, nothing more is planned. The best trial is that of
    the first search, chosen on held-out classes.
    """
    done: Counter[str] = Counter()
    planned: Counter[str] = Counter()
    failures, raced_out, folds_saved = 0, 0, 0
    best_trial, best_score = None, None
    for search_repeat, search_records in enumerate(_searches(study, loss, records)):
        trials = trials_of(study, search_records, search_repeat=search_repeat)
        if search_repeat == 0 and loss not in BASELINES:
            best_trial = best(trials)
            best_score = None if best_trial is None else trials[best_trial].score
        counts = _planned_counts(
            study, loss, search_records, trials=trials, search_repeat=search_repeat
        )
        n_out, n_saved = _raced_out(study, search_records, search_repeat)
        raced_out, folds_saved = raced_out + n_out, folds_saved + n_saved
        counted = _counted(study, loss, search_records, trials=trials, search_repeat=search_repeat)
        repeats = [record for record in counted if record.stage == "repeat"]
        if repeats and len(repeats) == counts.get("repeat") and all(r.failure for r in repeats):
            counts["complete"] = 0
        done_counts = Counter(record.stage for record in counted)
        for stage, count in counts.items():
            planned[stage] += count
            done[stage] += done_counts[stage]
        failures += sum(record.failure is not None for record in counted)
    return Progress(
        done=dict(done),
        planned=dict(planned),
        best_trial=best_trial,
        best_score=best_score,
        failures=failures,
        raced_out=raced_out,
        folds_saved=folds_saved,
    )


def _planned_counts(
    study: Study,
    loss: str,
    records: Sequence[Record],
    *,
    trials: Mapping[int, Trial],
    search_repeat: int,
) -> dict[Stage, int]:
    """How many runs of each stage one repeat of the search has."""
    counts: dict[Stage, int] = {}
    if loss not in BASELINES and study.searches:
        folds_saved = _raced_out(study, records, search_repeat)[1]
        counts[study.trial_stage] = study.trials * study.folds - folds_saved
        if len(trials) == study.trials and best(trials) is None:
            return counts
    if study.test_scored:
        return counts
    final: dict[Stage, int] = {
        "repeat": study.repeats * study.folds,
        "ensemble": study.repeats,
        "complete": study.repeats,
    }
    return counts | {stage: count for stage, count in final.items() if stage in study.stages}


def _raced_out(study: Study, records: Sequence[Record], search_repeat: int) -> tuple[int, int]:
    """How many trials of a search are out of its race, and how many folds that saves."""
    if not study.race:
        return 0, 0
    folds = fold_records(records, search_repeat=search_repeat)
    trials = trials_of(study, records, search_repeat=search_repeat)
    out = [number for number, trial in trials.items() if trial.raced_out]
    return len(out), sum(study.folds - len(folds[number]) for number in out)


def _counted(
    study: Study,
    loss: str,
    records: Sequence[Record],
    *,
    trials: Mapping[int, Trial],
    search_repeat: int,
) -> list[Record]:
    """The records of planned trials, and of final runs those that the plan has now."""
    winner = winner_among(study, loss, trials)
    outdated = outdated_complete(study, loss, records, winner=winner, search_repeat=search_repeat)
    return [
        record
        for record in records
        if (
            record.trial < study.trials
            if record.stage in TRIAL_STAGES
            else record.trial == winner and record.key not in outdated
        )
    ]
