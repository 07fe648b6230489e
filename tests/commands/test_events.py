"""The events of `study --json`; tests/commands/test_cli.py has those of a whole study."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.commands.watch import Watch
from harness.files import CHECKOUT
from harness.records import folder
from harness.schema import Run
from tests.commands import event_page
from tests.made import HANGS, STUDY, done

ONE_RUN = Run(STUDY, "glyphs", "made", "search", 1, {"x": 0.5}, trial=0, fold=0)


def events_of(results: Path, *events: object) -> list[dict[str, object]]:
    text = io.StringIO()
    with Watch(Console(file=text), results, quiet=False, as_json=True) as watch:
        for event in events:
            watch(*event)
    return [json.loads(line) for line in text.getvalue().splitlines()]


def test_the_page_names_every_event_in_its_first_table_and_describes_each():
    assert (
        event_page.listed()
        == list(event_page.fields())
        == ["line", "started", "epoch", "finished", "table"]
    )


def test_a_line_and_a_stop_are_lines_of_json_too(tmp_path):
    events = events_of(tmp_path, ("line", "ready"), ("stopping", "stopping: wait"))
    assert [event["text"] for event in events] == ["ready", "stopping: wait"]
    event_page.check(events)


def test_an_epoch_is_printed_once_and_a_newer_one_again(tmp_path):
    path = folder.progress_path(tmp_path, ONE_RUN)
    path.parent.mkdir(parents=True)
    text = io.StringIO()
    with Watch(Console(file=text), tmp_path, quiet=True, as_json=True) as watch:
        watch("waiting", [ONE_RUN])
        for epoch in (1, 1, 2):
            progress = {"phase": "normal", "epoch": epoch, "loss": 0.5, "map_at_r": 0.25, "of": 9}
            path.write_text(json.dumps(progress))
            watch("waiting", [ONE_RUN])
    events = [json.loads(line) for line in text.getvalue().splitlines()]
    assert [event["epoch"] for event in events] == [1, 2]
    assert events[0]["values"] == {"loss": 0.5, "map_at_r": 0.25}
    event_page.check(events)


def test_a_failure_is_an_event_without_scores(tmp_path):
    failed = replace(done(ONE_RUN), failure="Diverged: the loss became nan", scores={})
    (event,) = events_of(tmp_path, ("record", None, failed))
    assert (event["event"], event["scores"]) == ("finished", {})
    assert event["failure"] == "Diverged: the loss became nan"
    event_page.check([event])


@pytest.mark.slow
def test_a_study_that_nobody_reads_any_more_says_that_it_stopped(tmp_path):
    words = ["study", "--study", "smoke", "--loss", "contrastive", "--dataset", "glyphs", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *words, "--results", str(tmp_path), "--workers", "1"],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().startswith("{")
    process.stdout.close()
    assert process.wait(HANGS) == 128 + 13
    assert "the same command carries on where it was" in process.stderr.read()
    process.stderr.close()
