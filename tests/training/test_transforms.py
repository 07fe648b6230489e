from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import CenterCrop, functional

from harness.schema import Ints, Problem, Study
from harness.training import resized_crops, transforms

CPU = torch.device("cpu")
Picture = npt.NDArray[np.uint8]


def a_study(**changes: Any) -> Study:
    base: dict[str, Any] = {"name": "s", "resize": 64, "crop": 56}
    return Study(**{**base, **changes})


def pictures(*sizes: tuple[int, int], channels: int = 3, seed: int = 0) -> list[Picture]:
    """Pictures with smooth parts, edges and noise, so that both filters and places show."""
    rng = np.random.default_rng(seed)
    out = []
    for h, w in sizes:
        slope = np.add.outer(np.arange(h) * 3, np.arange(w) * 2)[..., None] % 256
        noise = rng.integers(0, 256, (h, w, channels))
        out.append(np.where(rng.random((h, w, 1)) < 0.5, slope, noise).astype(np.uint8))
    return out


def as_tensor(picture: Picture) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)


RAGGED = [(64, 90), (64, 64), (130, 64), (64, 200), (64, 71)]


def a_batch(study: Study, images: Any, seed: int) -> tuple[torch.Tensor, Ints, Any]:
    """A training batch of all images, with the boxes and flips that its draws mean."""
    index = np.arange(len(images))[::-1].copy()
    batch = transforms.train_batch(images, index, study, np.random.default_rng(seed), CPU)
    rng = np.random.default_rng(seed)
    heights, widths = (np.array([images[i].shape[axis] for i in index]) for axis in (0, 1))
    boxes = resized_crops.crop_boxes(heights, widths, study.crop_scale, study.crop_ratio, rng)
    return batch, boxes, rng.random(len(index)) < study.flip


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("crop", [56, 96])
def test_resized_crops_are_torchvisions_own_pixels(channels: int, crop: int) -> None:
    images, study = pictures(*RAGGED, channels=channels), a_study(crop=crop)
    mirrored = set()
    for seed in range(3):
        batch, boxes, flips = a_batch(study, images, seed)
        assert batch.dtype == torch.float32
        assert batch.shape == (5, channels, crop, crop)
        for row, image, box, flip in zip(batch, images[::-1], boxes.tolist(), flips, strict=True):
            size = [crop, crop]
            expected = functional.resized_crop(as_tensor(image), *box, size, antialias=True)
            assert torch.equal(row, (expected.flip(2) if flip else expected).float())
            mirrored.add(bool(flip))
    assert mirrored == {True, False}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("crop", [56, 96])
def test_crops_by_matrices_are_torchvisions_float_result(channels: int, crop: int) -> None:
    """The path of accelerators: boxes on a padded canvas, then two products of matrices."""
    images, study = pictures(*RAGGED, channels=channels), a_study(crop=crop)
    for seed in range(3):
        rounded, boxes, flips = a_batch(study, images, seed)
        canvas = resized_crops.canvas_of(images[::-1], boxes, study, torch.device("cpu"))
        assert canvas.shape[1] == canvas.shape[2] == 87  # ceil(65 * 4 / 3), for any draws
        corner = boxes.copy()
        corner[:, :2] = 0
        crops = resized_crops.crop_by_matrices(canvas, corner, flips, crop)
        for row, image, box, flip in zip(crops, images[::-1], boxes.tolist(), flips, strict=True):
            size = [crop, crop]
            exact = functional.resized_crop(as_tensor(image).float(), *box, size, antialias=True)
            torch.testing.assert_close(row, exact.flip(2) if flip else exact, rtol=0, atol=5e-3)
        assert (crops.round() - rounded).abs().max() <= 1  # uint8 is rounded after each axis


