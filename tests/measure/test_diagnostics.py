"""Diagnostics by name: each is what its own file measures, in its range, finite or left out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.measure import clustering, diagnostics, geometry
from harness.measure.scores import neighbour_lists, sums_by_class
from harness.schema import DIAGNOSTICS, SEEN

NAMES = [name for name in DIAGNOSTICS if name not in diagnostics.OF_TRAINING]


def embedded(seed: int = 0, classes: int = 20, per_class: int = 4, dim: int = 6):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    rows = rng.normal(size=(classes, dim))[labels] + 0.5 * rng.normal(size=(len(labels), dim))
    return torch.from_numpy(rows.astype(np.float32)), torch.from_numpy(labels)


def test_every_name_gives_what_its_own_file_measures():
    rows, labels = embedded()
    values = diagnostics.diagnostics(DIAGNOSTICS, rows, labels, seed=5)
    assert set(values) == set(NAMES)
    agreement = clustering.agreement(rows.numpy(), labels.numpy(), seed=5)
    assert (values["nmi"], values["ami"], values["f1"]) == pytest.approx(tuple(agreement))
    purity = clustering.overclustering_purity(rows.numpy(), labels.numpy(), seed=5)
    assert values["overclustering"] == pytest.approx(purity)
    unit = rows.double() / rows.double().norm(dim=1, keepdim=True)
    assert values["uniformity"] == pytest.approx(geometry.uniformity(unit))
    assert values["alignment"] == pytest.approx(geometry.alignment(unit, labels))
    assert values["spectral_decay"] == pytest.approx(geometry.spectral_decay(rows))
    assert values["density_ratio"] == pytest.approx(geometry.density_ratio(rows, labels))
    assert values["class_size_spread"] == pytest.approx(
        geometry.spread_of_class_sizes(rows, labels)
    )
    assert values["d_prime"] == pytest.approx(geometry.decidability_of_pairs(rows, labels))
    assert 0.5 < values["verification_accuracy"] <= 1


def test_only_what_is_named_is_computed(monkeypatch):
    monkeypatch.setattr(clustering, "clusters", lambda *_, **__: pytest.fail("k-means was run"))
    assert set(diagnostics.diagnostics(["uniformity"], *embedded(), seed=0)) == {"uniformity"}


@pytest.mark.slow
@given(st.integers(0, 1000), st.floats(1e-3, 1e3))
@settings(max_examples=25, deadline=None)
def test_values_lie_in_the_ranges_that_records_are_checked_against(seed, scale):
    rows, labels = embedded(seed)
    names = [name for name in NAMES if name not in diagnostics.BY_CLUSTERS]
    for name, value in diagnostics.diagnostics(names, scale * rows, labels, seed=seed).items():
        assert DIAGNOSTICS[name].low <= value <= DIAGNOSTICS[name].high, name
        assert math.isfinite(value)


def test_equal_rows_have_what_is_defined_of_them_and_nothing_else():
    _, labels = embedded()
    names = [name for name in NAMES if name not in diagnostics.BY_CLUSTERS]
    values = diagnostics.diagnostics(names, torch.ones(len(labels), 3), labels, seed=0)
    assert values["uniformity"] == values["alignment"] == 0
    assert not {"density_ratio", "class_size_spread", "d_prime"} & set(values)
    assert all(map(math.isfinite, values.values()))


def test_the_verification_pairs_are_the_same_for_every_model():
    rows, labels = embedded()
    names = ["verification_accuracy"]
    first = diagnostics.diagnostics(names, rows, labels, seed=0)
    assert first == diagnostics.diagnostics(names, 3 * rows, labels, seed=1)


def test_verification_on_too_few_classes_is_refused_beforehand():
    labels = np.repeat(np.arange(19), 3)
    assert "20 test classes of two images or more, there are 19" in str(
        diagnostics.undefined(["verification_accuracy"], labels)
    )
    assert diagnostics.undefined(["uniformity"], labels) is None
    assert diagnostics.undefined(["verification_accuracy"], np.repeat(np.arange(20), 2)) is None


@pytest.mark.parametrize("value", [1 + 1e-12, -1e-12])
def test_rounding_beyond_a_range_is_taken_off_and_more_is_an_error(value):
    assert diagnostics.within("nmi", value) in (0, 1)
    with pytest.raises(ValueError, match="outside of"):
        diagnostics.within("nmi", 1.1)


def test_map_at_r_by_third_is_that_of_its_queries_among_all_embeddings():
    rows, labels = embedded()
    third = torch.arange(int(labels.max()) + 1) % 3
    values = diagnostics.of_seen(rows, labels, third)
    by_class = sums_by_class(neighbour_lists(rows, labels))
    for number, name in enumerate(SEEN):
        mine = [c for c in range(int(labels.max()) + 1) if third[c] == number]
        hits = sum(by_class["map_at_r"][c] for c in mine)
        assert values[name] == pytest.approx(hits / sum(by_class["queries"][c] for c in mine))


def test_a_third_without_classes_has_no_value():
    rows, labels = embedded()
    values = diagnostics.of_seen(rows, labels, torch.zeros(int(labels.max()) + 1, dtype=torch.long))
    assert list(values) == [SEEN[0]]
