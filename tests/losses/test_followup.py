"""The follow-up phase is searched alike for every loss: as ratios, in one of two ranges.

A loss may depart from it only where a paper gives follow-up values, or the domain forbids ratios.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution

from losses import _followup
from tests.losses.contract import batch_of, build, every_loss, module_of, value_of

DEPARTURES = {
    "warped": {"temperature", "alpha_ratio", "k1", "k2"},  # the paper gives follow-up values
    "magface": {"l_a_ratio", "u_a_over_l_a"},  # norms move little; above 1 by definition
}


@every_loss
def test_followup_values_are_ratios_in_one_of_the_two_common_ranges(name: str) -> None:
    module = module_of(name)
    departures = DEPARTURES.get(name, set())
    assert departures <= set(module.FOLLOWUP)
    for key, distribution in module.FOLLOWUP.items():
        if key not in departures:
            assert key.endswith("_ratio"), key
            assert distribution in (_followup.FACTOR, _followup.SHARE), key


@every_loss
def test_a_common_range_states_that_no_paper_gives_it_and_a_departure_states_where_it_is_from(
    name: str,
) -> None:
    module = module_of(name)
    for key, distribution in module.FOLLOWUP.items():
        common = _followup.SOURCE["factor" if distribution == _followup.FACTOR else "share"]
        assert (module.SOURCES[key] == common) == (key not in DEPARTURES.get(name, set())), key


def corners(module: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The params of both phases where every range is at its lowest or its highest end."""
    ends = []
    for normal_end, followup_end in itertools.product((0, -1), repeat=2):
        normal = {key: _end(spread, normal_end) for key, spread in module.SPACE.items()}
        followup = dict(normal)
        for key, spread in module.FOLLOWUP.items():
            value = _end(spread, followup_end)
            if key in normal:
                followup[key] = value
            else:
                parameter = key.removesuffix("_ratio")
                followup[parameter] = value * normal[parameter]
        ends.append((normal, followup))
    return ends


def _end(distribution: Any, end: int) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[end]
    return (distribution.low, distribution.high)[end]


@every_loss
def test_every_corner_of_the_followup_ranges_is_allowed_and_gives_a_finite_value(name: str) -> None:
    module = module_of(name)
    embeddings, labels = batch_of(module, "ordinary")
    for normal, followup in corners(module):
        first, second = build(module, **normal), build(module, **followup)
        second.load_state_dict(first.state_dict())
        assert math.isfinite(float(value_of(second, embeddings, labels).detach())), followup


def test_the_two_ranges_hold_the_published_ratios() -> None:
    """Those of the authors' configurations of warped: temperature and alpha on three datasets."""
    factor, share = _followup.FACTOR, _followup.SHARE
    temperatures = [1.0 / 4.525, 1.0 / 5.0, 1.0 / 3.7442]
    alphas = [24.68 / 28.4, 23.25 / 30.15, 5.842 / 13.025]
    assert all(factor.low <= ratio <= factor.high for ratio in temperatures)
    assert all(share.low <= ratio <= share.high for ratio in alphas)
    assert share == module_of("warped").FOLLOWUP["alpha_ratio"]
    assert factor.low * factor.high == pytest.approx(1.0)  # as far up as down
