"""The conductor: plan -> engine -> record, until every run of the study has a record."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from harness.data import datasets, named_options
from harness.engines import diagnostics, moved
from harness.engines.jobs import Job, conclude, next_run
from harness.engines.time_limit import TimeLimit
from harness.protocol import search, splits, trials
from harness.records import code, folder, packed
from harness.records.begun import with_counts_begun
from harness.records.set_aside import set_aside
from harness.schema import BASELINES, UNTRAINED, Problem, Record, Run, Study
from harness.training import loss_files, network, search_space

POLL_SECONDS = 0.2  # between two looks at whether the study should stop


class Engine(Protocol):
    """Where runs execute: at most `slots` at a time, each to a future of its record."""

    @property
    def slots(self) -> int:
        """How many runs can be in flight."""

    def submit(self, run: Run) -> Future[Record]:
        """Start a run."""

    def stop(self) -> str:
        """End the runs in flight soon, so that every future ends; says what becomes of the runs.

        A run that ends early is Stopped or cancelled, and leaves no record.
        """

    def close(self) -> None:
        """End the runs in flight at once and free what the engine holds."""


@runtime_checkable
class Clock(Protocol):
    """What an engine also has if its runs end by a simulated clock."""

    def wait(self, futures: Collection[Future[Record]]) -> set[Future[Record]]:
        """Move the clock to the end of the next run; the futures that are done by then."""


# Receives an event and its values: ("line", text), ("jobs", jobs), ("started", run),
# ("record", job, record), ("waiting", runs), ("stopping", text).
Notify = Callable[..., None]


def prepare(
    study: Study,
    dataset_names: Sequence[str],
    losses: Sequence[str],
    *,
    results: Path,
    data_root: Path,
    notify: Notify,
    provenance: Mapping[str, Any] | None = None,
    fresh: bool = False,
    counts_given: Collection[str] = folder.COUNTS,
) -> list[Job]:
    """Check everything that can be checked before the first run; one job per dataset and loss.

    First what takes no time: can the losses' files and the weights be had? Then it loads each
    dataset (which builds its cache), builds the folds and the network once, and creates the study's
    results folder. A dataset that raises a Problem leaves no folder behind.
    `provenance` is what all records will say of where they were made, as far as that is known;
    `fresh` sets the records of the losses aside. Of folder.COUNTS those not in `counts_given` stay
    as a folder was begun.
    """
    for loss in losses:
        if loss not in BASELINES:
            loss_files.declared(study.base_of(loss))
    studies = {name: study.for_dataset(named_options.read(name).name) for name in dataset_names}
    for name, resolved in studies.items():
        if named_options.read(name).kind != "features" and (line := network.check(resolved)):
            notify("line", line)
    checked = [
        _checked(
            name,
            resolved,
            losses,
            results=results,
            data_root=data_root,
            notify=notify,
            fresh=fresh,
            counts_given=counts_given,
        )
        for name, resolved in studies.items()
    ]
    # only now is something changed: what is wrong with one dataset is found before
    return [job for one in checked for job in _admitted(one, notify, provenance or {}, fresh=fresh)]


@dataclass(frozen=True)
class _Checked:
    """A study on a dataset that was found to be right, with what its results folder will say."""

    study: Study
    dataset: str
    where: Path
    spaces: Mapping[str, search.Space]  # by loss
    description: Mapping[str, Any]
    lines: Sequence[str]  # about the counts that the folder was begun with


def _checked(
    dataset_name: str,
    study: Study,
    losses: Sequence[str],
    *,
    results: Path,
    data_root: Path,
    notify: Notify,
    fresh: bool,
    counts_given: Collection[str],
) -> _Checked:
    """One dataset, for which `study` has its own values, checked as `prepare` says."""
    dataset = datasets.load(dataset_name, data_root, study.resize, partial(notify, "line"))
    splits.check(dataset, study.halves, layout=study.fold_layout, folds=study.folds)
    diagnostics.check(study, dataset)
    study = study.on(dataset)
    channels = network.channels_of(dataset.images)
    network.build(study, study.dim, channels)
    spaces = _spaces(study, losses, channels)
    given_name = dataset_name
    dataset_name = moved.name_in_records(
        dataset_name,
        dataset.fingerprint,
        study.name,
        results=results,
        data_root=data_root,
        notify=notify,
    )
    if study.on_features and dataset_name != given_name:  # records may know features by their file
        study = study.on(datasets.load(dataset_name, data_root, study.resize))
    where = folder.folder_of(results, study.name, dataset_name)
    study, lines = with_counts_begun(where, study, given=counts_given, losses=losses)
    description = folder.describe(study, dataset_name, dataset.name, dataset.fingerprint)
    if not fresh:
        folder.check_admission(where, description)
    return _Checked(study, dataset_name, where, spaces, description, lines)


def _admitted(
    checked: _Checked, notify: Notify, provenance: Mapping[str, Any], *, fresh: bool
) -> list[Job]:
    """The jobs of a checked dataset, whose results folder is made ready for them."""
    study, where, description = checked.study, checked.where, checked.description
    folder.create(where)
    for line in checked.lines:
        notify("line", line)
    if fresh and (target := set_aside(where, list(checked.spaces), description)) is not None:
        notify("line", f"old records are set aside in {target}; carry on without --fresh")
    folder.admit(where, description)
    made_of = {
        "dataset": description["fingerprint"],
        "weights": network.weights_of(study),
        "trunk_code": code.trunk_code(study.trunk),
    }
    return [
        Job(
            study.for_loss(loss),
            checked.dataset,
            loss,
            space,
            where / f"{loss}.jsonl",
            provenance={**provenance, "loss_code": code.loss_code(study.base_of(loss)), **made_of},
        )
        for loss, space in checked.spaces.items()
    ]


def _spaces(study: Study, losses: Sequence[str], channels: int | None) -> dict[str, search.Space]:
    """What is searched of the untrained trunk and of each loss.

    Problem where a study without a search leaves something of a loss to be searched.
    """
    spaces: dict[str, search.Space] = {UNTRAINED: {}}
    for loss in losses:
        is_baseline = loss in BASELINES
        spaces[loss] = {} if is_baseline else search_space.of_loss(study, loss, channels)
        if spaces[loss] and not study.searches:
            raise Problem(
                f"study {study.name!r} has no search, and {', '.join(spaces[loss])} of {loss} "
                "would need one; fix learning rates in the study, parameters in loss_params or "
                "variants, or set followup = False for those of the second phase"
            )
    return spaces


def conduct(
    jobs: Sequence[Job],
    engine: Engine,
    notify: Notify,
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> bool:
    """Execute every run that the jobs' plans want, and append a record for each.

    Records on disk count as done. A free slot goes to the job with the fewest runs in flight (the
    first of several), and takes the first run of its plan. No slot stays free while a run could
    start. Once `stopping` is true no more runs start and those in flight are ended. Returns whether
    the jobs are finished.
    """
    wait_for_some = engine.wait if isinstance(engine, Clock) else _wait_for_some
    with contextlib.ExitStack() as locks:
        jobs = [job for job in jobs if _lock_and_load(job, locks, notify)]
        notify("jobs", jobs)
        limit = TimeLimit(jobs, engine, notify)
        in_flight: dict[Future[Record], tuple[Job, Run]] = {}
        stopped = False
        while True:
            if stopping() and not stopped:
                stopped = True
                notify("stopping", f"{engine.stop()}; asked once more, the study stops at once")
            waiting = any(job.attempts.waiting for job in jobs)  # before runs are looked for
            while not stopped and len(in_flight) < engine.slots:
                if (chosen := next_run(jobs, in_flight.values())) is None:
                    break
                job, run = chosen
                job.in_flight.add(run.key)
                notify("started", run)
                in_flight[engine.submit(run)] = chosen
            for job in jobs:
                job.check_writer()
            if not in_flight:
                if stopped or not waiting:
                    return not stopped
                time.sleep(POLL_SECONDS)
                continue
            limit.apply(in_flight)
            done = wait_for_some(in_flight.keys())
            if not done:
                notify("waiting", [run for _, run in in_flight.values()])
            for future in done:
                job, run = in_flight.pop(future)
                job.in_flight.discard(run.key)
                record = conclude(job, run, future, stopped=stopped, notify=notify)
                if record is not None:
                    limit.see(record)


def _wait_for_some(futures: Collection[Future[Record]]) -> set[Future[Record]]:
    """The futures that are done, as soon as there are any, or none after POLL_SECONDS."""
    if done := {future for future in futures if future.done()}:
        return done  # `wait` never returns one that was cancelled while it waited for its turn
    return wait(futures, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED).done


def _lock_and_load(job: Job, locks: contextlib.ExitStack, notify: Notify) -> bool:
    """Lock the job's file and read it; False if another study measures the untrained trunk."""
    try:
        job.is_held = locks.enter_context(folder.hold(job.path))
    except Problem as problem:
        if job.loss != UNTRAINED:
            raise
        notify("line", f"untrained trunk: left to the other study ({problem})")
        return False
    packed.unpack(job.path)
    torn = job.load()
    if torn is not None:
        notify("line", torn)
    if job.retries_failed:
        notify("line", job.set_failures_aside() or f"{job.loss}: no failures to retry")
        job.load()
    outside = trials.uninformative(job.study, job.records, job.space)
    if outside and job.loss != UNTRAINED:
        notify(
            "line",
            f"{job.loss}: trials of other ranges than today's inform no proposal: "
            f"{', '.join(outside)}",
        )
    return True
