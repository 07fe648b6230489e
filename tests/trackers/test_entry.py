from __future__ import annotations

import math
from dataclasses import replace

from harness.records import records
from harness.trackers.entry import entry_of
from harness.trackers.ledger import Ledger
from tests.trackers.entries import record


def test_steps_count_through_both_phases_and_hold_numbers_alone():
    steps = entry_of(record()).steps
    assert [step for step, _ in steps] == [1, 2, 3]
    assert steps[0][1] == {"curve/training_loss": 0.5, "curve/map_at_r": 0.25, "curve/followup": 0}
    assert steps[2][1] == {"curve/training_loss": 0.3, "curve/map_at_r": 0.5, "curve/followup": 1}


def test_scores_say_whether_they_are_of_held_out_or_of_test_classes():
    searched = record()
    final = replace(searched, stage="complete", diagnostics={"nmi": 0.25, "ami": math.nan})
    assert set(entry_of(searched).scores) == {f"held_out/{name}" for name in searched.scores}
    names = {*(f"test/{name}" for name in searched.scores), "diagnostics/nmi"}
    assert set(entry_of(final).scores) == names


def test_a_record_has_one_identifier_before_and_after_it_was_on_disk(tmp_path):
    fresh = replace(record(), digest=None)
    records.append(tmp_path / "made.jsonl", fresh)
    (read,) = records.read(tmp_path / "made.jsonl").records
    assert read.digest is not None
    assert entry_of(read).identifier == entry_of(fresh).identifier


def test_a_run_done_again_with_other_results_and_another_run_have_other_identifiers():
    identifier = entry_of(record()).identifier
    assert entry_of(record(fold=1)).identifier != identifier
    assert entry_of(replace(record(), scores={"map_at_r": 0.75})).identifier != identifier
    assert entry_of(replace(record(), failure="Diverged: x", scores={})).identifier != identifier


def test_a_ledger_knows_after_a_kill_what_was_written_and_passes_over_a_torn_line(tmp_path):
    path = tmp_path / "logs" / "written"
    Ledger(path).add("one")
    path.write_text(path.read_text() + "tw")
    ledger = Ledger(path)
    assert ledger.written == {"one"}
    ledger.add("two")
    assert Ledger(path).written >= {"one", "two"}