def test_crops_by_matrices_take_boxes_anywhere_and_agree_with_pil_to_one_level() -> None:
    image = pictures((80, 80))[0]
    boxes = np.array([[5, 9, 70, 61], [0, 0, 80, 80], [30, 20, 17, 23], [79, 0, 1, 80]])
    flips = np.array([False, True, False, False])
    canvas = torch.from_numpy(np.stack([image] * 4))
    crops = resized_crops.crop_by_matrices(canvas, boxes, flips, 32)
    for row, (top, left, h, w), flip in zip(crops, boxes.tolist(), flips, strict=True):
        cut = Image.fromarray(image[top : top + h, left : left + w])
        expected = np.asarray(cut.resize((32, 32), Image.Resampling.BILINEAR)).astype(float)
        expected = expected[:, ::-1] if flip else expected
        assert np.abs(row.permute(1, 2, 0).numpy() - expected).max() <= 1


def test_a_batch_is_a_pure_function_of_its_generator() -> None:
    images = pictures(*RAGGED)
    for how in ("random_resized_crop", "random_crop"):
        study = a_study(train_crop=how)
        first, again, other = (
            transforms.train_batch(images, np.arange(5), study, np.random.default_rng(s), CPU)
            for s in (7, 7, 8)
        )
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


@pytest.mark.parametrize("stacked", [True, False])
def test_without_a_crop_images_pass_as_they_are_but_for_the_flips(stacked: bool) -> None:
    images = np.stack(pictures(*[(56, 56)] * 40))
    store = images if stacked else list(images)
    index = np.random.default_rng(3).permutation(40)
    for flip in (0.0, 0.5, 1.0):
        study = a_study(train_crop="none", flip=flip)
        batch = transforms.train_batch(store, index, study, np.random.default_rng(0), CPU).numpy()
        mirrored = 0
        for row, number in zip(batch.transpose(0, 2, 3, 1), index, strict=True):
            as_is, mirror = (row == images[number]).all(), (row == images[number][:, ::-1]).all()
            assert as_is or mirror
            mirrored += bool(mirror)
        assert {0.0: mirrored == 0, 0.5: 8 < mirrored < 32, 1.0: mirrored == 40}[flip]


@given(size=st.tuples(st.integers(16, 40), st.integers(16, 40)), crop=st.integers(1, 16))
@settings(max_examples=100, deadline=None)
def test_centre_crops_are_torchvisions(size: tuple[int, int], crop: int) -> None:
    images = pictures(size, (16, 17))
    crops = transforms.test_batch(images, np.array([1, 0]), a_study(crop=crop), CPU)
    for row, image in zip(crops, images[::-1], strict=True):
        assert torch.equal(row, CenterCrop(crop)(as_tensor(image)).float())


def test_stores_of_one_array_and_of_many_give_the_same_batches() -> None:
    images = np.stack(pictures(*[(64, 72)] * 6))
    images.flags.writeable = False  # as a memory map opened for reading
    for how in ("random_resized_crop", "random_crop"):
        study = a_study(train_crop=how)
        one, many = (
            transforms.train_batch(store, np.arange(6), study, np.random.default_rng(1), CPU)
            for store in (images, list(images))
        )
        assert torch.equal(one, many)


def test_what_the_crop_does_not_fit_is_a_problem_that_names_the_image() -> None:
    images, rng = pictures((64, 64), (50, 90)), np.random.default_rng(0)
    both = np.arange(2)
    with pytest.raises(Problem, match="image 1 is 50 x 90, smaller than the crop of 56"):
        transforms.train_batch(images, both, a_study(train_crop="random_crop"), rng, CPU)
    with pytest.raises(Problem, match="image 1 is 50 x 90, smaller than the crop of 56"):
        transforms.test_batch(images, both, a_study(), CPU)
    unchanged = a_study(train_crop="none")
    with pytest.raises(Problem, match="needs images of 56 x 56, but image 1 is 50 x 90"):
        transforms.train_batch([images[0][:56, :56], images[1]], both, unchanged, rng, CPU)
    with pytest.raises(Problem, match=r"image 0 is 64 x 72; set crop to the images' side"):
        transforms.train_batch(np.stack(pictures((64, 72))), both[:1], unchanged, rng, CPU)
