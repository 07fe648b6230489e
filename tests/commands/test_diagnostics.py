"""`study --diagnostics`: the names that it takes, what it refuses, and what the study then has."""

from __future__ import annotations

import argparse
from dataclasses import replace

from harness.commands import study as command
from harness.commands import study_choice
from harness.schema import DIAGNOSTICS
from tests.made import TINY, call


def options_of(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_options(parser)
    return parser.parse_args(words)


def test_the_help_of_study_lists_every_diagnostic():
    code, out, _ = call("study", "--help")
    assert code == 0
    words = set(out.replace(",", " ").replace("(", " ").split())
    assert set(DIAGNOSTICS) <= words


def test_an_unknown_diagnostic_is_one_line_with_the_closest_and_all_known(tmp_path):
    words = ["study", "--study", "demo", "--results", tmp_path, "--diagnostics", "nmi", "uniformty"]
    code, _, err = call(*words)
    assert (code, err.count("\n")) == (2, 1)
    assert "no diagnostic 'uniformty'; did you mean 'uniformity'? known: nmi, ami" in err
    assert not list(tmp_path.iterdir())


def test_diagnostics_hold_for_every_dataset_and_leave_the_digest_as_it_is():
    study = replace(TINY, per_dataset={"cub": {"diagnostics": ("ami",), "lr": 1e-3}})
    given = study_choice.with_changes(study, options_of("--diagnostics", "nmi", "d_prime", "nmi"))
    assert given.for_dataset("cub").diagnostics == ("nmi", "d_prime")
    assert given.for_dataset("cub").digest() == study.for_dataset("cub").digest()
    assert study_choice.with_changes(study, options_of()).for_dataset("cub").diagnostics == ("ami",)
