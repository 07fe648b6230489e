"""What the plan can tell of a record without training it: forged ones do not derive."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.protocol import derive, plan
from harness.protocol.trials import trials_of
from harness.schema import UNTRAINED, Record, Study
from tests.made import SPACE, STUDY, done, play

RACED = replace(STUDY, race=True, trials=8, parallel_trials=1)
SEARCHED_TWICE = replace(STUDY, search_repeats=2)


def origin(study: Study = STUDY, loss: str = "made") -> derive.Origin:
    return derive.Origin(study, "made", loss, "f00d")


def played(study: Study = STUDY, loss: str = "made", order=lambda runs: runs[0], **more):
    """A study's records with the provenance that real ones have, and scores by class."""
    made_by = {"study": study.digest(), "dataset": "f00d"}
    records = play(order, study, loss, **more)
    return [replace(record, provenance=made_by) for record in records]


def reasons(records: list[Record], study: Study = STUDY, loss: str = "made"):
    """What misfits and underivable say."""
    return (
        derive.misfits(origin(study, loss), records),
        derive.underivable(origin(study, loss), records, {} if loss == UNTRAINED else SPACE),
    )


@pytest.fixture(scope="module")
def records():
    return played()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**16), st.sampled_from([STUDY, RACED, SEARCHED_TWICE]))
def test_every_record_of_an_honest_study_derives_in_whatever_order_its_runs_end(seed, study):
    honest = played(study, order=random.Random(seed).choice)
    assert reasons(honest, study) == ({}, {})


def test_every_record_of_the_untrained_trunk_derives():
    assert reasons(played(loss=UNTRAINED), loss=UNTRAINED) == ({}, {})


def test_failures_derive(records):
    failing = played(failing=lambda run: run.trial == 1 or run.repeat == 2)
    assert any(record.failure for record in failing)
    assert reasons(failing) == ({}, {})


def test_the_records_of_a_study_that_grew_derive():
    """Final runs of the winner among fewer trials, Complete of fewer repeats, then more of both."""
    small = replace(STUDY, trials=2, repeats=2)
    grown: list[Record] = []
    for study in (small, replace(small, repeats=3), STUDY):
        while runs := plan.next_runs(study, "made", "made", space=SPACE, records=grown):
            grown.append(replace(done(runs[0]), epochs=runs[0].epochs or (7 + len(grown), 2)))
    assert len({record.trial for record in grown if record.stage == "repeat"}) == 2
    made_by = {"study": STUDY.digest(), "dataset": "f00d"}
    grown = [replace(record, provenance=made_by) for record in grown]
    assert reasons(grown) == ({}, {})


def forged(records: list[Record], stage: str, number: int = 0, **changes) -> tuple[int, list]:
    """The place of a record of a stage, and the records with it changed."""
    places = [place for place, record in enumerate(records) if record.stage == stage]
    place = places[number]
    changed = list(records)
    changed[place] = replace(changed[place], **changes)
    return place, changed


@pytest.mark.parametrize("stage", ["search", "repeat", "ensemble", "complete"])
@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("seed", 5, "its seed is 5, the study gives "),
        ("params", {"x": 0.123}, "its x is 0.123"),
        ("params", {}, "its x is None"),
        ("loss", "other", "it says tiny/made/other, and lies in the file of tiny/made/made"),
        ("study", "other", "it says other/made/made"),
        ("dataset", "other", "it says tiny/other/made"),
        ("provenance", {"study": "0" * 12, "dataset": "f00d"}, "another study"),
        ("provenance", {"study": STUDY.digest(), "dataset": "beef"}, "another dataset"),
        ("trial", 3, "its trial is 3, the study gives "),
        ("fold", 17, "its fold is 17"),
        ("key", "search-t9-f0", "no run search-t9-f0 "),
        ("search_repeat", 1, "search 1 of 1"),
    ],
)
def test_a_record_with_a_changed_field_does_not_derive(records, stage, field, value, word):
    place, changed = forged(records, stage, -1, **{field: value})
    cheap, full = reasons(changed)
    assert word in full[place]
    assert place in cheap


def test_the_epochs_of_complete_are_those_that_the_fold_models_give(records):
    place, changed = forged(records, "complete", epochs=(20, 2))
    for wrong in reasons(changed):
        assert wrong.keys() == {place}
        assert "its epochs are (20, 2), the fold models give" in wrong[place]
    key = records[place].key.rsplit("-", 1)[0] + "-e20+2"
    place, changed = forged(records, "complete", epochs=(20, 2), key=key)
    for wrong in reasons(changed):
        assert wrong.keys() == {place}
        assert f"no run {key}" in wrong[place]


