"""losses/README.md sends readers to losses that exist."""

from __future__ import annotations

import re

from tests.losses.contract import FOLDER, NAMES


def test_every_loss_that_the_readme_names_is_a_file() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z0-9_]+)`", text)) - {"untrained"}
    assert len(named) > 10
    assert named <= set(NAMES)
