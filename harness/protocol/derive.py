"""What a record must say, derived from the study and the earlier records: no training, no clock.

Seeds are hashes of names, params are proposals or the winner's, the epochs of Complete follow from
the fold models. So only the outcome of a run is its own, and everything else can be computed again.
A record that says anything else does not derive: it was made by another study or code, or by hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.protocol import plan
from harness.protocol.contradictions import contradictions
from harness.protocol.search import Space
from harness.protocol.trials import trial_runs, trials_of, winner_of
from harness.schema import TRIAL_STAGES, Problem, Record, Run, Study

# Params pass through exp and log, whose last digits may differ between machines.
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Origin:
    """What every record of a file belongs to, as study.json and the file's name say."""

    study: Study
    dataset: str  # the name on the command line
    loss: str
    fingerprint: str  # of the dataset


def misfits(origin: Origin, records: Sequence[Record]) -> dict[int, str]:
    """Position -> what of the record does not derive, as far as can be told without proposals.

    That is: its address, study, dataset, key, seed, scores by class; the params of a trial's folds
    (equal) and of final runs (the winner's); the epochs of Complete. Final runs of another trial
    than the present winner are in no number and are left alone.
    """
    strangers = _strangers(origin, records)
    reasons = contradictions(origin.study, origin.fingerprint, records, strict=False) | strangers
    for search_repeat in range(max(origin.study.search_repeats, 1)):
        of_search = {
            place: record
            for place, record in enumerate(records)
            if record.search_repeat == search_repeat and place not in strangers
        }
        expected = _expected_runs(origin, list(of_search.values()), search_repeat)
        for place, record in of_search.items():
            run = expected.get(record.key)
            if run is not None:
                reason = _difference(run, record)
            elif record.stage in TRIAL_STAGES:
                reason = f"the study has no run {record.key}"
            else:
                reason = _unexpected_final_run(origin, record, of_search.values())
            if reason is not None:
                reasons.setdefault(place, reason)
    return dict(sorted(reasons.items()))


def underivable(origin: Origin, records: Sequence[Record], space: Space) -> dict[int, str]:
    """Position -> why the record does not derive, with every proposal made again in `space`.

    The records are replayed in their order: each must be a run that the plan had after those before
    it. A proposal depends on all earlier trials, so a forged trial makes later ones underivable as
    well: the first one is the cause. About 30 ms a batch of trials.
    """
    strangers = _strangers(origin, records)
    reasons = contradictions(origin.study, origin.fingerprint, records, strict=True) | strangers
    done: dict[int, dict[str, Record]] = {}
    known: dict[int, dict[str, Run]] = {}
    for place, record in enumerate(records):
        if place in strangers:
            continue
        earlier = done.setdefault(record.search_repeat, {})
        runs = known.setdefault(record.search_repeat, {})
        try:
            _extend(runs, origin, space, earlier, record)
        except Problem as problem:  # earlier trials do not fit the space
            reasons[place] = str(problem)
            continue
        if record.key not in runs:
            reasons[place] = f"the plan had no run {record.key} after the records before it"
            continue
        reason = _difference(runs[record.key], record)
        if reason is not None:
            reasons.setdefault(place, reason)
        earlier[record.key] = record
    return dict(sorted(reasons.items()))


def _extend(
    runs: dict[str, Run],
    origin: Origin,
    space: Space,
    earlier: Mapping[str, Record],
    record: Record,
) -> None:
    """Add to `runs` what can start after the earlier records, if the record's run is not there."""
    if record.key in runs:
        return
    for study in _plans(origin, earlier, record):
        startable = plan.startable_runs(
            study,
            origin.dataset,
            origin.loss,
            space=space,
            done=earlier,
            search_repeat=record.search_repeat,
        )
        runs.update({run.key: run for run in startable})
        if record.key in runs:
            return


