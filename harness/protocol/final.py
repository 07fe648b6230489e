"""The runs after a search, with its winning params: fold models, ensembles and Complete runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from harness.protocol.trials import seed_prefix, winner_of
from harness.schema import BASELINES, TRIAL_STAGES, Record, Run, Stage, Study
from harness.seeds import seed_from


def fold_runs(ensemble: Run) -> list[Run]:
    """The runs whose models an ensemble joins, fold by fold."""
    names = seed_prefix(ensemble.study, ensemble.dataset, ensemble.search_repeat)
    return [
        replace(
            ensemble,
            stage="repeat",
            fold=fold,
            seed=seed_from(*names, "repeat", ensemble.repeat or 0, fold),
        )
        for fold in range(ensemble.study.folds)
    ]


def final_runs(
    study: Study,
    dataset: str,
    loss: str,
    *,
    trial: int,
    params: Mapping[str, object],
    done: Mapping[str, Record],
    search_repeat: int,
) -> list[Run]:
    """The runs with a search's winning params that can start, with those already done."""
    untrained = (0, 0) if loss in BASELINES else None
    names = seed_prefix(study, dataset, search_repeat)

    def final_run(stage: Stage, repeat: int, epochs: tuple[int, int] | None) -> Run:
        return Run(
            study=study,
            dataset=dataset,
            loss=loss,
            stage=stage,
            seed=seed_from(*names, stage, repeat),
            params=params,
            trial=trial,
            repeat=repeat,
            epochs=epochs,
            search_repeat=search_repeat,
        )

    ensembles = [final_run("ensemble", repeat, untrained) for repeat in range(study.repeats)]
    runs = []
    epochs = untrained
    if "repeat" in study.stages:
        folds = [run for ensemble in ensembles for run in fold_runs(ensemble)]
        runs += sorted(folds, key=lambda run: run.fold or 0)
        if epochs is None and all(run.key in done for run in folds):
            epochs = complete_epochs(study, [done[run.key] for run in folds])
    elif epochs is None:
        epochs = (study.max_epochs, study.followup_max_epochs if study.followup else 0)
    if "ensemble" in study.stages:
        runs += [e for e in ensembles if all(run.key in done for run in fold_runs(e))]
    if epochs is not None and "complete" in study.stages:
        runs += [final_run("complete", repeat, epochs) for repeat in range(study.repeats)]
    return runs


def final_records(
    study: Study, loss: str, records: Sequence[Record], *, search_repeat: int = 0
) -> list[Record]:
    """Of a search's best trial the records of final runs that the plan has now.

    Empty while the search runs or if all of its trials failed.
    """
    winner = winner_of(study, loss, records, search_repeat=search_repeat)
    if winner is None:
        return []
    outdated = outdated_complete(study, loss, records, winner=winner, search_repeat=search_repeat)
    return [
        record
        for record in records
        if record.stage not in TRIAL_STAGES
        and record.trial == winner
        and record.search_repeat == search_repeat
        and record.repeat is not None
        and record.repeat < study.repeats
        and record.key not in outdated
    ]


def outdated_complete(
    study: Study,
    loss: str,
    records: Iterable[Record],
    *,
    winner: int | None,
    search_repeat: int = 0,
) -> frozenset[str]:
    """Keys of the winner's Complete runs that trained for other epochs than the plan has now.

    They are of a plan with fewer repeats: more fold models have another mean of epochs, and all
    Complete runs are done again. None while fold models are missing, for then nobody knows.
    """
    if loss in BASELINES or "repeat" not in study.stages:
        return frozenset()
    folds: list[Record] = []
    complete: list[str] = []
    for record in records:
        if record.trial != winner or record.search_repeat != search_repeat:
            continue
        if record.stage == "repeat" and (record.repeat or 0) < study.repeats:
            folds.append(record)
        elif record.stage == "complete":
            complete.append(record.key)
    epochs = None
    if len(folds) == study.repeats * study.folds:
        epochs = complete_epochs(study, folds)
    if epochs is None:
        return frozenset()
    end = f"-e{epochs[0]}+{epochs[1]}"
    return frozenset(key for key in complete if not key.endswith(end))


def complete_epochs(study: Study, records: Iterable[Record]) -> tuple[int, int] | None:
    """Epochs (normal, followup) of the Complete runs; None if every run failed.

    `records` are those of the runs that stop early. The total and the follow-up epochs behind their
    models are averaged, and each average is rounded up to a multiple of `complete_epochs_multiple`.
    The normal phase has the rest of the total. Source: arXiv 2408.15656, D-B1. Where the rounding
    leaves no rest, so that all epochs would train at the lowered rates, the normal phase has its
    own average, rounded up in the same way; studies of the rules 1 trained at those rates alone.
    """
    epochs = [record.epochs for record in records if record.failure is None]
    if not epochs:
        return None
    multiple = study.complete_epochs_multiple

    def rounded(total: int) -> int:
        return -(-total // (len(epochs) * multiple)) * multiple

    total = rounded(sum(normal + followup for normal, followup in epochs))
    followup = rounded(sum(followup for _, followup in epochs))
    normal = total - followup
    if not normal and study.rules > 1:
        normal = rounded(sum(normal for normal, _ in epochs))
    return normal, followup
