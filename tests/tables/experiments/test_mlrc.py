"""The page of `mlrc` on planted scores: the comparison with the paper's findings below it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.tables.page import page_of
from tests.made import MADE, STUDY, play

PLANTED = replace(STUDY, name="mlrc", stages=("search", "repeat", "ensemble"), folds=2, repeats=5)
NOISE = (0.000, 0.004, -0.003, 0.002, -0.001)


def planted(loss: str, map_at_r: float, joined: float = 0.05, step: int = 0):
    """Folds with about `map_at_r`, Ensembles with `joined` more; noise in another order by step."""
    records = []
    for record in play(lambda runs: runs[0], PLANTED, loss):
        if record.repeat is not None:
            noise = NOISE[(record.repeat + step) % len(NOISE)]
            share = map_at_r + noise
            if record.stage == "ensemble":
                share += joined + 0.5 * NOISE[record.repeat]
            scores = dict.fromkeys(("map_at_r", "r_precision", "precision_at_1"), share)
            record = replace(record, scores=scores, provenance=MADE)
        records.append(record)
    return records


def page(by_loss, **joined):
    records = {
        loss: planted(loss, share, joined.get(loss, 0.05), step)
        for step, (loss, share) in enumerate(by_loss.items())
    }
    return page_of(PLANTED, "made", records, [])


def verdicts(by_loss, **joined):
    return [one["verdict"] for one in page(by_loss, **joined).data()["statements"]]


MARGINAL = {"contrastive": 0.50, "cosface": 0.52, "triplet": 0.45, "untrained": 0.2}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["agrees"] * 4),
        ({"cosface": 0.60}, ["disagrees", "agrees", "agrees", "agrees"]),
        ({"cosface": 0.56}, ["undecided", "agrees", "agrees", "agrees"]),  # at 1.12 times
        ({"triplet": 0.53}, ["agrees", "disagrees", "agrees", "agrees"]),
        ({"untrained": 0.47}, ["agrees", "agrees", "disagrees", "agrees"]),
    ],
)
def test_each_finding_is_judged_by_its_own_losses(changes, expected):
    assert verdicts(MARGINAL | changes) == expected


@pytest.mark.parametrize(("joined", "expected"), [(-0.05, "disagrees"), (0.0, "undecided")])
def test_one_loss_whose_joined_embeddings_are_not_better_is_named(joined, expected):
    last = page(MARGINAL, cosface=joined).data()["statements"][-1]
    assert last["verdict"] == expected
    assert "2 of 3 are" in last["here"]
    assert last["here"].endswith("but not cosface")


def test_the_page_is_the_comparison_with_the_findings_in_its_caption():
    made = page(MARGINAL)
    text = made.text("markdown")
    assert "Ensemble MAP@R" in text
    assert "Complete" not in text  # the study has no such runs
    assert "Of 4 findings of the paper: 4 agree." in text
    assert "the best other loss, cosface, has 1.04 times that of contrastive (52.04" in text
    assert "(Rule: by the 95 % t interval" in text
    assert made.comparison is not None
    assert next(iter(made.answer)) == "Of 4 findings of the paper: 4 agree."


def test_without_the_losses_of_a_finding_it_is_not_judged():
    assert len(page({"cosface": 0.5, "arcface": 0.5}).data()["statements"]) == 1
    lonely = page({"contrastive": 0.5})
    assert ["findings" in line for line in lonely.answer] == [True, False]
