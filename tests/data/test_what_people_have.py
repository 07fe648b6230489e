"""Files as other programs leave them: missing groups, damaged archives, halves with one class."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace

import numpy as np
import pytest

from harness.data import datasets, embedding_files, feature_files, groups, split_file
from harness.records import folder
from harness.schema import Problem
from harness.training import state_dicts
from studies.smoke import STUDY as SMOKE
from tests.made import call, images

NONE = ("", "-1", "-1.0", "nan", "NaN", "None", "null", "<NA>", "NA", "n/a")


@pytest.mark.parametrize("none", NONE)
def test_whatever_stands_for_no_group_is_no_group(none):
    assert groups.numbered(["b", none, "a", none]).tolist() == [1, -1, 0, -1]


@pytest.mark.parametrize("none", NONE)
def test_score_gives_the_same_numbers_however_no_group_is_spelled_and_counts_the_groups(
    tmp_path, none
):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.normal(size=(24, 4)))
    tables = []
    for spelled in ("", none):
        named = ["cam" if n % 2 else spelled for n in range(24)]
        lines = [f"{n % 4},{group}" for n, group in enumerate(named)]
        (tmp_path / "labels.csv").write_text("\n".join(["label,group", *lines]) + "\n")
        code, out, _ = call("score", tmp_path / "x.npy", tmp_path / "labels.csv")
        assert code == 0
        tables.append(out.split("\n\n")[0])
        assert "there are 1 groups, and 12 images in none" in out
    assert tables[0] == tables[1]


def test_a_damaged_compressed_archive_is_refused_in_one_line(tmp_path):
    path = tmp_path / "c.npz"
    rows = np.random.default_rng(0).integers(0, 4, (64, 32)).astype(float)
    for name, read in (
        ("embeddings", embedding_files.read_embeddings),
        ("features", feature_files.read),
    ):
        np.savez_compressed(path, **{name: rows})
        content = bytearray(path.read_bytes())
        content[len(content) // 3 : len(content) // 3 + 40] = b"\xff" * 40
        path.write_bytes(bytes(content))
        with pytest.raises(zlib.error), np.load(path) as archive:
            archive[name]
        with pytest.raises(Problem, match="cannot be read"):
            read(path)


def test_a_header_that_is_nearly_label_is_asked_about(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("labels\na\nb\n")
    with pytest.raises(Problem, match="if it is the header, call it `label`"):
        embedding_files.read_labels(path)
    path.write_text("class\na\nclass\na\n")  # a class may be called so
    assert len(embedding_files.read_labels(path).labels) == 4


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short"])
def test_weights_that_were_cut_short_are_said_to_be(tmp_path, content):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(
        Problem, match="holds no state_dict of tensors that can be read, perhaps it was cut"
    ):
        state_dicts.read(path)


def test_a_class_of_one_image_is_refused_before_an_image_is_decoded(tmp_path):
    root = images(tmp_path / "images")
    (root / "lonely").mkdir()
    (root / "lonely" / "0.png").write_bytes(b"no image at all")
    code, _, err = call("data", "verify", f"folder:{root}")
    assert code == 2
    assert "class 'lonely' holds one image" in err


def test_a_folder_with_all_classes_in_one_half_is_refused_by_verify(tmp_path):
    root = images(tmp_path / "images")
    names = sorted(path.name for path in root.iterdir())
    rows = "\n".join(["class,split", *(f"{name},train" for name in names)])
    (root / "split.csv").write_text(rows + "\n")
    code, _, err = call("data", "verify", f"folder:{root}")
    assert code == 2
    assert f"0 of {len(names)} classes in the test half" in err


@pytest.mark.parametrize(
    ("is_test", "labels", "line"),
    [
        (lambda label: label < 0, lambda n: n // 3, "0 of 8 classes in the test half"),
        (lambda label: label >= 0, lambda n: n // 3, "0 of 8 classes in the trainval half"),
        (lambda label: label > 6, lambda n: n // 3, "1 of 8 classes in the test half"),
        (lambda label: label > 11, lambda n: n, "no class of the trainval half holds two"),
    ],
)
def test_features_that_no_study_can_use_are_refused_by_verify(tmp_path, is_test, labels, line):
    path = tmp_path / "f.npz"
    of_image = np.array([labels(n) for n in range(24)])
    marks = np.array([is_test(label) for label in of_image])
    np.savez(path, features=np.eye(24), labels=of_image, is_test=marks)
    code, _, err = call("data", "verify", f"features:{path}")
    assert (code, line in err) == (2, True), err


def test_images_that_are_drawn_cannot_be_bad(tmp_path):
    with pytest.raises(Problem, match="glyphs is drawn by this program, and no image of it is bad"):
        datasets.known("glyphs+skip_bad")


def test_check_reads_the_dataset_of_a_study_as_the_study_did(tmp_path):
    """What per_dataset says of cub holds for cub+skip_bad: nothing has changed since."""
    study = replace(SMOKE.for_dataset("cub"))
    where = tmp_path / "results" / "smoke" / "cub+skip_bad"
    folder.create(where)
    folder.admit(where, folder.describe(study, "cub+skip_bad", "cub", "x"))
    code, out, _ = call("check", "--results", tmp_path / "results", "--json")
    findings = json.loads(out)["findings"] if out.startswith("{") else json.loads(out)
    assert [finding["kind"] for finding in findings] == ["incomplete"]
    assert code == 1


def test_names_of_classes_in_another_encoding_stay_apart(tmp_path):
    path = tmp_path / "labels.npy"
    np.save(path, np.array([name.encode("latin-1") for name in ("é", "é", "è", "è", "a")]))
    read = embedding_files.read_labels(path)
    assert (len(read.class_names), read.labels.tolist()) == (3, [2, 2, 1, 1, 0])


def features_with(tmp_path, content, n=4):
    np.save(tmp_path / "f.npy", np.eye(n))
    (tmp_path / "f.csv").write_bytes(content)
    return feature_files.read(tmp_path / "f.npy")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_labels_of_features_are_read_in_any_encoding_and_cut_at_ends_of_lines_only(
    tmp_path, encoding
):
    name = "é" if encoding == "cp1252" else "two\u2028lines\x0bor\x1cmore"
    read = features_with(tmp_path, f"label\r\n{name}\r\nb\r\n{name}\r\nb\r\n".encode(encoding))
    assert len(read["labels"]) == 4
    assert len(set(read["labels"].tolist())) == 2
    assert encoding == "cp1252" or read["labels"][0] == name


@pytest.mark.parametrize("n_rows", [4, 50_000])
def test_a_stray_quote_is_named_with_its_line_and_swallows_no_row(tmp_path, n_rows):
    rows = ["label", '"a', *(f"b{n}" for n in range(n_rows))]
    content = "\n".join([*rows, ""]).encode()
    with pytest.raises(Problem, match=r"f\.csv: line \d+: .*; save it as CSV again"):
        features_with(tmp_path, content)
    (tmp_path / "split.csv").write_bytes(content.replace(b"label", b"class,split"))
    with pytest.raises(Problem, match=r"split\.csv: line \d+: .*; save it as CSV again"):
        split_file.read(tmp_path / "split.csv", ["a", "b"])
