"""Settings of claims and of studies, and what single settings are worth."""

from __future__ import annotations

from harness.audit.settings import (
    claim_settings,
    effect_in_words,
    effects_of_settings,
    study_settings,
    unequal_settings,
)
from harness.schema import Study
from tests.audit.builders import claim_of


def test_effects_come_from_pairs_that_differ_in_one_setting_only():
    claims = [
        claim_of(value=60.0, trunk="bn_inception", dim=64),
        claim_of(value=66.0, trunk="bn_inception", dim=512),
        claim_of(value=69.0, trunk="resnet50", dim=512),
        claim_of(value=99.0, trunk="resnet50(as grouped)", dim=64),
    ]
    effects = effects_of_settings(claims)
    points = {(e.setting, e.low, e.high): e.points for e in effects.values()}
    assert points == {("dim", "64", "512"): 6.0, ("trunk", "bn_inception", "resnet50"): 3.0}
    words = effect_in_words(effects, claims[0], "dim", before="512", after="64")
    assert words == "worth -6.0 (median of 1)"


def test_settings_that_a_paper_does_not_state_are_not_unequal():
    a, b = claim_of(trunk="resnet50", crop="227"), claim_of(crop="small_unspecified", dim=64)
    assert unequal_settings(claim_settings(a), claim_settings(b)) == {}


def test_an_epoch_picked_on_test_is_a_setting(facts):
    quoted = claim_of(method="hist", tuned_on="test", reported_by="quoted")
    re_run = claim_of(method="hist", tuned_on="test", reported_by="re-run")
    validated = claim_of(method="warped", tuned_on="val")
    epochs = [
        claim_settings(claim, facts).get("test_epoch") for claim in (quoted, re_run, validated)
    ]
    assert epochs == ["best test epoch kept", None, "not picked on test"]


def test_settings_of_a_study_are_in_the_words_of_the_claims(published):
    study = Study(name="s")
    ours = study_settings(study, "aggregate")
    claim = next(c for c in published if c.table == "VI" and c.category == "aggregate")
    claimed = claim_settings(claim)
    shared = set(ours) & set(claimed)
    assert {"trunk", "dim", "tuned_on", "pooling", "extra_components"} <= shared
    assert {name: ours[name] for name in shared} == {name: claimed[name] for name in shared}
    assert study_settings(study, "complete")["dim"] == "512"
