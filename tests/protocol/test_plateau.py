"""A run is capped exactly if its limit of epochs ended a phase, as slow twins of the loop say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.protocol import plan
from harness.protocol.plateau import chooses_epochs, is_capped
from harness.schema import POOL, UNTRAINED
from tests.made import SPACE, STUDY, done

RUN = plan.next_runs(STUDY, "made", "made", space=SPACE, records=[])[0]
SCORES = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5]), min_size=12, max_size=12)


def phase(name, scores, *, limit, every, patience):
    """The curve of a phase that may end at its evaluations, and whether the limit ended it."""
    curve, best, best_epoch = [], -1.0, 0
    for epoch in range(1, limit + 1):
        entry = {"phase": name, "epoch": epoch, "loss": 1.0}
        if epoch % every == 0 or epoch == limit:
            entry["map_at_r"] = scores[epoch - 1]
            if entry["map_at_r"] > best:
                best, best_epoch = entry["map_at_r"], epoch
        curve.append(entry)
        if epoch % every == 0 and epoch - best_epoch > patience:
            return curve, False
    return curve, limit > 0


@settings(deadline=None, max_examples=200)
@given(SCORES, SCORES, st.integers(1, 12), st.integers(0, 12), st.integers(1, 4), st.integers(0, 5))
def test_by_its_curve_a_run_is_capped_exactly_if_the_limit_ended_a_phase(
    normal_scores, followup_scores, limit, followup_limit, every, patience
):
    study = replace(
        STUDY,
        max_epochs=limit,
        followup_max_epochs=followup_limit,
        evaluate_every=every,
        patience=patience,
    )
    rule = {"every": every, "patience": patience}
    normal, normal_capped = phase("normal", normal_scores, limit=limit, **rule)
    followup, followup_capped = phase("followup", followup_scores, limit=followup_limit, **rule)
    record = done(RUN, curve=normal + followup)
    expected = normal_capped or followup_capped
    assert is_capped(record, study) == expected
    # A table reads records without their curves: they hold what their curve said.
    assert is_capped(replace(record, capped=expected, curve=[]), study) == expected


@settings(deadline=None, max_examples=200)
@given(SCORES, st.integers(1, 12), st.integers(1, 4), st.integers(0, 5))
def test_an_older_record_goes_by_the_epochs_behind_its_model(scores, limit, every, patience):
    """Older phases counted epochs since the best one, whether or not they were evaluated."""
    study = replace(
        STUDY,
        rules=1,
        max_epochs=limit,
        followup=False,
        evaluate_every=every,
        patience=patience,
    )
    epoch, best, best_epoch = 0, -1.0, 0
    while epoch < limit and epoch - best_epoch <= patience:
        epoch += 1
        if (epoch % every == 0 or epoch == limit) and scores[epoch - 1] > best:
            best, best_epoch = scores[epoch - 1], epoch
    plateaued = epoch - best_epoch > patience
    assert is_capped(done(RUN, epochs=(best_epoch, 0)), study) == (not plateaued)


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "complete"},
        {"stage": "ensemble"},
        {"loss": UNTRAINED},
        {"failure": "Diverged: made up"},
    ],
)
def test_a_run_that_chose_no_epochs_is_never_capped(changes):
    record = done(RUN, epochs=(STUDY.max_epochs, STUDY.followup_max_epochs))
    assert is_capped(record, STUDY)
    assert not chooses_epochs(replace(record, **changes))
    assert not is_capped(replace(record, **changes), STUDY)


def test_the_pool_of_optimism_trains_to_its_limit_and_is_never_capped():
    curve = [{"phase": "normal", "epoch": 1, "map_at_r": 0.1}]
    study = replace(STUDY, max_epochs=1, followup=False)
    assert is_capped(done(RUN, curve=curve), study)
    assert not is_capped(done(RUN, stage=POOL, curve=curve), study)
