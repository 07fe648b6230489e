"""The page of `toy_embedding`: verdicts on planted embeddings."""

from __future__ import annotations

import numpy as np
import pytest

from harness.measure.clusters import Clusters
from harness.tables.demonstrations import toy_embedding
from harness.tables.demonstrations.toy_embedding import Toy


def planted(scale, spread, seed) -> Clusters:
    """Three classes at corners `scale` from the middle, each spread by `spread`."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), 20)
    angles = 2 * np.pi * np.arange(3) / 3 + rng.normal(0, 0.05, 3)
    proxies = scale * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Clusters(proxies[labels] + spread * rng.normal(size=(60, 2)), labels, proxies)


def toy_of(plain, warped, seeds=5) -> Toy:
    clusters = {
        "plain": [planted(*plain, seed) for seed in range(seeds)],
        "warped": [planted(*warped, seed) for seed in range(seeds)],
    }
    return Toy("made", clusters, epochs=7)


@pytest.mark.parametrize(
    ("plain", "warped", "verdict"),
    [
        ((5, 1.0), (8, 1.0), "agrees"),  # further apart, as tight
        ((5, 1.0), (8, 3.0), "disagrees"),  # further apart, but looser for it
        ((8, 1.0), (5, 0.3), "agrees"),  # nearer together, but tighter for it
        ((5, 1.0), (5, 6.0), "undecided"),  # looser, but not trained to overfit
        ((5, 6.0), (5, 1.0), "undecided"),
        ((5, 1.0), (5, 1.0), "undecided"),  # the same
        ((5, 1.0), (10, 2.0), "undecided"),  # nothing but scale
    ],
)
def test_the_verdict_is_of_compactness_relative_to_separation_in_overfitted_embeddings(
    plain, warped, verdict
):
    [statement] = toy_embedding.statements(toy_of(plain, warped))
    assert statement.verdict == verdict


def test_one_seed_decides_nothing():
    [statement] = toy_embedding.statements(toy_of((5, 1.0), (8, 1.0), seeds=1))
    assert statement.verdict == "undecided"


def test_the_page_has_a_row_a_variant_and_says_of_what(tmp_path):
    toy = toy_of((5, 1.0), (8, 1.0))
    page = toy_embedding.text(toy, "Code: abc.", "markdown")
    assert [line.split("|")[1].strip() for line in page.splitlines()[2:4]] == ["plain", "warped"]
    assert "60 training images of 3 classes of made, after 7 epochs" in page
    assert page.endswith("Code: abc.\n")
    data = toy_embedding.as_data(toy, "Code: abc.")
    assert data["rows"][0]["separation"] == toy.values["plain"]["separation"]
    toy_embedding.draw(toy, tmp_path / "toy.svg")
    assert (tmp_path / "toy.svg").read_text().startswith("<?xml")
