"""A cache holds the pixels of its own images, whatever they are called and wherever they lie."""

from __future__ import annotations

import errno
import mmap
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.data import cache, check, content_digest, datasets, fill, listing
from harness.data.datasets import folder, hf
from harness.schema import Dataset, Problem
from tests.made import call

SIDE, TIME = 16, 1_700_000_000


def silent(line: str) -> None:
    del line


def flat(root: Path, first_level: int = 10, end: str = "bmp") -> Path:
    """Classes c0 to c3 of 3 images of one grey level, of one size and time whatever their level."""
    for i in range(12):
        path = root / f"c{i // 3}" / f"{i % 3}.{end}"
        path.parent.mkdir(parents=True, exist_ok=True)
        paint(path, first_level + i)
    return root


def paint(path: Path, level: int) -> None:
    """Write an image of one grey level in place, and give it the time that all have."""
    Image.new("L", (20, 20), level).save(path)
    os.utime(path, (TIME, TIME))


def load(root: Path, data: Path, say: Any = silent) -> Dataset:
    return cache.dataset(folder.listing(root), root, data, side=SIDE, say=say)


def levels(dataset: Dataset) -> list[int]:
    return [int(dataset.images[i][0, 0, 0]) for i in range(len(dataset.images))]


@pytest.mark.parametrize(
    ("one", "other"),
    [("猫", "犬"), *[tuple(f"{place}/photos_of_{'birds_' * 12}" for place in ("v1", "v2"))]],
)
def test_two_datasets_alike_in_letters_sizes_and_times_have_their_own_pixels(
    tmp_path: Path, one: str, other: str
) -> None:
    roots = [flat(tmp_path / one, 10), flat(tmp_path / other, 100)]
    for _ in range(2):
        read = [levels(load(root, tmp_path / "cache")) for root in roots]
        assert read == [list(range(10, 22)), list(range(100, 112))]


def test_no_dataset_is_advised_to_delete_anothers_cache_nor_clears_its_builds(
    tmp_path: Path,
) -> None:
    lines: list[str] = []
    load(flat(tmp_path / "猫", 10), tmp_path / "cache")
    store = next((tmp_path / "cache").glob("*-16-*"))
    store.rename(store.with_name(f".{store.name}.building"))  # as if the build had been killed
    load(flat(tmp_path / "犬", 100), tmp_path / "cache", lines.append)
    assert [line for line in lines if "delete" in line] == []
    assert store.with_name(f".{store.name}.building").is_dir()


def test_images_that_change_places_take_their_pixels_with_them(tmp_path: Path) -> None:
    root = flat(tmp_path / "birds", 10, "pgm")
    assert levels(load(root, tmp_path / "cache")) == list(range(10, 22))
    os.rename(root / "c0/0.pgm", root / "moving")
    os.rename(root / "c3/1.pgm", root / "c0/0.pgm")
    os.rename(root / "moving", root / "c3/1.pgm")
    assert levels(load(root, tmp_path / "cache"))[::10] == [20, 10]


def test_folders_that_change_names_take_their_pixels_with_them(tmp_path: Path) -> None:
    root = flat(tmp_path / "birds", 10)
    load(root, tmp_path / "cache")
    for old, new in (("c0", "moving"), ("c1", "c0"), ("moving", "c1")):
        os.rename(root / old, root / new)
    assert levels(load(root, tmp_path / "cache"))[:6] == [13, 14, 15, 10, 11, 12]


def test_an_image_that_is_overwritten_by_one_of_its_size_and_time_is_read_again(
    tmp_path: Path,
) -> None:
    root = flat(tmp_path / "birds", 10)
    load(root, tmp_path / "cache")
    paint(root / "c1/1.bmp", 200)
    assert levels(load(root, tmp_path / "cache"))[3:6] == [13, 200, 15]


