"""Deep grey levels, transparent pixels and huge images: what becomes of them, and who says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.data import datasets, store
from harness.data.check import check
from harness.data.datasets import folder
from harness.data.store import decode, decoded
from harness.schema import Problem
from tests.made import images


def silent(line: str) -> None:
    del line


@pytest.mark.parametrize("end", ["png", "tif", "pgm"])
def test_grey_levels_of_16_bits_are_divided_by_256(tmp_path: Path, end: str) -> None:
    levels = np.arange(0, 65536, 16, np.uint16).reshape(64, 64)
    path = tmp_path / f"deep.{end}"
    if end == "pgm":
        path.write_bytes(b"P5 64 64 65535\n" + levels.astype(">u2").tobytes())
    else:
        Image.fromarray(levels).save(path)
    image = decoded(path)
    assert image.is_deep
    np.testing.assert_array_equal(image.pixels, (levels // 256)[:, :, None].repeat(3, 2))


def test_big_endian_grey_levels_are_those_of_little_endian_ones(tmp_path: Path) -> None:
    levels = np.arange(0, 65536, 64, np.uint16).reshape(32, 32)
    Image.frombytes("I;16B", (32, 32), levels.astype(">u2").tobytes()).save(tmp_path / "big.tif")
    np.testing.assert_array_equal(decode(tmp_path / "big.tif")[:, :, 0], levels // 256)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (np.linspace(0, 1, 64).reshape(8, 8).astype(np.float32), "0 to 1 in 32 bits"),
        (np.linspace(-9, 90, 64).reshape(8, 8).astype(np.float32), "-9 to 90"),
        (np.arange(64).reshape(8, 8).astype(np.int32) * 100, "0 to 6300"),
    ],
)
def test_levels_without_a_known_white_are_refused_with_their_range(
    tmp_path: Path, levels: np.ndarray[tuple[int, int], np.dtype[np.generic]], message: str
) -> None:
    Image.fromarray(levels).save(tmp_path / "level.tif")
    with pytest.raises(ValueError, match=message):
        decode(tmp_path / "level.tif")


def test_32_bit_levels_of_0_to_255_are_read_as_they_stand(tmp_path: Path) -> None:
    levels = np.arange(256).reshape(16, 16)
    Image.fromarray(levels.astype(np.float32)).save(tmp_path / "level.tif")
    np.testing.assert_array_equal(decode(tmp_path / "level.tif")[:, :, 1], levels)


@given(seed=st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_transparent_pixels_show_white_as_arithmetic_says(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "clear.png"
    layered = np.random.default_rng(seed).integers(0, 256, (9, 7, 4), np.uint8)
    Image.fromarray(layered).save(path)
    share = layered[:, :, 3:] / 255
    expected = layered[:, :, :3] * share + 255 * (1 - share)
    image = decoded(path)
    assert image.is_transparent
    assert np.abs(image.pixels - expected).max() <= 1


@pytest.mark.parametrize("kind", ["palette", "grey key", "colour key", "grey and alpha", "gif"])
def test_every_way_to_say_transparent_becomes_white(tmp_path: Path, kind: str) -> None:
    black = Image.new("L", (8, 8), 0)
    black.putpixel((0, 0), 90)
    path = tmp_path / ("a.gif" if kind == "gif" else "a.png")
    if kind in ("palette", "gif"):
        black.convert("P").save(path, transparency=0)
    elif kind == "grey key":
        black.save(path, transparency=0)
    elif kind == "colour key":
        black.convert("RGB").save(path, transparency=(0, 0, 0))
    else:
        alpha = black.point(lambda level: 255 if level else 0)
        Image.merge("LA", (black, alpha)).save(path)
    image = decoded(path)
    assert image.is_transparent
    assert image.pixels[0, 0].tolist() == [90, 90, 90]
    assert (image.pixels.reshape(-1, 3)[1:] == 255).all()


def test_an_opaque_alpha_channel_changes_nothing(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    image = Image.fromarray(pixels).convert("RGBA")
    image.save(tmp_path / "opaque.png")
    assert not decoded(tmp_path / "opaque.png").is_transparent
    np.testing.assert_array_equal(decode(tmp_path / "opaque.png"), pixels)


def test_images_over_pillows_limit_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = images(tmp_path / "scans", classes=4)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # an image here has 1,024
    monkeypatch.setattr(store, "LARGE", 100)
    assert "every file opens" in " ".join(check(folder.listing(root), root, silent))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert len(datasets.load(f"folder:{root}", tmp_path / "data", 16, silent).images) == 16


def test_images_over_our_limit_are_named_with_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = images(tmp_path / "scans", classes=4)
    monkeypatch.setattr(store, "LARGEST", 1000)
    for read in (
        lambda: check(folder.listing(root), root, silent),
        lambda: datasets.load(f"folder:{root}", tmp_path / "data", 16, silent),
    ):
        with pytest.raises(Problem, match=r"class_00/0\.png \(.*32 x 32 pixels are more than 1,0"):
            read()


def test_verify_and_the_cache_say_how_many_images_were_changed(tmp_path: Path) -> None:
    root = images(tmp_path / "mixed", classes=4)
    Image.fromarray(np.full((32, 32), 40_000, np.uint16)).save(root / "class_00" / "0.png")
    for number in (1, 2):
        Image.new("RGBA", (32, 32), (9, 9, 9, 0)).save(root / "class_01" / f"{number}.png")
    verified = check(folder.listing(root), root, silent)
    built: list[str] = []
    datasets.load(f"folder:{root}", tmp_path / "data", 16, built.append)
    for lines in (verified, built):
        text = "\n".join(lines)
        assert "1 images of 16 bits a grey level, divided by 256" in text
        assert "2 images with transparent pixels, composited on white" in text
