"""The nine corruptions: bytes in, bytes out, by the image's position alone, at their strengths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from harness.data import corruptions
from harness.data.corruptions import CORRUPTIONS, Corrupted


def image_of(seed=0, height=40, width=32, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
@given(st.integers(0, 1000), st.integers(9, 50), st.integers(9, 50), st.sampled_from([1, 3]))
@settings(max_examples=15, deadline=None)
def test_an_image_stays_an_image_and_the_original_stays_as_it_was(name, seed, height, width, c):
    image = image_of(seed, height, width, c)
    before = image.copy()
    result = Corrupted([image], name)[0]
    assert (result.shape, result.dtype) == (image.shape, np.uint8)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_is_corrupted_by_its_position_and_the_seed_whatever_was_asked_before(name):
    images = [image_of() for _ in range(6)]
    corrupted = Corrupted(images, name)
    backwards = [corrupted[i] for i in reversed(range(6))][::-1]
    for i in range(6):
        np.testing.assert_array_equal(Corrupted(images, name)[i], backwards[i])
    unlike = [np.array_equal(backwards[0], backwards[i]) for i in range(1, 6)]
    assert not all(unlike) or name == "defocus_blur"  # which draws nothing
    other = [Corrupted(images, name, seed=1)[i] for i in range(6)]
    same = all(np.array_equal(a, b) for a, b in zip(other, backwards, strict=True))
    assert same == (name == "defocus_blur")


def draws(name, count=400, level=128, side=32, channels=3):
    flat = np.full((side, side, channels), level, np.uint8)
    corrupted = Corrupted([flat] * count, name)
    return np.array([corrupted[i] for i in range(count)]).astype(float)


def test_gaussian_noise_has_deviations_spread_evenly_from_0_to_15():
    noisy = draws("gaussian_noise")
    assert np.all(noisy[..., 0] == noisy[..., 1])  # the same in all channels
    deviations = noisy[..., 0].std((1, 2))
    assert deviations.max() < 15.8
    assert np.mean(deviations) == pytest.approx(7.5, abs=0.7)
    assert noisy.mean() == pytest.approx(128, abs=0.1)


def test_uniform_noise_adds_every_whole_level_from_minus_20_to_20_alike():
    added = (draws("uniform_noise", 40)[..., 0] - 128).ravel()
    values, counts = np.unique(added, return_counts=True)
    assert values.tolist() == list(range(-20, 21))
    assert counts.max() < 1.25 * counts.min()


@pytest.mark.parametrize(("name", "most"), [("salt_and_pepper", 0.03), ("dropout", 0.05)])
def test_shares_of_pixels_are_spread_evenly_from_0(name, most):
    shares = (draws(name)[..., 0] != 128).mean((1, 2))
    assert shares.max() < 1.6 * most
    assert shares.mean() == pytest.approx(most / 2, rel=0.15)


def test_salt_and_pepper_is_mostly_near_black_or_white_and_dropout_is_black():
    grains = draws("salt_and_pepper")
    grains = grains[grains != 128]
    # P(|x - 1/2| > 0.4) of Beta(1/2, 1/2) is 1 - (2 / pi) asin(0.8) = 0.41
    assert np.mean(np.abs(grains / 255 - 0.5) > 0.4) == pytest.approx(0.41, abs=0.04)
    dropped = draws("dropout", 50)
    assert set(np.unique(dropped)) == {0.0, 128.0}


def test_cutout_is_one_grey_square_of_a_fifth_of_the_side():
    for i in range(50):
        cut = Corrupted([np.zeros((50, 50, 3), np.uint8)] * 50, "cutout")[i]
        rows, columns = np.nonzero(cut[..., 0])
        assert set(np.unique(cut)) == {0, 128}
        assert np.ptp(rows) + 1 <= 11
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    middle = corruptions.cutout(np.zeros((50, 50, 1), np.uint8), Centre())
    assert (middle == 128).sum() == 100


class Centre:
    """A generator that always draws the middle of its range."""

    def uniform(self, low, high):
        return (low + high) / 2

    def integers(self, low, high=None):
        return low


def test_a_shear_is_that_of_scipy_and_keeps_the_middle_row():
    image = image_of(3, 41, 41, 1)

    class Fixed(Centre):
        def uniform(self, low, high):
            return high

    sheared = corruptions.affine_shear(image, Fixed(), degrees=(0, 20))[..., 0].astype(float)
    slope = np.tan(np.deg2rad(20))
    # output (y, x) is input (y, x + slope (y - middle))
    expected = ndimage.affine_transform(
        image[..., 0].astype(float),
        np.array([[1, 0], [slope, 1]]),
        offset=(0, -slope * 20),
        order=1,
    )
    np.testing.assert_array_equal(sheared[20], image[20, :, 0])
    assert np.abs(sheared - expected)[:, 12:-12].max() < 2


@given(st.integers(0, 500))
@settings(max_examples=60, deadline=None)
def test_a_jigsaw_moves_cells_by_one_place_at_most_and_loses_none(seed):
    side = 60  # of cells of 6 to 20 pixels
    image = np.arange(side * side, dtype=np.int64).reshape(side, side, 1)
    rng = np.random.default_rng(seed)
    moved = corruptions.jigsaw(image, rng, cells=(5, 5))
    assert sorted(moved.ravel().tolist()) == image.ravel().tolist()
    y, x = np.divmod(moved[..., 0], side)
    rows, columns = np.mgrid[:side, :side]
    steps = np.abs(y - rows) + np.abs(x - columns)
    assert set(np.unique(steps)) <= {0, 12}
    assert steps.max() == 12


def test_hue_turns_and_grey_images_and_grey_pixels_have_none():
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 200
    turned = {
        tuple(Corrupted([red] * 40, "hue_and_saturation")[i][0, 0].tolist()) for i in range(40)
    }
    assert len(turned) > 30
    assert all(max(colour) == 200 for colour in turned)  # brightness stays
    grey = image_of(0, 8, 8, 1)
    np.testing.assert_array_equal(Corrupted([grey], "hue_and_saturation")[0], grey)


def test_a_defocus_blur_is_a_mean_over_a_disk_of_3_pixels():
    dot = np.zeros((21, 21, 1), np.uint8)
    dot[10, 10] = 255
    blurred = Corrupted([dot], "defocus_blur")[0][..., 0]
    y, x = np.mgrid[-10:11, -10:11]
    disk = np.hypot(y, x) <= 3
    np.testing.assert_array_equal(blurred > 0, disk)
    np.testing.assert_allclose(blurred[disk], 255 / disk.sum(), atol=0.51)
