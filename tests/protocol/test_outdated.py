"""After a study was given more repeats, Complete runs of the earlier plan count as none of its."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from harness.protocol import plan
from harness.protocol.final import outdated_complete
from harness.schema import Record, Run
from harness.tables import table
from harness.tables.failed import failed_repeats
from tests.made import SPACE, STUDY, done

TWO, FIVE = replace(STUDY, repeats=2), replace(STUDY, repeats=5)


def epochs_of(run: Run) -> tuple[int, int]:
    """Fold models of repeats 2 and later train longer, so that Complete does too."""
    return run.epochs or ((1, 1) if (run.repeat or 0) < 2 else (9, 1))


def played(new_complete: int, failing: int | None = None) -> list[Record]:
    """Two repeats to their end, then five, of which some Complete runs are done."""
    records: list[Record] = []
    for study, left in ((TWO, 99), (FIVE, new_complete)):
        while runs := plan.next_runs(study, "made", "made", space=SPACE, records=records):
            run = runs[0]
            if run.stage == "complete":
                if not left:
                    break
                left -= 1
            share = 0.5 if study is TWO else 0.2
            record = done(run, epochs=epochs_of(run))
            if run.repeat is not None:
                record = replace(record, scores=dict.fromkeys(table.METRICS, share))
            if study is FIVE and run.stage == "complete" and run.repeat == failing:
                record = replace(record, scores={}, failure="Diverged: made up")
            records.append(record)
    return records


@pytest.mark.parametrize("new_complete", range(6))
def test_only_complete_runs_of_the_present_plan_are_done_and_in_the_table(new_complete):
    records = played(new_complete)
    stages = Counter(record.stage for record in records)
    assert stages["complete"] == 2 + new_complete
    progress = plan.progress(FIVE, "made", records)
    assert progress.done["complete"] == new_complete
    assert progress.finished == (new_complete == 5)
    cells = table.table(FIVE, "made", {"made": records}).rows[0].cells
    assert cells["complete", "map_at_r"].scores == dict.fromkeys(range(new_complete), 0.2)


def test_a_run_of_the_earlier_plan_does_not_stand_in_for_one_that_failed():
    records = played(5, failing=1)
    assert failed_repeats(FIVE, "made", records) == {"complete": 1}
    cells = table.table(FIVE, "made", {"made": records}).rows[0].cells
    assert cells["complete", "map_at_r"].scores == dict.fromkeys([0, 2, 3, 4], 0.2)
    assert plan.progress(FIVE, "made", records).done["complete"] == 5


def test_while_fold_models_are_missing_the_earlier_runs_are_what_there_is():
    records = [record for record in played(0) if record.key != "repeat-t4-r4-f3"]
    (trial,) = {record.trial for record in records if record.stage == "complete"}
    missing = [r for r in records if r.key != f"repeat-t{trial}-r4-f3"]
    assert outdated_complete(FIVE, "made", missing, winner=trial) == frozenset()
    assert len(outdated_complete(FIVE, "made", played(0), winner=trial)) == 2
    assert outdated_complete(TWO, "made", played(0), winner=trial) == frozenset()
