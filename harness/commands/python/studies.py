"""A study from Python: searched, retrained and scored as the command `study` does it."""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from harness.commands import (
    engine_options,
    loss_settings,
    own_losses,
    shortfalls,
    study_choice,
    study_files,
)
from harness.commands import options as shared
from harness.commands import study as command
from harness.commands.python.results import Names, Results, load, names_of
from harness.commands.signals import StopSignals
from harness.records.folder import COUNTS
from harness.schema import Problem, Study


def run_study(
    study: str | Study,
    *,
    losses: Names = None,
    datasets: Names = None,
    results: str | Path = "results",
    data: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    retry_failed: bool = False,
    quiet: bool = False,
) -> Results:
    """Run a study, or carry on where it was, in worker processes on this machine; then load it.

    `study` is the name of a file in studies/, or a Study. The other values are those of the options
    of `python -m harness study`, with the same defaults. Ctrl-C once (or a notebook's interrupt)
    ends the runs in flight in order, twice at once; the same call carries on either way. Progress
    goes to standard error unless `quiet`. A Problem where the study cannot start or is not whole
    when it ends: `load` still reads what there is.
    """
    if multiprocessing.parent_process() is not None:
        raise Problem(
            "run_study starts worker processes, and was called in one: in a script put the call "
            "under `if __name__ == '__main__':`"
        )
    options = _options(
        loss=names_of(losses),
        dataset=names_of(datasets),
        results=Path(results).expanduser(),
        data=None if data is None else Path(data).expanduser(),
        device=device,
        workers=workers,
        retry_failed=retry_failed,
        quiet=quiet,
    )
    with own_losses.linked(options.loss or []) as accepted:
        choice = study_choice.of_options(_declared(study), options)
        if isinstance(study, Study):  # its own counts are asked for
            choice = replace(choice, counts_given=frozenset(COUNTS))
        _conduct(choice, options, accepted)
    return load(
        options.results,
        study=choice.study.name,
        datasets=choice.datasets,
        losses=None if losses is None else choice.losses,
    )


def _declared(study: object) -> Study:
    """The study of a name, or the one that is given, checked as that of a file is."""
    if isinstance(study, str):
        return study_files.load_study(study)
    if not isinstance(study, Study):
        raise Problem(
            f"study is a {type(study).__name__}; give the name of a file in studies/, or a "
            "harness.Study"
        )
    loss_settings.check(study)
    return study


def _options(**values: object) -> argparse.Namespace:
    """The options of the command `study` with these values in place of its defaults."""
    workers = values["workers"]
    if workers is not None and (not isinstance(workers, int) or workers < 1):
        raise Problem(f"workers = {workers!r}; a whole number of 1 or more is needed")
    parser = argparse.ArgumentParser()
    command.add_options(parser)
    options = parser.parse_args([])
    for name, value in values.items():
        if value is not None:
            setattr(options, name, value)
    return options


def _conduct(
    choice: study_choice.Choice, options: argparse.Namespace, accepted: own_losses.Accepted
) -> None:
    """Run what is left of the choice; KeyboardInterrupt where it was stopped before its end."""
    from rich.console import Console

    from harness.commands.watch import Watch
    from harness.engines import conductor
    from harness.engines.execute import Places
    from harness.records import folder

    device = shared.device_named(options.device)
    engine_options.check(options)
    folder.create(options.results)
    places = Places(options.results.resolve(), options.data.resolve(), device, options.threads)
    console = Console(stderr=True)
    with (
        contextlib.ExitStack() as engines,
        Watch(console, places.results, quiet=options.quiet, as_json=False) as watch,
    ):
        jobs = command.prepare(choice, options, places, watch)
        engine = engine_options.open_engine(options, places)
        engines.callback(engine.close)
        accepted(watch.say)
        with _stop_requests() as stopping:
            complete = conductor.conduct(jobs, engine, watch, stopping=stopping)
        if not complete:
            raise KeyboardInterrupt("stopped; the same call carries on where it was")
    shortfalls.check(jobs)


@contextlib.contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Whether the study should stop: after Ctrl-C, which only the main thread can receive."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    with StopSignals() as signals:
        yield signals.received