def test_images_that_are_moved_copied_or_touched_keep_their_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = flat(tmp_path / "birds", 10)
    print_of = load(root, tmp_path / "cache").fingerprint
    monkeypatch.setattr(cache, "fill", lambda *_, **__: pytest.fail("decoded again"))
    for path in root.rglob("*.bmp"):
        os.utime(path, (1, 1))
    assert load(root, tmp_path / "cache").fingerprint == print_of
    shutil.copytree(root, tmp_path / "elsewhere" / "birds")
    shutil.rmtree(root)
    assert load(tmp_path / "elsewhere" / "birds", tmp_path / "cache").fingerprint == print_of
    os.rename(tmp_path / "cache", tmp_path / "moved")
    assert load(tmp_path / "elsewhere" / "birds", tmp_path / "moved").fingerprint == print_of


def test_images_are_read_once_while_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = flat(tmp_path / "birds", 10)
    load(root, tmp_path / "cache")
    monkeypatch.setattr(content_digest, "_of_image", lambda *_: pytest.fail("read again"))
    assert levels(load(root, tmp_path / "cache")) == list(range(10, 22))
    monkeypatch.chdir(tmp_path)
    assert levels(load(Path("birds").resolve(), tmp_path / "cache")) == list(range(10, 22))


def test_verify_finds_a_change_that_kept_every_mark_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on network drives that keep no time of change and give no lasting numbers to files."""
    monkeypatch.setattr(listing, "version", lambda file: os.stat(file).st_size)
    root, lines = flat(tmp_path / "birds", 10), list[str]()
    load(root, tmp_path / "cache")
    paint(root / "c0/0.bmp", 200)
    assert levels(load(root, tmp_path / "cache"))[0] == 10
    check.check_cache(folder.listing(root), root, tmp_path / "cache", lines.append)
    assert any("files have changed and kept their sizes and times" in line for line in lines)
    assert levels(load(root, tmp_path / "cache"))[0] == 200


def test_verify_refuses_a_cache_that_holds_others_pixels(tmp_path: Path) -> None:
    roots = [flat(tmp_path / "one", 10), flat(tmp_path / "other", 100)]
    stores = []
    for root in roots:
        store = load(root, tmp_path / "data" / "cache").images
        assert isinstance(store, cache.Store)
        stores.append(store.path)
    shutil.rmtree(stores[0])
    shutil.copytree(stores[1], stores[0])
    code, _, err = call("data", "verify", f"folder:{roots[0]}", "--data", tmp_path / "data")
    assert code == 2
    assert f"delete {stores[0]}" in err
    code, out, _ = call("data", "verify", f"folder:{roots[1]}", "--data", tmp_path / "data")
    assert (code, "as the images give them" in out) == (0, True)


def test_images_that_change_while_they_are_decoded_make_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = flat(tmp_path / "birds", 10)
    decoded = fill.decoded

    def changing(source: Any, *options: Any) -> Any:
        paint(root / "c2/2.bmp", 201)
        return decoded(source, *options)

    monkeypatch.setattr(fill, "decoded", changing)
    with pytest.raises(Problem, match=r"changed while they were decoded: c2/2\.bmp"):
        load(root, tmp_path / "cache")
    monkeypatch.undo()
    assert levels(load(root, tmp_path / "cache"))[8] == 201


def test_a_file_beside_the_rows_of_a_hugging_face_data_set_is_looked_at(tmp_path: Path) -> None:
    package = pytest.importorskip("datasets")
    root = flat(tmp_path / "birds", 10)
    paths = sorted(map(str, root.rglob("*.bmp")))
    features = package.Features({"image": package.Image(), "label": package.Value("int64")})
    columns = {"image": paths, "label": [int(Path(path).parent.name[1]) for path in paths]}
    table = package.Dataset.from_dict(columns, features)
    split = hf.Split("train", table, np.arange(12), [str(label) for label in columns["label"]])
    before = hf._versions([split], "image", package, tmp_path)
    paint(root / "c1/2.bmp", 99)
    changed = hf._versions([split], "image", package, tmp_path) != before
    assert np.flatnonzero(changed).tolist() == [5]


# images that cannot be read


@pytest.mark.parametrize(
    "error",
    [OSError(number, os.strerror(number)) for number in (errno.EIO, errno.EACCES, errno.EMFILE)]
    + [MemoryError()],
)
def test_what_the_machine_refuses_once_stops_and_leaves_out_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    root, decoded = flat(tmp_path / "birds", 10), fill.decoded

    def refused(source: Any, *options: Any) -> Any:
        if str(source).endswith("c1/1.bmp"):
            raise error
        return decoded(source, *options)

    words = ("data", "cache", f"folder:{root}", "--resize", SIDE, "--data", tmp_path / "data")
    monkeypatch.setattr(fill, "decoded", refused)
    code, _, err = call(*words, "--skip-bad")
    assert code == 2
    assert "c1/1.bmp cannot be read now" in err
    assert err.count("\n") == 1
    monkeypatch.undo()
    code, out, _ = call(*words, "--skip-bad")
    assert (code, "12 images cached" in out, "without" in out) == (0, True, False)


def test_verify_tells_an_image_that_cannot_be_read_now_from_a_bad_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, read_bytes = flat(tmp_path / "birds", 10), Path.read_bytes

    def refused(path: Path) -> bytes:
        if path.name == "1.bmp":
            raise PermissionError(errno.EACCES, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    code, _, err = call("data", "verify", f"folder:{root}", "--skip-bad", "--data", tmp_path / "d")
    assert code == 2
    assert "cannot be read now (Permission denied)" in err


def test_an_image_that_was_bad_and_is_mended_is_no_longer_left_out(tmp_path: Path) -> None:
    root = flat(tmp_path / "birds", 10)
    (root / "c0/0.bmp").write_bytes(b"\0" * (root / "c0/1.bmp").stat().st_size)
    os.utime(root / "c0/0.bmp", (TIME, TIME))
    words = ("data", "cache", f"folder:{root}", "--resize", SIDE, "--data", tmp_path / "data")
    assert "11 images cached" in call(*words, "--skip-bad")[1]
    paint(root / "c0/0.bmp", 10)
    datasets.load.cache_clear()  # another process reads it
    assert "12 images cached" in call(*words, "--skip-bad")[1]


def test_a_header_that_the_machine_refuses_to_read_once_leaves_out_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, header_size = flat(tmp_path / "birds", 10), fill.header_size

    def refused(source: Any, *options: Any) -> Any:
        if str(source).endswith("c1/1.bmp"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return header_size(source, *options)

    words = ("data", "cache", f"folder:{root}", "--resize", SIDE, "--data", tmp_path / "data")
    monkeypatch.setattr(fill, "header_size", refused)
    code, _, err = call(*words, "--skip-bad")
    assert (code, "c1/1.bmp cannot be read now (Too many open files)" in err) == (2, True)
    monkeypatch.undo()
    assert "12 images cached" in call(*words, "--skip-bad")[1]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.ENOMEM])
def test_a_cache_that_the_machine_refuses_to_read_once_is_not_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    root = flat(tmp_path / "birds", 10)
    load(root, tmp_path / "cache")
    (store,) = (tmp_path / "cache").glob("*-16-*")
    inode = store.stat().st_ino

    def refused(*_words: Any, **_options: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(mmap, "mmap", refused)
    with pytest.raises(Problem, match="cannot be read now"):
        load(root, tmp_path / "cache")
    monkeypatch.undo()
    load(root, tmp_path / "cache")
    assert store.stat().st_ino == inode


def test_verify_compares_the_cache_that_skip_bad_made(tmp_path: Path) -> None:
    root = flat(tmp_path / "birds", 10)
    (root / "c0/0.bmp").write_bytes(b"no image")
    words = (f"folder:{root}", "--data", tmp_path / "data", "--skip-bad")
    assert call("data", "cache", *words, "--resize", SIDE)[0] == 0
    code, out, _ = call("data", "verify", *words)
    assert (code, "cache at shorter side 16: 1 blocks of images, as the" in out) == (0, True)
