"""Folders as people have them: halves as folders, links, remains of tools, names, bad images."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data import datasets, split_file
from harness.data.check import check
from harness.data.datasets import cars, folder
from harness.data.walk import natural
from harness.schema import Problem
from tests.data import miniatures
from tests.made import call, images


def silent(line: str) -> None:
    del line


def contents(root: Path, **options: int) -> dict[str, int]:
    listing = folder.listing(root, **options)
    return {name: int((listing.labels == i).sum()) for i, name in enumerate(listing.class_names)}


def test_what_tools_leave_behind_is_no_data_at_any_depth_and_said_once(tmp_path: Path) -> None:
    root = images(tmp_path / "birds", classes=4)
    before = folder.listing(root)
    image = root / "class_00" / "0.png"
    for place in (
        "class_00/.ipynb_checkpoints",
        "class_01/@eaDir",
        "class_01/season/.thumbnails",
        "__MACOSX/class_00",
        ".git/class_00",
        "class_02/deep/deeper/@eaDir/more",
    ):
        (root / place).mkdir(parents=True)
        shutil.copy(image, root / place / "0.png")
    for name in ("._0.png", "Thumbs.db", ".DS_Store", "desktop.ini"):
        (root / "class_03" / name).write_bytes(b"\0")
    listing = folder.listing(root)
    assert (listing.paths, listing.class_names) == (before.paths, before.class_names)
    lines = [note for note in listing.notes if "tools leave behind" in note]
    assert len(lines) == 1
    assert lines[0].startswith("10 files or folders")


def test_linked_folders_are_followed_and_circles_end(tmp_path: Path) -> None:
    store = images(tmp_path / "store", classes=4)
    root = tmp_path / "birds"
    root.mkdir()
    for name in sorted(os.listdir(store)):
        (root / name).symlink_to(store / name)
    extra = images(tmp_path / "extra", classes=1)
    (store / "class_00" / "season").symlink_to(extra / "class_00")
    (store / "class_01" / "back").symlink_to(root)
    (store / "class_02" / "self").symlink_to(store / "class_02")
    assert contents(root) == {"class_00": 8, "class_01": 4, "class_02": 4, "class_03": 4}
    assert sum("class_02/self" in note for note in folder.listing(root).notes) == 1


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    root = images(tmp_path / "birds", classes=4)
    (root / "class_00" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    message = r"1 of 17 images are missing.*class_00/gone\.png.*--skip-bad"
    with pytest.raises(Problem, match=message):
        folder.listing(root)


def test_skip_bad_goes_on_without_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    root, data = images(tmp_path / "birds", classes=4), tmp_path / "data"
    words = ("data", "cache", f"folder:{root}", "--resize", 16, "--data", data)
    whole = call(*words)[1].split()[-1]
    (root / "class_00" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    code, out, _ = call("data", "verify", f"folder:{root}", "--skip-bad", "--data", data)
    assert (code, "class_00/gone.png (FileNotFoundError" in out) == (0, True), out
    code, out, _ = call(*words, "--skip-bad")
    assert (code, out.split()[-1]) == (0, whole)
    assert "without 1 images that cannot be decoded" in out.splitlines()[-1]


@pytest.mark.parametrize("wrapping", ["archive", "archive/Whole Benchmark"])
@pytest.mark.parametrize("halves", [True, False])
def test_classes_are_found_in_the_single_folders_around_them(
    tmp_path: Path, wrapping: str, halves: bool
) -> None:
    root = images(tmp_path / "plain", classes=4)
    if halves:
        for number, half in enumerate(["test", "train", "train", "test"]):
            (root / half).mkdir(exist_ok=True)
            (root / f"class_0{number}").rename(root / half / f"class_0{number}")
    plain = folder.listing(root)
    (tmp_path / "birds" / "__MACOSX").mkdir(parents=True)
    shutil.copytree(root, tmp_path / "birds" / wrapping)
    listing = folder.listing(tmp_path / "birds")
    assert listing.paths == tuple(f"{wrapping}/{path}" for path in plain.paths)
    assert listing.is_test.tolist() == plain.is_test.tolist()
    assert f"the classes lie in {tmp_path / 'birds' / wrapping}" in listing.notes
    shutil.copytree(root, tmp_path / "one too many" / "deeper" / wrapping)
    if wrapping.count("/") == 1:
        with pytest.raises(Problem, match="holds 1 class folders with images; at least 2"):
            folder.listing(tmp_path / "one too many")


@pytest.mark.parametrize("place", ["", "archive", "archive/data"])
@pytest.mark.parametrize("name", ["split.csv", "Split.CSV"])
def test_split_csv_is_found_in_the_root_and_beside_the_classes(
    tmp_path: Path, place: str, name: str
) -> None:
    images(tmp_path / "archive" / "data", classes=4)
    split = tmp_path / place / name
    split.write_text(
        "class,split\n" + "".join(f"class_0{c},{'train' if c % 2 else 'test'}\n" for c in range(4))
    )
    listing = folder.listing(tmp_path)
    assert sorted({*listing.labels[listing.is_test].tolist()}) == [0, 2]
    assert not [note for note in listing.notes if "left out" in note]
    other = tmp_path / ("" if place else "archive") / "split.csv"
    shutil.copy(split, other)
    with pytest.raises(Problem, match=r"say halves: keep one"):
        folder.listing(tmp_path)


@pytest.mark.parametrize(
    ("train", "test"), [("train", "test"), ("Training", "TEST"), ("train", "val")]
)
def test_train_and_test_folders_are_halves(tmp_path: Path, train: str, test: str) -> None:
    images(tmp_path / "birds" / train, classes=4)
    images(tmp_path / "more", classes=3)
    for number in range(3):
        (tmp_path / "birds" / test).mkdir(exist_ok=True)
        (tmp_path / "more" / f"class_0{number}").rename(tmp_path / "birds" / test / f"a{number}")
    listing = folder.listing(tmp_path / "birds")
    in_test = {listing.class_names[label] for label in listing.labels[listing.is_test]}
    assert in_test == {"a0", "a1", "a2"}
    assert len(listing.class_names) == 7
    assert all(path.startswith(f"{test}/") for path in np.array(listing.paths)[listing.is_test])


def test_a_class_in_both_halves_and_halves_without_classes_are_refused(tmp_path: Path) -> None:
    images(tmp_path / "both" / "train", classes=4)
    images(tmp_path / "both" / "test", classes=4)
    with pytest.raises(Problem, match="'class_00' lies in the train and in the test half"):
        folder.listing(tmp_path / "both")
    bare = images(tmp_path / "bare", classes=2)
    (bare / "class_00").rename(bare / "train")
    (bare / "class_01").rename(bare / "test")
    with pytest.raises(Problem, match="PATH/train/CLASS"):
        folder.listing(bare)


def test_stray_files_refuse_nothing_and_are_named(tmp_path: Path) -> None:
    root = images(tmp_path / "birds", classes=4)
    (root / "README.md").write_text("x")
    (root / "class_01" / "notes.txt").write_text("x")
    shutil.copy(root / "class_00" / "0.png", root / "preview.png")
    listing = folder.listing(root)
    assert len(listing) == 16
    text = " ".join(listing.notes)
    assert all(
        name in text for name in ("README.md", "class_01/notes.txt", "preview.png", "3 files")
    )


@given(st.lists(st.integers(0, 10**12), unique=True))
def test_numbers_sort_by_value(numbers: list[int]) -> None:
    names = [str(number) for number in numbers]
    assert sorted(names, key=natural) == [str(number) for number in sorted(numbers)]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Nd"]), max_size=6)))
def test_names_without_numbers_sort_as_ever(names: list[str]) -> None:
    assert sorted(names, key=natural) == sorted(names)


@given(st.lists(st.integers(0, 999), max_size=20))
def test_numbers_of_one_width_sort_as_ever(numbers: list[int]) -> None:
    names = [f"{number:03d}.Bird" for number in numbers]
    assert sorted(names, key=natural) == sorted(names)


def test_folders_1_to_20_are_halved_by_value_and_verify_says_so(tmp_path: Path) -> None:
    root = images(tmp_path / "birds", classes=20, per_class=2)
    for number in range(20):
        (root / f"class_{number:02}").rename(root / str(number + 1))
    listing = folder.listing(root)
    assert listing.class_names == tuple(str(number) for number in range(1, 21))
    lines: list[str] = []
    check(folder.listing(root), root, lines.append)
    assert any("test 11, 12, 13, 14, 15, ..., 20 (10 classes)" in line for line in lines)


def test_shuffled_classes_follow_the_seed_and_have_another_fingerprint(tmp_path: Path) -> None:
    root, data = images(tmp_path / "birds", classes=12), tmp_path / "data"
    name = f"folder:{root}"
    plain, one, two = (
        datasets.load(name + end, data, 16, silent)
        for end in ("", "+shuffle_classes=1", "+shuffle_classes=2")
    )
    assert len({plain.fingerprint, one.fingerprint, two.fingerprint}) == 3
    assert sorted(one.class_names) == sorted(two.class_names) == list(plain.class_names)
    shutil.rmtree(root / "class_05")
    fewer = folder.listing(root, shuffle=1).class_names
    assert fewer == tuple(c for c in one.class_names if c != "class_05")


FORMS = {
    "BOM and CRLF": lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
    "lone CR": lambda text: text.replace("\n", "\r").encode(),
    "NFC": lambda text: unicodedata.normalize("NFC", text).encode(),
    "NFD": lambda text: unicodedata.normalize("NFD", text).encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "spreadsheet": lambda text: text.replace("\n", ",\n").encode() + b",,\n  \n",
    "upper case": lambda text: (
        text.replace("class,split", "CLASS,Split").replace(",train", ",TRAIN").encode()
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("folders", ["NFC", "NFD"])
def test_split_files_are_read_however_they_are_written(
    tmp_path: Path, form: str, folders: str
) -> None:
    names = [unicodedata.normalize(folders, f"Café {c}, big") for c in range(6)]
    halves = ["train" if c % 3 else "test" for c in range(6)]
    rows = [f'"{name}",{half}' for name, half in zip(names, halves, strict=True)]
    (tmp_path / "split.csv").write_bytes(FORMS[form]("\n".join(["class,split", *rows, ""])))
    read = split_file.read(tmp_path / "split.csv", names)
    assert read == dict(zip(names, halves, strict=True))


def test_skip_bad_goes_on_without_them_and_the_fingerprint_is_that_of_what_is_left(
    tmp_path: Path,
) -> None:
    root, data = images(tmp_path / "birds", classes=4), tmp_path / "data"
    (root / "class_00" / "1.png").write_bytes(b"no image")
    miniatures.truncate(root / "class_03" / "2.png")
    code, _, err = call("data", "verify", f"folder:{root}", "--data", data)
    assert code == 2
    assert "--skip-bad" in err
    code, out, _ = call("data", "verify", f"folder:{root}", "--skip-bad", "--data", data)
    assert code == 0
    assert "class_00/1.png" in out
    words = ("data", "cache", f"folder:{root}", "--resize", 16, "--data", data)
    assert call(*words)[0] == 2
    out = [call(*words, "--skip-bad")[1].splitlines()[-1] for _ in range(2)]
    assert out[0] == out[1]
    assert "without 2 images that cannot be decoded" in out[0]
    (root / "class_00" / "1.png").unlink()
    (root / "class_03" / "2.png").unlink()
    assert call(*words)[1].splitlines()[-1].split()[-1] == out[0].split()[-1]


def test_the_same_picture_in_both_halves_or_two_classes_is_said(tmp_path: Path) -> None:
    root = images(tmp_path / "birds", classes=8)
    shutil.copy(root / "class_00" / "1.png", root / "class_07" / "copy.png")
    shutil.copy(root / "class_01" / "1.png", root / "class_02" / "copy.png")
    shutil.copy(root / "class_03" / "1.png", root / "class_03" / "copy.png")
    warnings = [
        line for line in check(folder.listing(root), root, silent) if line.startswith("WARNING")
    ]
    assert "1 pictures stand in both halves" in warnings[0]
    assert "class_00/1.png = class_07/copy.png" in warnings[0]
    assert "class_01/1.png = class_02/copy.png" in warnings[1]
    assert len(warnings) == 2


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images(tmp_path / "birds", classes=4)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    code, _, _ = call("data", "cache", "folder:~/birds", "--resize", 16, "--data", "~/data")
    assert code == 0
    assert (tmp_path / "data" / "cache").is_dir()
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("wrapping", ["archive", "archive/Whole Benchmark"])
@pytest.mark.parametrize("name", ["cub", "cars", "sop", "inshop"])
def test_published_datasets_are_read_through_wrappings(
    tmp_path: Path, name: str, wrapping: str
) -> None:
    layout = {"layout": "devkit"} if name == "cars" else {}
    getattr(miniatures, name)(tmp_path / "plain", **layout)
    plain = datasets.module(name).listing(tmp_path / "plain")
    inner = tmp_path / "data" / wrapping
    shutil.copytree(tmp_path / "plain", inner)
    (inner / "counts.txt").rename(tmp_path / "data" / "counts.txt")
    listing = datasets.module(name).listing(tmp_path / "data")
    assert listing.paths == tuple(f"{wrapping}/{path}" for path in plain.paths)


@pytest.mark.parametrize("place", ["", "car_devkit", "car_devkit/devkit"])
def test_cars_lists_are_found_wherever_kaggle_has_them(tmp_path: Path, place: str) -> None:
    miniatures.cars(tmp_path, layout="devkit")
    before = cars.listing(tmp_path)
    shutil.move(tmp_path / "devkit", tmp_path / "lists")
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for path in (tmp_path / "lists").iterdir():
        shutil.move(path, tmp_path / place / path.name)
    (tmp_path / "lists").rmdir()
    assert cars.listing(tmp_path).paths == before.paths
