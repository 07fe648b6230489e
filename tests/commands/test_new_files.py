"""Files that `new` writes for a trunk, a dataset or a study of one's own: they work as they are."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import studies
from harness import files
from harness.commands import options, study_files
from harness.data import check, datasets
from harness.schema import Problem
from harness.training import network, trunks
from studies.demo import STUDY as DEMO
from tests.made import TINY, call, images

WRITTEN = {
    "trunks": Path("harness/training/trunks/mine_too.py"),
    "data": Path("harness/data/datasets/mine_too.py"),
    "studies": Path("studies/mine_too.py"),
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout of one's own with the three files; what it prints by command."""
    root = tmp_path_factory.mktemp("checkout")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "CHECKOUT", root)
        printed = {command: call(command, "new", "mine_too") for command in WRITTEN}
        assert {code for code, _, _ in printed.values()} == {0}
        again = [call(command, "new", "mine_too") for command in WRITTEN]
    assert all((code, "exists; take another name" in err) == (2, True) for code, _, err in again)
    packages = (("trunks", trunks), ("data", datasets), ("studies", studies))
    with pytest.MonkeyPatch.context() as patch:
        for command, package in packages:
            folder = str((root / WRITTEN[command]).parent)
            patch.setattr(package, "__path__", [*package.__path__, folder])
        importlib.invalidate_caches()
        yield {command: out for command, (_, out, _) in printed.items()}
    for _, package in packages:
        sys.modules.pop(f"{package.__name__}.mine_too", None)
        vars(package).pop("mine_too", None)


def test_each_says_which_command_uses_it(checkout):
    for command, path in WRITTEN.items():
        assert checkout[command].startswith(f"{path}: a ")
        assert "mine_too\n" in checkout[command].replace(" --weights none", "")


def test_a_new_trunk_embeds_images_of_one_channel_and_of_three(checkout):
    study = dataclasses.replace(TINY, trunk="mine_too")
    for channels in (1, 3):
        net = network.build(study, study.dim, channels)
        grey_levels = torch.zeros(2, channels, 32, 32, dtype=torch.uint8)
        assert net(grey_levels).shape == (2, study.dim)
    assert "mine_too" in call("trunks")[1]


@pytest.fixture
def data(tmp_path):
    """A data folder with the dataset of the new file: 16 classes, of which 8 are test classes."""
    root = tmp_path / "mine_too"
    images(root / "photos")
    rows = []
    for path in sorted((root / "photos").rglob("*.png")):
        name = path.parent.name
        half = "test" if name > "class_07" else "trainval"
        rows.append(f"{path.relative_to(root)},{name},{half}")
    (root / "labels.csv").write_text("\n".join(["path,class,half", *rows]) + "\n")
    return tmp_path


def test_a_new_dataset_reads_its_list_and_is_in_every_command_that_takes_a_name(checkout, data):
    dataset = datasets.load("mine_too", data, 32)
    assert np.bincount(dataset.labels).tolist() == [4] * 16
    assert np.unique(dataset.labels[dataset.is_test]).tolist() == list(range(8, 16))
    rows = {row.name: row for row in check.describe(data, datasets.modules())}
    assert (rows["mine_too"].here, rows["mine_too"].images) == ("whole", None)
    code, out, _ = call("data", "verify", "mine_too", "--data", data)
    assert (code, "mine_too: 64 images, 16 classes" in out) == (0, True)
    (data / "mine_too" / "labels.csv").unlink()
    code, out, _ = call("data", "fetch", "mine_too", "--data", data)
    assert (code, "By hand:\n  Put labels.csv and the images into" in out) == (1, True)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("path,class,half", "path,klass,half", "has no class; it needs path, class, half"),
        ("class_00,trainval", "class_00,train", "half = 'train'; give one of trainval, test"),
        ("photos/class_00/0.png", "photos/class_00/9.png", "1 of 64 images are missing"),
        ("0.png,class_00,trainval", "0.png,class_00,test", "classes in both"),
        ("0.png,class_00,trainval", "0.png,class_00 ,test", "classes in both"),
        ("0.png,class_00,trainval", '0.png,"class_00,trainval', "save it as CSV again"),
        ("0.png,class_00,trainval", "0.png,,trainval", "line 2 lacks one of path, class, half"),
    ],
)
def test_what_is_wrong_in_its_list_is_one_line(checkout, data, old, new, line):
    path = data / "mine_too" / "labels.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(Problem, match=line):
        datasets.module("mine_too").listing(data / "mine_too")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "has no path or class or half"),
        (b"path,class,half\n", "has a header and no rows"),
        ("path,class,half\n\u00e9.png,a,test\n".encode("latin-1"), "images are missing"),
        ("path,class,half\n\u00e9.png,a,test\n".encode("utf-16"), "images are missing"),
    ],
)
def test_a_list_of_any_encoding_is_read_and_an_empty_one_refused(checkout, data, content, line):
    (data / "mine_too" / "labels.csv").write_bytes(content)
    with pytest.raises(Problem, match=line):
        datasets.module("mine_too").listing(data / "mine_too")


@pytest.fixture
def broken(monkeypatch):
    """The files of the trunk convnet and of the dataset cub raise when they are imported."""
    real = importlib.import_module

    def import_module(name, *more):
        if name.endswith((".trunks.convnet", ".datasets.cub")):
            raise SyntaxError("invalid syntax")
        return real(name, *more)

    for package in (trunks, datasets):
        monkeypatch.setattr(package.importlib, "import_module", import_module)


def test_a_file_that_cannot_be_imported_is_named_and_the_others_are_listed(broken, tmp_path):
    code, out, err = call("trunks")
    assert (code, "resnet50" in out) == (0, True)
    line = "harness/training/trunks/convnet.py cannot be imported (SyntaxError: invalid syntax)"
    assert line in err
    with pytest.raises(Problem, match=r"convnet\.py cannot be imported"):
        trunks.load("convnet")
    code, out, err = call("data", "list", "--data", tmp_path)
    assert (code, "cars: " in out, "\ncub: " in out) == (0, True, False)
    assert "harness/data/datasets/cub.py cannot be imported (SyntaxError" in err
    code, _, err = call("data", "verify", "cub", "--data", tmp_path)
    assert (code, err.count("\n")) == (2, 1)


def test_a_trunk_file_without_a_trunk_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(trunks.module_of("convnet"), "TRUNK", 3)
    with pytest.raises(Problem, match=r"convnet.py has no TRUNK = Trunk\(...\)"):
        trunks.load("convnet")


def test_a_new_study_is_the_one_that_it_starts_from_under_its_own_name(checkout, monkeypatch):
    names_in = options.names_in
    monkeypatch.setattr(options, "names_in", lambda package: [*names_in(package), "mine_too"])
    study = study_files.load_study("mine_too")
    assert study == dataclasses.replace(DEMO, name="mine_too")
    assert "mine_too" in call("studies")[1]
    page = call("studies", "mine_too")[1]
    assert "It fixes:" in page
    assert "  trunk = 'strided_convnet'" in page


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["trunks", "new"], "trunks new needs a NAME"),
        (["studies", "new", "class"], "cannot be a study's name"),
        (["trunks", "new", "timm"], "it means something else"),
        (["data", "new", "folder"], "it means something else"),
        (["data", "new", "../x"], "use snake_case"),
        (["studies", "new", "x", "--like", "optimism"], "may score on test classes"),
        (["studies", "new", "x", "--like", "landscapes"], "compares no losses"),
        (["studies", "demo", "smoke"], "takes one"),
    ],
)
def test_what_cannot_be_written_is_one_line(words, line):
    code, out, err = call(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert line in err
