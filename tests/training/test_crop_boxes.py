from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torchvision.transforms import RandomCrop, RandomResizedCrop

from harness.schema import Study
from harness.training import resized_crops, transforms

SIDES = st.integers(20, 700)


def torchvisions_box(
    size: tuple[int, int], scale: Any, ratio: Any, tries: Any, place: Any
) -> list[int]:
    """RandomResizedCrop.get_params with its draws taken from `tries` [10, 2] and `place` [2]."""
    uniform = iter(np.asarray(tries).ravel().tolist())
    where: Iterator[float] = iter(place)

    def uniform_(tensor: torch.Tensor, low: Any, high: Any) -> torch.Tensor:
        return tensor.fill_(float(low) + (float(high) - float(low)) * next(uniform))

    def randint(low: int, high: int, size: Any) -> torch.Tensor:
        assert (low, size) == (0, (1,))
        return torch.tensor([int(next(where) * high)])

    kept = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # so that rounding does not part the two
    try:
        with (
            mock.patch.object(torch.Tensor, "uniform_", uniform_),
            mock.patch.object(torch, "randint", randint),
        ):
            image = torch.empty(3, *size, dtype=torch.uint8)
            return list(RandomResizedCrop.get_params(image, list(scale), list(ratio)))
    finally:
        torch.set_default_dtype(kept)


@given(
    sizes=st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=6),
    scale=st.sampled_from([(0.08, 1.0), (0.16, 1.0), (0.9, 1.0), (0.01, 0.02), (1.0, 1.0)]),
    ratio=st.sampled_from([(0.75, 4 / 3), (0.75, 1.33), (1.0, 1.0), (0.5, 0.6), (1.5, 3.0)]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=150, deadline=None)
def test_the_same_draws_give_torchvisions_boxes(
    sizes: list[tuple[int, int]], scale: Any, ratio: Any, seed: int
) -> None:
    heights, widths = (np.array(side) for side in zip(*sizes, strict=True))
    boxes = resized_crops.crop_boxes(heights, widths, scale, ratio, np.random.default_rng(seed))
    draws = np.random.default_rng(seed)
    tries, place = draws.random((len(sizes), 10, 2)), draws.random((len(sizes), 2))
    for i, size in enumerate(sizes):
        assert boxes[i].tolist() == torchvisions_box(size, scale, ratio, tries[i], place[i])
    top, left, h, w = boxes.T
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] > 0).all()
    assert (top + h <= heights).all()
    assert (left + w <= widths).all()


def test_both_ways_out_of_ten_misfits_are_reached() -> None:
    """A share of 0.9 of a long picture never fits: the central crop of the extreme ratio."""
    sizes = np.array([[100, 1000], [1000, 100], [100, 100]])
    boxes = resized_crops.crop_boxes(
        sizes[:, 0], sizes[:, 1], (0.9, 1.0), (0.75, 4 / 3), np.random.default_rng(0)
    )
    assert boxes[0].tolist() == [0, 433, 100, 133]
    assert boxes[1].tolist() == [433, 0, 133, 100]
    assert boxes[2, 2:].min() >= 80


def test_boxes_are_distributed_as_torchvisions_own() -> None:
    n, scale, ratio = 3000, (0.16, 1.0), (0.75, 1.33)
    sizes = np.full(n, 256), np.full(n, 341)
    mine = resized_crops.crop_boxes(*sizes, scale, ratio, np.random.default_rng(1))
    torch.manual_seed(1)
    image = torch.empty(3, 256, 341, dtype=torch.uint8)
    theirs = np.array(
        [RandomResizedCrop.get_params(image, list(scale), list(ratio)) for _ in range(n)]
    )
    for column in range(4):
        assert stats.ks_2samp(mine[:, column], theirs[:, column]).pvalue > 1e-3
    area, their_area = (boxes[:, 2] * boxes[:, 3] for boxes in (mine, theirs))
    assert stats.ks_2samp(area, their_area).pvalue > 1e-3


def test_random_crops_reach_every_place_equally_often_and_mirror_half() -> None:
    """RandomCrop's law: top and left uniform over all places that fit."""
    images = np.arange(9, dtype=np.uint8).reshape(1, 3, 3, 1)
    study = Study(name="s", crop=2, train_crop="random_crop")
    index = np.zeros(8000, np.int64)
    batch = transforms.train_batch(
        images, index, study, np.random.default_rng(2), torch.device("cpu")
    )
    seen, counts = np.unique(batch.reshape(8000, 4).numpy(), axis=0, return_counts=True)
    expected = []
    for top, left, height, width in [(y, x, 2, 2) for y in range(2) for x in range(2)]:
        cut = images[0, top : top + height, left : left + width, 0]
        expected += [cut.ravel().tolist(), cut[:, ::-1].ravel().tolist()]
    assert sorted(seen.astype(int).tolist()) == sorted(expected)
    assert stats.chisquare(counts).pvalue > 1e-3
    torch.manual_seed(0)
    places = {RandomCrop.get_params(torch.empty(1, 3, 3), (2, 2))[:2] for _ in range(200)}
    assert places == {(y, x) for y in range(2) for x in range(2)}