def _strangers(origin: Origin, records: Sequence[Record]) -> dict[int, str]:
    """Records that belong to another file, and those of a run that is recorded before them."""
    reasons: dict[int, str] = {}
    first: dict[str, int] = {}
    home = (origin.study.name, origin.dataset, origin.loss)
    for place, record in enumerate(records):
        address = (record.study, record.dataset, record.loss)
        if address != home:
            reasons[place] = (
                f"it says {'/'.join(address)}, and lies in the file of {'/'.join(home)}"
            )
        elif not 0 <= record.search_repeat < origin.study.search_repeats:
            searches = origin.study.search_repeats
            reasons[place] = f"it is of search {record.search_repeat} of {searches}"
        elif first.setdefault(record.key, place) != place:
            reasons[place] = f"its run is already recorded on line {first[record.key] + 1}"
    return reasons


def _expected_runs(origin: Origin, records: Sequence[Record], search_repeat: int) -> dict[str, Run]:
    """The runs that the records of one search should be of, with the params of the first folds."""
    study, dataset, loss = origin.study, origin.dataset, origin.loss
    params: dict[tuple[str, int], Mapping[str, object]] = {}
    runs: list[Run] = []
    for record in records:
        trial = record.stage, record.trial
        if record.stage in TRIAL_STAGES and trial not in params:
            params[trial] = record.params
            if 0 <= record.trial < study.trials:
                runs += trial_runs(
                    study,
                    dataset,
                    loss,
                    number=record.trial,
                    params=record.params,
                    search_repeat=search_repeat,
                )
    done = {record.key: record for record in records}
    expected = {run.key: run for run in runs}
    # Complete runs may be of a time when the study had fewer repeats; most files have none such.
    for repeats in range(study.repeats, 1, -1):
        startable = plan.startable_runs(
            replace(study, repeats=repeats),
            dataset,
            loss,
            space={},  # proposals cost time, and final runs need none
            done=done,
            search_repeat=search_repeat,
        )
        final = {run.key: run for run in startable if run.stage not in TRIAL_STAGES}
        expected = final | expected
        if all(record.key in expected for record in records if record.stage == "complete"):
            break
    return expected


def _unexpected_final_run(origin: Origin, record: Record, records: Iterable[Record]) -> str | None:
    """Why the table may not count a final run that the present plan does not have, if it would."""
    winner = winner_of(
        origin.study,
        origin.loss,
        records,
        search_repeat=record.search_repeat,
    )
    if record.trial != winner:
        return None
    return f"the study has no run {record.key} with the winner, trial {winner}"


def _plans(origin: Origin, done: Mapping[str, Record], record: Record) -> Iterator[Study]:
    """The study, then what it was when it planned fewer trials or repeats than now."""
    study = origin.study
    yield study
    if record.stage in TRIAL_STAGES:
        return
    finished = len(trials_of(study, done.values(), search_repeat=record.search_repeat))
    trials = min(max(finished, 1), study.trials)
    if trials < study.trials:
        yield replace(study, trials=trials)
    folds = [run for run in done.values() if run.stage == "repeat"]
    repeats = {
        run.repeat
        for run in folds
        if run.repeat is not None
        and sum((other.trial, other.repeat) == (run.trial, run.repeat) for other in folds)
        == study.folds
    }
    if 2 <= len(repeats) < study.repeats:
        yield replace(study, trials=trials, repeats=len(repeats))


def _difference(run: Run, record: Record) -> str | None:
    """What a record says of its run that the plan does not, in words."""
    for name in ("stage", "trial", "repeat", "fold", "seed"):
        planned, recorded = getattr(run, name), getattr(record, name)
        if planned != recorded:
            return f"its {name} is {recorded}, the study gives {planned}"
    for name in {**run.params, **record.params}:
        planned, recorded = run.params.get(name), record.params.get(name)
        if not is_same(planned, recorded):
            origin = "proposal" if record.stage in TRIAL_STAGES else "winner"
            return f"its {name} is {recorded}, the {origin}'s {planned}"
    if run.epochs is not None and record.failure is None and record.epochs != run.epochs:
        return f"its epochs are {record.epochs}, the fold models give {run.epochs}"
    return None


def is_same(planned: object, recorded: object) -> bool:
    """Whether a param is the planned one, a number up to TOLERANCE."""
    if isinstance(planned, float) and isinstance(recorded, (int, float)):
        return math.isclose(planned, recorded, rel_tol=TOLERANCE)
    return planned == recorded and type(planned) is type(recorded)
