"""`features`: a file of what a trunk makes of images, and the line where it cannot be made."""

from __future__ import annotations

import numpy as np
import pytest

from harness.data import datasets
from harness.data.datasets import features
from tests.made import call, images

SMALL = ("--trunk", "convnet", "--weights", "none", "--resize", 32, "--crop", 24, "--device", "cpu")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return images(tmp_path_factory.mktemp("pictures") / "birds", classes=8, per_class=3)


def test_the_file_holds_the_classes_halves_and_paths_of_the_images(pictures, tmp_path):
    out = tmp_path / "birds.npz"
    words = ("--dataset", f"folder:{pictures}", *SMALL, "--augmented", 2, "--data", tmp_path)
    code, text, error = call("features", *words, "--out", out)
    assert code == 0, error
    assert f"--dataset features:{out}" in text
    of_images = datasets.load(f"folder:{pictures}", tmp_path, 32)
    dataset = features.load(out, say=lambda _line: None)
    np.testing.assert_array_equal(dataset.labels, of_images.labels)
    np.testing.assert_array_equal(dataset.is_test, of_images.is_test)
    assert dataset.class_names == tuple(of_images.class_names)
    assert dataset.images.rows.shape == (24, 128)
    assert dataset.images.augmented.shape == (24, 2, 128)
    assert len(np.unique(dataset.images.augmented.reshape(48, -1), axis=0)) == 48
    with np.load(out) as arrays:
        assert [str(path) for path in arrays["image"][:3]] == [
            f"class_00/{i}.png" for i in range(3)
        ]
    for part in ("convnet", "no weights (random)", "crop 24 of 32", of_images.fingerprint):
        assert part in dataset.images.origin


def test_the_same_command_computes_nothing_twice_and_gives_the_same_file_again(pictures, tmp_path):
    words = ("features", "--dataset", f"folder:{pictures}", *SMALL, "--data", tmp_path)
    assert call(*words)[0] == 0
    (path,) = (tmp_path / "features").glob("*.npz")
    before = path.stat()
    first = features.load(path, say=lambda _line: None)
    code, text, _ = call(*words)
    assert code == 0
    assert first.fingerprint in text
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    path.unlink()
    call(*words)
    assert features.load(path, say=lambda _line: None).fingerprint == first.fingerprint


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (("--trunk", "convnett"), "convnet"),
        (("--weights", "imagenet"), "no ImageNet weights"),
        (("--crop", 40), "smaller than the crop of 40"),
        (("--out", "birds.txt"), "ends in .npz"),
    ],
)
def test_what_cannot_be_computed_is_one_line_and_leaves_no_file(
    pictures, tmp_path, changes, reason
):
    words = ("--dataset", f"folder:{pictures}", *SMALL, "--data", tmp_path)
    code, _, error = call("features", *words, "--out", tmp_path / "b.npz", *changes)
    assert code == 2
    assert reason in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("*.npz"))
    assert not list(tmp_path.glob(".*.npz*"))


def test_features_of_features_and_a_trunk_beside_them_are_refused(tmp_path):
    path = tmp_path / "f.npz"
    np.savez(path, features=np.ones((8, 2)), labels=np.arange(8) // 2)
    name = f"features:{path}"
    code, _, error = call("features", "--dataset", name, *SMALL, "--data", tmp_path)
    assert (code, "holds features already" in error) == (2, True)
    for option, value in (("--trunk", "resnet18"), ("--weights", "none")):
        words = ("--dataset", name, "--loss", "contrastive", option, value)
        code, _, error = call("study", "--study", "features", *words, "--results", tmp_path / "r")
        assert code == 2
        assert f"{option} with {name}" in error
        assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("place", ["file/b.npz", "file/deeper/b.npz"])
def test_a_place_where_no_file_can_be_made_is_refused_before_anything_is_computed(
    pictures, tmp_path, monkeypatch, place
):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(datasets, "load", lambda *_words: pytest.fail("images were read"))
    words = ("--dataset", f"folder:{pictures}", *SMALL, "--data", tmp_path)
    code, _, error = call("features", *words, "--out", tmp_path / place)
    assert code == 2
    assert f"{tmp_path / place} cannot be written (Not a directory)" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("action", ["verify", "cache"])
def test_skip_bad_refuses_a_half_that_loses_its_classes(tmp_path, action):
    root = images(tmp_path / "birds", classes=4, per_class=2)
    for name in ("class_02", "class_03"):
        (root / name / "0.png").write_bytes(b"no image")
    words = ("data", action, f"folder:{root}", "--skip-bad", "--data", tmp_path / "data")
    code, _, error = call(*words)
    assert code == 2
    assert "0 of 2 classes in the test half" in error
    code, _, error = call(
        "features", "--dataset", f"folder:{root}", "--skip-bad", *SMALL, "--data", tmp_path
    )
    assert (code, "0 of 2 classes in the test half" in error) == (2, True)


def test_a_half_of_one_class_is_refused_in_a_table_as_in_a_folder(tmp_path):
    root = images(tmp_path / "birds", classes=4, per_class=2)
    rows = ["path,label,split"]
    for n, image in enumerate(sorted(root.rglob("*.png"))):
        rows.append(f"{image.relative_to(tmp_path)},{n // 2},{'test' if n < 2 else 'train'}")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    code, _, error = call("data", "verify", f"table:{tmp_path / 't.csv'}", "--data", tmp_path)
    assert (code, "1 of 4 classes in the test half" in error) == (2, True)
