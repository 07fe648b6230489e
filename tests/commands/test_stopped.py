"""What `study` says after a stop, by how far it was."""

from __future__ import annotations

from argparse import Namespace

import pytest

from harness.commands.study import _advice


@pytest.mark.parametrize(
    ("stage", "fresh", "words"),
    [
        ("checking", False, "the same command carries on where it was"),
        ("checking", True, "it had not begun anew; the same command, with --fresh, does"),
        ("prepared", False, "the same command carries on where it was"),
        ("prepared", True, "the same command without --fresh carries on where it was"),
        ("complete", True, "the study is complete, what --log still had to write is not"),
    ],
)
def test_the_advice_never_takes_old_records_for_new_ones(stage, fresh, words):
    assert _advice(Namespace(stage=stage, fresh=fresh)).startswith(words)
