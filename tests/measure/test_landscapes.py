"""The loss of one image over its places: against the loss files, closed forms and a dense scan."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

from harness.measure import landscapes
from harness.measure.distance_functions import from_slopes, power, random_function, warp
from harness.measure.landscapes import Landscape, Valley
from losses import euclidean_softmax, warped

PLAIN = power(1)
PROXY, OTHER = np.array([1.0, 0.0]), np.array([[-1.0, 0.0]])
SEEDS = st.integers(0, 2**32 - 1)


def loss_of(loss, proxies, points) -> torch.Tensor:
    """What a loss file says of each point alone, its proxies set to the given ones."""
    loss.double()
    with torch.no_grad():
        loss.proxies.copy_(torch.from_numpy(proxies))
    label = torch.zeros(1, dtype=torch.int64)
    return torch.stack([loss(point[None], label) for point in points])


@given(SEEDS, st.integers(2, 8), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_the_plain_landscape_is_the_loss_file_s_euclidean_softmax(seed, dim, n_others):
    rng = np.random.default_rng(seed)
    proxies, points = rng.normal(size=(n_others + 1, dim)), rng.normal(0, 3, size=(4, dim))
    landscape = Landscape(proxies[0], proxies[1:], PLAIN, PLAIN, temperature=2.5)
    loss = euclidean_softmax.Loss(n_classes=n_others + 1, dim=dim, temperature=2.5)
    with torch.no_grad():
        expected = loss_of(loss, proxies, torch.from_numpy(points)).numpy()
    np.testing.assert_allclose(landscape.loss(points), expected, rtol=1e-9)


@given(SEEDS, st.integers(2, 8))
@settings(max_examples=60, deadline=None)
def test_the_warped_loss_file_draws_an_embedding_in_the_landscape_s_direction(seed, dim):
    """Its stopped term changes the value: with two proxies only the length of the gradient."""
    rng = np.random.default_rng(seed)
    proxies, points = rng.normal(size=(2, dim)), rng.normal(0, 3, size=(6, dim))
    landscape = Landscape(proxies[0], proxies[1:], warp(1.5, 0.5, 1.5), PLAIN, temperature=2.0)
    loss = warped.Loss(n_classes=2, dim=dim, temperature=2.0, alpha=1.5, k1=0.5, k2=1.5)
    leaves = torch.from_numpy(points).requires_grad_()
    loss_of(loss, proxies, leaves).sum().backward()
    ours, theirs = landscape.gradient(points), leaves.grad.numpy()
    lengths = np.linalg.norm(theirs, axis=1) / np.linalg.norm(ours, axis=1)
    assert np.all(lengths > 0)
    np.testing.assert_allclose(theirs, lengths[:, None] * ours, rtol=1e-6, atol=1e-12)


@given(SEEDS, st.integers(2, 6), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_the_gradient_is_that_of_the_height(seed, dim, n_others):
    rng = np.random.default_rng(seed)
    f1, f2 = (random_function(rng, furthest=10) for _ in range(2))
    proxies, point = rng.normal(size=(n_others + 1, dim)), rng.normal(0, 3, dim)
    landscape = Landscape(proxies[0], proxies[1:], f1, f2, temperature=1.7)
    differences = approx_fprime(point, lambda x: float(landscape.height(x)), 1e-7)
    np.testing.assert_allclose(landscape.gradient(point), differences, rtol=1e-4, atol=1e-4)


@given(SEEDS)
@settings(max_examples=100, deadline=None)
def test_a_function_from_slopes_is_the_integral_of_its_derivative(seed):
    """By trapezoids, which are exact where the knots, near or far apart, are among the points."""
    rng = np.random.default_rng(seed)
    knots = np.concatenate([[0.0], np.sort(rng.uniform(0, 10, 11))])
    f = from_slopes("f", knots, rng.normal(0, 3, 12))
    t = np.unique(np.concatenate([np.linspace(0, 15, 3001), knots]))
    slope = f.derivative(t)
    integral = np.concatenate([[0.0], np.cumsum((slope[1:] + slope[:-1]) / 2 * np.diff(t))])
    np.testing.assert_allclose(f.value(t), integral, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("f1", "f2", "expected"),
    [
        (PLAIN, PLAIN, Valley(0, math.inf)),
        (power(2), power(2), Valley(math.inf, math.inf)),
        (power(0.5), power(0.5), Valley(0, 0)),
        (warp(3, 0.5, 1.5), PLAIN, Valley(3, 3)),
        (warp(3, 0.5, 1), PLAIN, Valley(3, math.inf)),
        (warp(math.inf, 0.5, 1.5), PLAIN, Valley(math.inf, math.inf)),
        (warp(3, 1, 1.5), PLAIN, Valley(0, 3)),
        (warp(0, 0.5, 1.5), PLAIN, Valley(0, 0)),
        # 2 t against the constant 6: closed form t = 3
        (power(2), from_slopes("6 t", np.array([0.0, 1.0]), np.array([6.0, 6.0])), Valley(3, 3)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_paper_s_functions_have_the_minima_of_their_closed_forms(f1, f2, expected):
    [valley] = landscapes.valleys(f1, f2, 2.0, furthest=20)
    assert (valley.start, valley.end) == pytest.approx((expected.start, expected.end), abs=1e-9)


def turns_upward(slopes1, slopes2, shift) -> list[float]:
    """Where f1'(t) - f2'(t + shift) turns upward, by hand: linear between whole numbers."""
    last = max(len(slopes1), len(slopes2))

    def difference(k):
        return slopes1[min(k, len(slopes1) - 1)] - slopes2[min(k + shift, len(slopes2) - 1)]

    turns = []
    for k in range(last):
        before, after = difference(k), difference(k + 1)
        if before < 0 < after:
            turns.append(k + before / (before - after))
    return turns


@given(SEEDS, st.integers(1, 5))
@settings(max_examples=500, deadline=None)
def test_the_order_of_the_derivatives_turns_where_it_does_by_hand(seed, distance):
    rng = np.random.default_rng(seed)
    slopes1, slopes2 = rng.lognormal(size=(2, 9))
    knots = np.arange(9.0)
    f1, f2 = (from_slopes("f", knots, slopes) for slopes in (slopes1, slopes2))
    found = landscapes.valleys(f1, f2, distance, furthest=12, steps=1200)
    expected = turns_upward(slopes1, slopes2, distance)
    assume(all(abs(turn - round(turn)) > 0.01 for turn in expected))  # else two lie in one step
    at_zero = slopes1[0] > slopes2[min(distance, 8)]  # uphill from the proxy on
    at_infinity = slopes1[-1] < slopes2[-1]
    assert (found[0] == Valley(0, 0)) == at_zero
    assert (found[-1] == Valley(math.inf, math.inf)) == at_infinity
    inside = [valley.end for valley in found if 0 < valley.end < math.inf]
    np.testing.assert_allclose(inside, expected, atol=1e-9)


@pytest.mark.parametrize(("k1", "at"), [(0.5, 2.0), (0.93, 0.0)])
def test_four_proxies_have_the_warp_s_minimum_on_the_diagonal_if_k1_is_small_enough(k1, at):
    corners = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    landscape = Landscape(corners[0], corners[1:], warp(2, k1, 1.15), PLAIN)
    starts = np.random.default_rng(0).normal(0, 3, (6, 2))
    result = landscapes.minima(landscape, starts, within=30)
    place = corners[0] * (1 + at / math.sqrt(2))
    np.testing.assert_allclose(result.places, [place], atol=1e-5)


def test_a_search_of_a_landscape_without_a_minimum_flees():
    landscape = Landscape(PROXY, OTHER, power(2), power(2))
    result = landscapes.minima(landscape, np.array([[0.3, 1.0], [3.0, -2.0]]), within=30)
    assert len(result.places) == 0
    assert result.fled == 2


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: power(0),
        lambda: warp(-1, 0.5, 1.5),
        lambda: warp(1, 0, 1.5),
        lambda: Landscape(PROXY, PROXY[None], PLAIN, PLAIN),
        lambda: Landscape(PROXY, np.zeros((1, 3)), PLAIN, PLAIN),
        lambda: Landscape(PROXY, np.zeros((0, 2)), PLAIN, PLAIN),
        lambda: landscapes.valleys(PLAIN, PLAIN, 0, furthest=1),
    ],
)
def test_what_is_no_landscape_is_refused(wrong):
    with pytest.raises(ValueError, match=r"."):
        wrong()
