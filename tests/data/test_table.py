"""table:FILE as people's programs save it: marks, boxes, groups, spellings, faults with lines."""

from __future__ import annotations

import csv
import io
import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import Resize

from harness.data import datasets
from harness.data.datasets import cars, cub, inshop, sop, table
from harness.data.listing import Listing
from harness.schema import Dataset, Problem
from tests.data import miniatures
from tests.made import call, images

Row = dict[str, Any]


def silent(line: str) -> None:
    del line


def write(path: Path, rows: Sequence[Row], separator: str = ",") -> Path:
    """The rows as pandas saves them: True, False, nothing for a missing value."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    return path


def birds(root: Path, classes: int = 8, per_class: int = 3) -> list[Row]:
    """A row for each image of a folder of classes, the second half of the classes to be tested."""
    images(root, classes=classes, per_class=per_class)
    return [
        {
            "path": f"class_{label:02}/{number}.png",
            "label": label,
            "split": "train" if label < classes // 2 else "validation",
        }
        for label in range(classes)
        for number in range(per_class)
    ]


def load(path: Path, data: Path, end: str = "", side: int = 16) -> Dataset:
    return datasets.load.__wrapped__(f"table:{path}{end}", data, side, silent)  # not remembered


def refusal(path: Path) -> str:
    with pytest.raises(Problem) as caught:
        table.listing(path)
    text = str(caught.value)
    assert "\n" not in text
    return text


# what a table says


def test_a_table_of_a_folders_images_has_the_folders_fingerprint(tmp_path: Path) -> None:
    rows = birds(tmp_path / "birds")
    plain = write(
        tmp_path / "birds" / "plain.csv", [{k: r[k] for k in r if k != "split"} for r in rows]
    )
    split = write(tmp_path / "birds" / "split.csv.txt", rows)
    by_folder = datasets.load(f"folder:{tmp_path / 'birds'}", tmp_path / "data", 16, silent)
    for path in (plain, split):
        by_table = load(path, tmp_path / "data")
        assert by_table.fingerprint == by_folder.fingerprint
        assert (by_table.is_query, by_table.is_gallery, by_table.groups) == (None, None, None)
        np.testing.assert_array_equal(by_table.labels, by_folder.labels)


def test_classes_follow_their_numbers_and_the_split_may_name_any_of_them(tmp_path: Path) -> None:
    rows = birds(tmp_path, classes=12)
    for row in rows:
        row["split"] = "test" if row["label"] in (0, 2, 10) else "train"
    listing = table.listing(write(tmp_path / "df.csv", rows))
    assert listing.class_names == tuple(str(number) for number in range(12))
    assert {int(label) for label in listing.labels[listing.is_test]} == {0, 2, 10}
    assert any(
        "test 0, 2, 10 (3 classes); the test half is by the column split" in note
        for note in listing.notes
    )


def test_validation_joins_train_only_where_there_is_a_test(tmp_path: Path) -> None:
    rows = birds(tmp_path)
    for row in rows:
        row["split"] = "Validation" if row["label"] < 3 else "train"
    path = write(tmp_path / "df.csv", rows)
    listing = table.listing(path)
    assert set(listing.labels[listing.is_test].tolist()) == {0, 1, 2}
    for row in rows:
        row["split"] = {0: "val", 1: "val", 7: "test", 6: "TEST"}.get(row["label"], "train")
    listing = table.listing(write(path, rows))
    assert set(listing.labels[listing.is_test].tolist()) == {6, 7}


def test_queries_gallery_and_groups_reach_the_dataset_and_its_fingerprint(tmp_path: Path) -> None:
    rows = birds(tmp_path)
    for i, row in enumerate(rows):
        tested = row["split"] != "train"
        row |= {
            "is_query": i % 3 == 0 if tested else None,
            "is_gallery": i % 3 != 0 if tested else None,
        }
    path = write(tmp_path / "df.csv", rows)
    apart = load(path, tmp_path / "data")
    is_test = np.arange(24) >= 12
    first = np.arange(24) % 3 == 0
    np.testing.assert_array_equal(apart.is_query, is_test & first)
    assert apart.is_gallery is None  # all that are no query
    for row in rows:
        row["is_gallery"] = None if row["split"] == "train" else True
    both = load(write(path, rows), tmp_path / "data")
    np.testing.assert_array_equal(both.is_gallery, is_test)
    for i, row in enumerate(rows):
        row["group"] = ("left", "", "right", "-1", None)[i % 5]
    grouped = load(write(path, rows), tmp_path / "data")
    np.testing.assert_array_equal(grouped.groups, [(0, -1, 1, -1, -1)[i % 5] for i in range(24)])
    assert len({apart.fingerprint, both.fingerprint, grouped.fingerprint}) == 3
    for row in rows:
        row["sequence"] = row.pop("group")
    assert load(write(path, rows), tmp_path / "data").fingerprint == grouped.fingerprint


@pytest.mark.parametrize("column", ["is_query", "is_gallery"])
def test_one_column_of_marks_leaves_the_rest_to_the_other(tmp_path: Path, column: str) -> None:
    rows = birds(tmp_path)
    for i, row in enumerate(rows):
        row[column] = i % 3 == 0 if row["split"] == "validation" else None
    listing = table.listing(write(tmp_path / "df.csv", rows))
    queries = np.arange(24) % 3 == 0 if column == "is_query" else np.arange(24) % 3 != 0
    np.testing.assert_array_equal(listing.is_query, queries & listing.is_test)
    assert listing.is_gallery is None


YES, NO = ("True", "true", "TRUE", "1", "1.0", "yes"), ("False", "false", "0", "0.0", "no")
NEITHER = ("", "nan", "NaN", "None", "NULL", "<NA>")


@settings(deadline=None)
@given(st.data())
def test_marks_mean_the_same_however_they_are_spelled(tmp_path_factory: Any, data: Any) -> None:
    root = tmp_path_factory.getbasetemp() / "spelled"
    rows = (
        birds(root, classes=4)
        if not root.exists()
        else [
            {
                "path": f"class_{c:02}/{i}.png",
                "label": c,
                "split": "train" if c < 2 else "validation",
            }
            for c in range(4)
            for i in range(3)
        ]
    )
    for i, row in enumerate(rows):
        tested = row["split"] == "validation"
        words = NEITHER if not tested else YES if i % 3 == 0 else NO
        row["is_query"] = data.draw(st.sampled_from(words))
        row["is_gallery"] = data.draw(st.sampled_from(YES if tested else NEITHER))
    listing = table.listing(write(root / "df.csv", rows))
    np.testing.assert_array_equal(listing.is_query, [i % 3 == 0 and i >= 6 for i in range(12)])
    np.testing.assert_array_equal(listing.is_gallery, np.arange(12) >= 6)


@settings(deadline=None)
@given(st.permutations(range(24)))
def test_the_order_of_the_rows_changes_no_image(tmp_path_factory: Any, order: list[int]) -> None:
    root = tmp_path_factory.getbasetemp() / "permuted"
    if not root.exists():
        birds(root)
    rows = [
        {"path": f"class_{i // 3:02}/{i % 3}.png", "label": f"c{i // 3}", "group": i % 4}
        for i in order
    ]
    listing = table.listing(write(root / "df.csv", rows))
    assert listing.groups is not None
    seen = zip(
        listing.paths,
        listing.labels.tolist(),
        listing.is_test.tolist(),
        listing.groups,
        strict=True,
    )
    assert sorted(seen) == [
        (f"class_{i // 3:02}/{i % 3}.png", i // 3, i >= 12, i % 4) for i in range(24)
    ]


# open-metric-learning's tables of the published datasets


def half_of(listing: Listing) -> dict[str, tuple[int, bool]]:
    rows = zip(listing.paths, listing.labels.tolist(), listing.is_test.tolist(), strict=True)
    return {path: (label, test) for path, label, test in rows}


def marked(path: str, label: int, train: bool, query: bool = True, gallery: bool = True) -> Row:
    return {
        "label": label,
        "path": path,
        "split": "train" if train else "validation",
        "is_query": None if train else query,
        "is_gallery": None if train else gallery,
    }


@pytest.mark.parametrize("name", ["cub", "cars"])
def test_a_split_within_classes_gives_the_halves_of_the_papers(tmp_path: Path, name: str) -> None:
    """Their tables of CUB and Cars keep the datasets' first split, half of each class's images."""
    if name == "cub":
        miniatures.cub(tmp_path, classes=12)
        ours, root = cub.listing(tmp_path), tmp_path / "CUB_200_2011"
    else:
        miniatures.cars(tmp_path, layout="devkit", classes=12)
        ours, root = cars.listing(tmp_path), tmp_path
    rows = []
    for i, (path, label) in enumerate(zip(ours.paths, ours.labels.tolist(), strict=True)):
        within = path.removeprefix("CUB_200_2011/")
        where = within if name == "cub" else f"/their/disk/CARS196/{within}"
        train = i % 2 == 0 if label < 11 else True
        row = marked(where, label + 1, train)
        rows.append(row | {"x_1": 2, "x_2": 20, "y_1": 3, "y_2": 22})
    listing = table.listing(write(root / "df_with_bboxes.csv", rows))
    theirs = {
        path if name == "cars" else f"CUB_200_2011/{path}": half
        for path, half in half_of(listing).items()
    }
    assert theirs == half_of(ours)
    assert listing.is_query is None
    assert listing.is_gallery is None
    assert any("divides the images within classes" in note for note in listing.notes)
    assert listing.boxes is not None
    assert listing.boxes.tolist() == [[2, 3, 20, 22]] * len(rows)


def test_their_table_of_sop_is_ours(tmp_path: Path) -> None:
    miniatures.sop(tmp_path)
    ours = sop.listing(tmp_path)
    root = tmp_path / "Stanford_Online_Products"
    rows = [
        marked(
            f"data/sop/{Path(path).relative_to(root.name)}", int(ours.class_names[label]), not test
        )
        | {"image_id": i, "super_class_id": 1, "category": "bicycle_final"}
        for i, (path, (label, test)) in enumerate(half_of(ours).items())
    ]
    listing = table.listing(write(root / "df.csv", rows))
    assert {f"{root.name}/{path}": half for path, half in half_of(listing).items()} == half_of(ours)
    assert any("image_id, super_class_id, category" in note for note in listing.notes)
    assert any("begin with data/sop/, which is not here" in note for note in listing.notes)


def test_their_table_of_inshop_is_ours_with_its_queries_and_gallery(tmp_path: Path) -> None:
    miniatures.inshop(tmp_path)
    ours = inshop.listing(tmp_path)
    assert ours.is_query is not None
    rows = []
    for i, (path, (label, test)) in enumerate(half_of(ours).items()):
        query = bool(ours.is_query[i])
        rows.append(marked(path, int(ours.class_names[label][3:]), not test, query, not query))
    listing = table.listing(write(tmp_path / "df.csv", rows))
    assert half_of(listing) == half_of(ours)
    np.testing.assert_array_equal(listing.is_query, ours.is_query)
    assert listing.is_gallery is None


# boxes


def cut(path: Path, box: tuple[int, int, int, int] | None, side: int) -> Any:
    """What torchvision and PIL make of a picture and its box."""
    image = Image.open(path).convert("RGB")
    return np.asarray(Resize(side)(image if box is None else image.crop(box)))


def test_boxes_are_cut_out_before_resizing_and_an_image_may_have_several(tmp_path: Path) -> None:
    rows = birds(tmp_path, classes=4)
    boxes: list[tuple[int, int, int, int] | None] = [
        (2, 3, 18, 30),
        None,
        (0, 0, 32, 9),
        (5, 5, 99, 99),
    ]
    chosen = [
        rows[3 * label + i % 3] | {"box": boxes[(label + i) % 4]}
        for label in range(4)
        for i in range(6)
    ]
    table_rows = []
    for row in chosen[:6:5] + chosen[6:]:
        left, top, right, bottom = row.pop("box") or (None,) * 4
        table_rows.append(
            row | {"x_1": left, "y_1": top, "x_2": right, "y_2": f"{bottom}.0" if bottom else ""}
        )
    unique = list({tuple(row.values()): row for row in table_rows}.values())
    dataset = load(write(tmp_path / "df.csv", unique), tmp_path / "data", side=12)
    assert len(dataset.images) == len(unique) > 12  # rows of one file with several boxes
    for i, row in enumerate(unique):
        box = None
        if row["x_1"] is not None:
            box = (row["x_1"], row["y_1"], min(row["x_2"], 32), min(int(float(row["y_2"])), 32))
        np.testing.assert_array_equal(dataset.images[i], cut(tmp_path / row["path"], box, 12))
    unique[0]["x_1"] = 1 if unique[0]["x_1"] != 1 else 2
    unique[0] |= {"y_1": 0, "x_2": 20, "y_2": 20}
    assert load(write(tmp_path / "df.csv", unique), tmp_path / "data", side=12).fingerprint != (
        dataset.fingerprint
    )


def test_a_box_outside_its_image_is_named_and_skip_bad_goes_on_without_it(tmp_path: Path) -> None:
    rows = birds(tmp_path)
    rows = [
        row | {"x_1": "", "x_2": "", "y_1": "", "y_2": "", "group": i} for i, row in enumerate(rows)
    ]
    rows[4] |= {"x_1": 40, "x_2": 50, "y_1": 0, "y_2": 9}
    path = write(tmp_path / "df.csv", rows)
    with pytest.raises(Problem, match=r"1 of 24 images.*class_01/1\.png.*box 40, 0 to 50, 9"):
        load(path, tmp_path / "data")
    code, _, err = call("data", "verify", f"table:{path}", "--data", tmp_path / "data")
    assert (code, "class_01/1.png" in err) == (2, True)
    dataset = load(path, tmp_path / "data", "+skip_bad")
    assert len(dataset.images) == 23
    assert dataset.groups is not None
    assert sorted({*range(24)} - set(dataset.groups.tolist())) != []
    np.testing.assert_array_equal(dataset.images[4], cut(tmp_path / rows[5]["path"], None, 16))


# as programs save it


def saved(rows: Sequence[Row], change: Callable[[str], str | bytes]) -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content = change(file.getvalue())
    return content if isinstance(content, bytes) else content.encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace("path,label,split", " Path ,LABEL,Split").replace(
            "train", "Train"
        ),
        lambda text: "\n\n" + text.replace("\n", "\n,,\n") + "\n",
        lambda text: "\n".join(
            f"{i}," * (i > 0) + "," * (i == 0) + line for i, line in enumerate(text.splitlines())
        ),
        lambda text: text.replace("class_", "./class_"),
        lambda text: text.replace("/", "\\"),
        lambda text: "\n".join(line + ",," for line in text.splitlines()),
    ],
    ids=[
        "bom_crlf",
        "utf16",
        "semicolons",
        "tabs",
        "case",
        "blank",
        "index",
        "dot",
        "windows",
        "trailing",
    ],
)
def test_one_table_saved_in_many_ways_is_one_listing(
    tmp_path: Path, change: Callable[[str], str | bytes]
) -> None:
    rows = birds(tmp_path)
    expected = table.listing(write(tmp_path / "df.csv", rows))
    (tmp_path / "df.csv").write_bytes(saved(rows, change))
    assert half_of(table.listing(tmp_path / "df.csv")) == half_of(expected)


def test_names_that_look_the_same_are_the_same_and_may_hold_anything(tmp_path: Path) -> None:
    rows = birds(tmp_path)
    for row in rows[:3]:
        row["label"] = 'Café, "big"\nand old'
    rows[1]["label"] = unicodedata.normalize("NFD", rows[1]["label"])
    (tmp_path / "é.png").write_bytes((tmp_path / rows[0]["path"]).read_bytes())
    (tmp_path / "class_01" / "0.png").rename(tmp_path / unicodedata.normalize("NFD", "ü.png"))
    rows[0]["path"], rows[3]["path"] = unicodedata.normalize("NFD", "é.png"), "ü.png"
    listing = table.listing(write(tmp_path / "df.csv", rows))
    assert len(listing.class_names) == 8
    assert 'Café, "big"\nand old' in listing.class_names
    assert load(tmp_path / "df.csv", tmp_path / "data").labels[:3].tolist() == [7, 7, 7]


def test_parquet_is_the_csv(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = birds(tmp_path)
    for i, row in enumerate(rows):
        tested = row["split"] == "validation"
        row |= {"is_query": i % 2 == 0 if tested else None, "is_gallery": True if tested else None}
        row |= {"group": f"g{i % 4}" if i % 3 else None, "note": str(i)}
        row |= dict.fromkeys(("x_1", "y_1"), 1.0 if i % 2 else None)
        row |= dict.fromkeys(("x_2", "y_2"), 20.0 if i % 2 else float("nan"))
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "df.parquet")
    texts = [{k: "" if v is None or v != v else v for k, v in row.items()} for row in rows]
    by_csv = table.listing(write(tmp_path / "df.csv", texts))
    by_parquet = table.listing(tmp_path / "df.parquet")
    for name in ("paths", "labels", "is_test", "is_query", "is_gallery", "groups", "boxes"):
        np.testing.assert_array_equal(getattr(by_parquet, name), getattr(by_csv, name))
    assert by_parquet.boxes is not None
    assert by_parquet.groups is not None
    rows[5]["label"] = None
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "df.parquet")
    assert "label is empty: row 6" in refusal(tmp_path / "df.parquet")
    (tmp_path / "df.parquet").write_bytes(b"PAR1 torn")
    assert "no readable Parquet file" in refusal(tmp_path / "df.parquet")


def test_without_pyarrow_a_parquet_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "df.parquet").write_bytes(b"PAR1")
    assert "pip install pyarrow" in refusal(tmp_path / "df.parquet")


def test_skip_bad_goes_on_without_images_that_are_not_there(tmp_path: Path) -> None:
    rows, data = birds(tmp_path), tmp_path / "data"
    whole = write(tmp_path / "whole.csv", rows[:3] + rows[4:])
    table = write(tmp_path / "df.csv", [*rows[:3], {**rows[3], "path": "gone/9.png"}, *rows[4:]])
    words = ("--resize", 16, "--data", data)
    code, _, err = call("data", "cache", f"table:{table}", *words)
    assert (code, "gone/9.png (line 5)" in err, "--skip-bad" in err) == (2, True, True)
    code, out, _ = call("data", "cache", f"table:{table}", *words, "--skip-bad")
    assert (code, "gone/9.png (FileNotFoundError" in out) == (0, True)
    of_whole = call("data", "cache", f"table:{whole}", *words)[1]
    assert out.split()[-1] == of_whole.split()[-1]


# faults


FAULTS: dict[str, tuple[Callable[[list[Row]], object], str]] = {
    "no such image": (
        lambda r: r[4].update(path="class_09/9.png"),
        r"1 of 24 images.*class_09/9\.png \(line 6\)",
    ),
    "a row twice": (
        lambda r: r.append(dict(r[2])),
        r"more than once: class_00/2\.png \(line 4\), class_00/2\.png \(line 26\)",
    ),
    "a row twice by another path": (
        lambda r: r.append(dict(r[2], path="class_01/../class_00/2.png")),
        r"more than once: class_00/2\.png \(line 4\), class_01/\.\./class_00/2\.png \(line 26\)",
    ),
    "an unknown split": (
        lambda r: r[7].update(split="holdout"),
        r"split is none of .*train.*: line 9",
    ),
    "an empty path": (lambda r: r[7].update(path=" "), r"path is empty: line 9"),
    "an empty label": (lambda r: r[0].update(label=""), r"label is empty: line 2"),
    "a missing label": (
        lambda r: (r[0].update(label="NaN"), r[3].update(label="<NA>")),
        r"label is nan, which marks a missing one; leave .* out, or rename .*: line 2, line 5$",
    ),
    "a class in both halves": (
        lambda r: (
            r[1].update(split="test")
            or [x.update(split="test") for x in r if x["split"] != "train"]
        ),
        r"1 of 8 labels are in both halves: 0 \(line 4 says train, line 3 test\)",
    ),
    "an empty mark": (
        lambda r: [x.update(is_query="" if i == 20 else i % 2 == 0) for i, x in enumerate(r)],
        r"is_query is empty in the test half.*: line 22",
    ),
    "an unknown mark": (
        lambda r: [x.update(is_query="maybe" if i == 2 else True) for i, x in enumerate(r)],
        r"is_query is neither True nor False nor empty: line 4",
    ),
    "neither mark": (
        lambda r: [x.update(is_query=i % 2 == 0, is_gallery=i % 4 == 1) for i, x in enumerate(r)],
        r"neither query nor gallery in the test half: line 17, line 21, line 25",
    ),
    "no queries": (
        lambda r: [x.update(is_query=False, is_gallery=True) for x in r],
        r"is_query is True in no row",
    ),
    "part of a box": (
        lambda r: [x.update(x_1=1, y_1=1, x_2=9, y_2="" if i == 3 else 9) for i, x in enumerate(r)],
        r"some of their numbers only: line 5",
    ),
    "part of the columns": (
        lambda r: [x.update(x_1=1, y_1=1) for x in r],
        r"only x_1, y_1; give x_1, y_1, x_2, y_2",
    ),
    "half a pixel": (
        lambda r: [
            x.update(x_1=1, y_1=1, x_2=9.5 if i == 3 else 9, y_2=9) for i, x in enumerate(r)
        ],
        r"no whole numbers of pixels from 0 on: line 5",
    ),
    "below 0": (
        lambda r: [x.update(x_1=-1 if i == 3 else 0, y_1=1, x_2=9, y_2=9) for i, x in enumerate(r)],
        r"no whole numbers of pixels from 0 on: line 5",
    ),
    "an empty box": (
        lambda r: [x.update(x_1=9 if i == 3 else 1, y_1=1, x_2=9, y_2=9) for i, x in enumerate(r)],
        r"boxes without a pixel.*: line 5",
    ),
    "one label": (lambda r: [x.update(label="cat") for x in r], r"every row has the label 'cat'"),
    "no pairs": (
        lambda r: [x.update(label=f"only {i}") for i, x in enumerate(r) if x["split"] == "train"],
        r"no class of the trainval half holds two images",
    ),
    "nothing but a header": (
        lambda r: [x.update(path="", label="", split="") for x in r],
        r"holds no rows",
    ),
    "no labels": (
        lambda r: [x.pop("label") for x in r],
        r"no column label in its header; needed are path, label",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_that_says_where_it_is(tmp_path: Path, fault: str) -> None:
    rows = birds(tmp_path)
    change, pattern = FAULTS[fault]
    change(rows)
    text = refusal(write(tmp_path / "df.csv", rows))
    assert str(tmp_path / "df.csv") in text
    assert re.search(pattern, text), text


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"path,label\na.png,1\nb.png\n", "more or fewer cells than the 2 of its header: line 3"),
        (b"path,label\na,b.png,1\n", "more or fewer cells than the 2 of its header: line 2"),
        (
            b'path,label\na.png,"1\nb.png,2\n',
            "line 3: unexpected end of data; save it as CSV again",
        ),
        (b"path,label,label\na.png,1,2\n", "more than one column label; keep one of each"),
        (b"", "no column path, label"),
        (b"file,class\na.png,1\n", "no column path, label in its header"),
        (b"\xff\xfe\x00", "is no text"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, pattern: str) -> None:
    (tmp_path / "df.csv").write_bytes(content)
    assert pattern in refusal(tmp_path / "df.csv")


def test_what_is_no_file_of_a_table_is_refused(tmp_path: Path) -> None:
    assert "there is no file" in refusal(tmp_path / "gone.csv")
    assert f"is a folder; give the table in it, or folder:{tmp_path}" in refusal(tmp_path)
    (tmp_path / "df.xlsx").write_bytes(b"PK")
    assert "neither .csv nor .parquet" in refusal(tmp_path / "df.xlsx")


def test_single_images_stay_and_a_note_counts_them(tmp_path: Path) -> None:
    rows = birds(tmp_path)
    rows[0]["label"] = "alone"
    listing = table.listing(write(tmp_path / "df.csv", rows))
    assert any("classes of one image" in n and n.endswith(": 1") for n in listing.notes)
    assert len(load(tmp_path / "df.csv", tmp_path / "data").class_names) == 9


# on the command line


def test_the_home_folder_is_expanded_and_classes_can_be_shuffled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    rows = [{k: row[k] for k in ("path", "label")} for row in birds(tmp_path / "birds", classes=12)]
    write(tmp_path / "birds" / "df.csv", rows)
    texts = []
    for words in ([], ["--shuffle-classes", 3]):
        code, out, _ = call(
            "data",
            "cache",
            "table:~/birds/df.csv",
            "--resize",
            16,
            "--data",
            tmp_path / "d",
            *words,
        )
        assert code == 0
        texts.append(out)
    assert all("36 images cached" in text for text in texts)
    assert texts[0].split()[-1] != texts[1].split()[-1]
    assert "nothing to fetch" in call("data", "fetch", "table:~/birds/df.csv")[2]


def test_an_image_is_listed_twice_if_one_row_has_its_whole_path(tmp_path: Path) -> None:
    rows = birds(tmp_path)
    rows.append(dict(rows[2], path=str(tmp_path / "class_00" / "2.png")))
    assert re.search(
        r"more than once: class_00/2\.png \(line 4\), /.*/class_00/2\.png \(line 26\)",
        refusal(write(tmp_path / "birds.csv", rows)),
    )