def test_a_fold_model_with_other_epochs_makes_the_complete_runs_underivable(records):
    changed = [
        replace(record, epochs=(90, 9)) if record.stage == "repeat" else record
        for record in records
    ]
    complete = {place for place, record in enumerate(records) if record.stage == "complete"}
    for wrong in reasons(changed):
        assert wrong.keys() == complete


def test_a_final_run_of_another_trial_does_not_derive(records):
    trials = trials_of(STUDY, records)
    winner = next(record.trial for record in records if record.stage == "repeat")
    other = next(number for number in trials if number != winner)
    place, changed = forged(
        records,
        "repeat",
        trial=other,
        params=trials[other].params,
        key=next(r.key for r in records if r.stage == "repeat").replace(f"t{winner}", f"t{other}"),
    )
    assert place in derive.underivable(origin(), changed, SPACE)


def test_a_run_on_two_lines_is_named_with_its_first_line(records):
    for place in (0, 7, len(records) - 1):
        for wrong in reasons([*records, records[place]]):
            assert wrong == {len(records): f"its run is already recorded on line {place + 1}"}


def test_a_better_score_of_an_early_trial_makes_the_later_proposals_underivable(records):
    """The digest can be made anew, the proposals that followed cannot."""
    study = replace(STUDY, trials=8)
    honest = played(study)
    trials = trials_of(study, honest)
    worst = min(range(4), key=lambda number: trials[number].score or 0.0)
    changed = [
        replace(record, scores=dict.fromkeys(record.scores, 0.999))
        if (record.stage, record.trial) == ("search", worst)
        else record
        for record in honest
    ]
    wrong = derive.underivable(origin(study), changed, SPACE)
    assert wrong
    assert min(wrong) > max(p for p, r in enumerate(honest) if r.key.startswith(f"search-t{worst}"))


def test_a_record_that_stands_before_it_could_start_does_not_derive(records):
    complete = next(p for p, record in enumerate(records) if record.stage == "complete")
    early = [records[complete], *records[:complete], *records[complete + 1 :]]
    wrong = derive.underivable(origin(), early, SPACE)
    assert wrong.keys() == {0}
    assert "the plan had no run complete-" in wrong[0]


@pytest.mark.parametrize("name", ["map_at_r", "queries"])
def test_scores_by_class_add_up_to_the_scores(records, name):
    by_class = {"queries": [3.0, 5.0], "map_at_r": [1.5, 2.0]}
    scores = {**records[-1].scores, "map_at_r": 3.5 / 8, "queries": 8.0}
    records = [
        replace(r, scores=scores, by_class=by_class) if r.stage == "complete" else r
        for r in records
    ]
    _, honest = forged(records, "complete")
    assert reasons(honest) == ({}, {})
    altered = {**by_class, name: [by_class[name][0] + 0.5, by_class[name][1]]}
    place, changed = forged(records, "complete", scores=scores, by_class=altered)
    for wrong in reasons(changed):
        assert wrong.keys() == {place}
        assert "sums by class give" in wrong[place]


def test_a_record_lacks_no_score_that_others_of_its_stage_have(records):
    place, changed = forged(records, "repeat", scores={"map_at_r": 0.5})
    for wrong in reasons(changed):
        assert wrong == {
            place: "it has no precision_at_1, r_precision, which others of its stage have"
        }


def test_a_held_out_score_is_one_of_its_curve(records):
    curve = [{"phase": "normal", "epoch": 1, "loss": 1.0, "map_at_r": 0.25}]
    place, changed = forged(records, "search", -1, curve=curve)
    assert "no evaluation of its curve" in derive.underivable(origin(), changed, SPACE)[place]


def test_a_run_that_was_given_up_has_no_provenance_and_derives(records):
    given_up = {"failure": "its worker died", "scores": {}, "provenance": {}, "epochs": (0, 0)}
    place, changed = forged(records, "complete", -1, **given_up)
    assert derive.underivable(origin(), changed, SPACE) == {}
    place, changed = forged(records, "complete", -1, provenance={})
    assert "another study" in derive.underivable(origin(), changed, SPACE)[place]


@given(st.floats(1e-9, 1e9), st.floats(-1e-3, 1e-3))
def test_numbers_that_differ_in_their_last_digits_are_the_same_params(value, relative):
    same = derive.is_same(value, value * (1 + relative))
    assert same or abs(relative) > 0.9e-6
    assert not same or abs(relative) < 1.1e-6
