"""The dataset of glyphs: the same each time, complete, no character twice, cached safely."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.data.datasets import glyphs, names
from harness.schema import Problem


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def dataset(cache):
    return glyphs.load(cache, resize=32, say=lambda _: None)


def test_glyphs_are_200_classes_of_48_grey_images_in_two_halves(dataset):
    images = np.asarray(dataset.images)
    assert images.shape == (9600, 32, 32, 1)
    assert images.dtype == np.uint8
    assert np.bincount(dataset.labels).tolist() == [48] * 200
    assert set(dataset.labels[dataset.is_test].tolist()) == set(range(100, 200))


def test_every_character_appears_once(dataset):
    assert len(set(dataset.class_names)) == 200
    # One of each family whose outlines coincide.
    latin_greek_cyrillic = [(0x41, 0x391, 0x410), (0x42, 0x392, 0x412), (0x6F, 0x3BF, 0x43E)]
    for family in latin_greek_cyrillic:
        assert len(set(map(chr, family)) & set(dataset.class_names)) <= 1


def test_no_two_images_are_equal_and_none_is_blank(dataset):
    images = np.asarray(dataset.images).reshape(9600, -1)
    assert len(np.unique(images, axis=0)) == 9600
    assert images.astype(float).std(1).min() > 5


@pytest.mark.slow
def test_rendering_again_gives_the_same_pixels(dataset):
    again = glyphs.render()
    assert again.fingerprint == dataset.fingerprint
    assert again.characters == list(dataset.class_names)
    np.testing.assert_array_equal(again.images, dataset.images)


def test_a_second_load_reads_the_cache_and_a_damaged_cache_is_rendered_again(
    cache, dataset, monkeypatch
):
    lines: list[str] = []
    again = glyphs.load(cache, resize=32, say=lines.append)
    assert (lines, again.fingerprint) == ([], dataset.fingerprint)
    path = next(cache.glob("glyphs-*.npz"))
    content = path.read_bytes()
    rendered = glyphs.Glyphs(np.array(dataset.images), list(dataset.class_names))
    monkeypatch.setattr(glyphs, "render", lambda: rendered)  # the test above renders in earnest
    changed = content[:70000] + b"x" + content[70001:]
    for damaged in (content[:5000], content[:-1000], b"", changed):
        path.write_bytes(damaged)
        again = glyphs.load(cache, resize=32, say=lines.append)
        assert again.fingerprint == dataset.fingerprint
        assert path.read_bytes() == content
    assert len(lines) == 4
    assert [p.name for p in cache.iterdir()] == [path.name]


def test_an_image_is_more_like_its_own_class_than_like_others(dataset):
    images = np.asarray(dataset.images, dtype=np.float64).reshape(9600, -1)
    images = images - images.mean(1, keepdims=True)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    means = images.reshape(200, 48, -1).mean(1)
    to_its_class = np.einsum("id,id->i", images, means[dataset.labels]).mean()
    to_any_class = (images @ means.T).mean()
    assert to_its_class > 1.2 * to_any_class


def test_another_size_is_refused_with_the_line_to_add():
    with pytest.raises(Problem, match="images of 32 px"):
        glyphs.load(Path("x"), resize=256, say=lambda _: None)


def test_the_folder_of_datasets_is_the_registry():
    assert set(names()) >= {"glyphs"}
    assert "folder" not in names()  # it wants a path
