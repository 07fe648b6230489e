"""What a user sees while a study runs, and how signals stop it."""

from __future__ import annotations

import io
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.commands import signals
from harness.commands.watch import Watch, progress_of
from harness.engines.jobs import Job
from harness.records import folder
from harness.schema import Run
from tests.made import SPACE, STUDY, done

FIRST_RUN = Run(
    study=STUDY,
    dataset="glyphs",
    loss="made",
    stage="search",
    seed=1,
    params={"x": 0.5},
    trial=0,
    fold=0,
)
RECORD = done(FIRST_RUN)
FAILED = replace(RECORD, failure="Diverged: the loss became nan", scores={})


def shown(tmp_path: Path, *events, terminal: bool = False, **options: bool) -> str:
    """What a watch prints on events; `options` are those of Watch."""
    text = io.StringIO()
    console = Console(file=text, width=200, force_terminal=terminal)
    with Watch(console, tmp_path, **{"quiet": False, "as_json": False, **options}) as watch:
        for event in events:
            watch(*event)
    return text.getvalue()


def job(*records) -> Job:
    return Job(STUDY, "glyphs", "made", SPACE, Path("made.jsonl"), records=list(records))


def test_plain_lines_say_how_far_a_loss_is_and_what_failed(tmp_path):
    watched = job(RECORD)
    text = shown(tmp_path, ("jobs", [watched]), ("line", "ready"), ("record", watched, RECORD))
    first, second = text.splitlines()
    assert first == "ready"
    assert "glyphs made: search 1/20, " in second
    assert second.endswith(" left")
    assert "made search-t0-f0: Diverged: the loss became nan\n" in shown(
        tmp_path, ("record", job(FAILED), FAILED)
    )


def test_quiet_shows_only_that_the_study_stops(tmp_path):
    events = [("line", "ready"), ("record", job(FAILED), FAILED), ("stopping", "stopping: wait")]
    assert shown(tmp_path, *events, quiet=True) == "stopping: wait\n"


def test_a_terminal_shows_the_runs_in_flight_with_their_epochs(tmp_path):
    events = [("jobs", [job()]), ("waiting", [FIRST_RUN])]
    assert progress_of(tmp_path, FIRST_RUN) is None
    assert "made trial 0 fold 0: starting" in shown(tmp_path, *events, terminal=True)
    path = folder.progress_path(tmp_path, FIRST_RUN)
    path.parent.mkdir(parents=True)
    path.write_text('{"phase": "normal", "epoch": 2, "of": 9, "map_at_r": 0.25}')
    text = shown(tmp_path, *events, terminal=True)
    assert "made trial 0 fold 0: normal epoch 2/9, held-out MAP@R 25.00 %" in text
    assert "0 of 1 rows finished" in text


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_is_noted_and_the_second_interrupts(number, code):
    before = signal.getsignal(number)
    with signals.StopSignals() as stop_signals:
        assert not stop_signals.received()
        signal.raise_signal(number)
        assert stop_signals.received()
        assert stop_signals.exit_code == code
        with pytest.raises(KeyboardInterrupt) as interrupt:
            signal.raise_signal(number)
        assert interrupt.value.args == (code,)
    assert signal.getsignal(number) == before


def test_an_orderly_stop_after_sigterm_ends_after_its_time(monkeypatch):
    monkeypatch.setattr(signals, "SECONDS_AFTER_SIGTERM", -1.0)
    with signals.StopSignals() as stop_signals:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            stop_signals.received()
