"""Cars196: 16,185 photographs of 196 car models; classes 1-98 trainval, 99-196 test.

Krause, Stark, Deng, Fei-Fei 2013, 3D Object Representations for Fine-Grained Categorization, 3dRR.
The official division into train and test images is NOT used here: metric learning divides by class.
The original address (ai.stanford.edu/~jkrause/cars) has been dead since 2023.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from harness.data.list_files import integers, read_lines
from harness.data.listing import (
    Counts,
    File,
    Listing,
    Source,
    checked,
    first_existing,
    named,
    relative,
    second_half,
)
from harness.data.walk import folders_down
from harness.schema import Problem

NAME = "cars"
COUNTS = Counts(images=16_185, classes=196, test_images=8_131, test_classes=98)
WHERE = "Kaggle jutrera/stanford-car-dataset-by-classes-folder (2 GB); the original is gone"
TRAIN = "cars_train_annos.mat"
DEVKITS = ("devkit", "car_devkit/devkit", "car_devkit", "")  # the last: beside cars_train
_KAGGLE = "https://www.kaggle.com/api/v1/datasets/download/jutrera/"
_HUB = (
    "https://huggingface.co/datasets/XiN0919/FGVC/resolve/921e8dce38536cd5982739d85d5e9235d2cb2a76/"
)
# The md5 sums are those widely used for Stanford's files; none is published for Kaggle's zip.
SOURCES = (
    Source("the Kaggle zip placed by hand", (File("archive.zip"),)),
    Source(
        "Kaggle, repacked by class",
        (File("cars196.zip", _KAGGLE + "stanford-car-dataset-by-classes-folder"),),
    ),
    Source(
        "a copy of Stanford's files on the Hugging Face Hub",
        (
            File("car_ims.tgz", _HUB + "car_ims.tgz", "md5:d5c8f0aa497503f355e17dc7886c3f14"),
            File("cars_annos.mat", _HUB + "cars_annos.mat", "md5:b407c6086d669747186bd1d764ff9dbc"),
        ),
    ),
)
BY_HAND = (
    "The original address is dead (github.com/pytorch/vision/issues/7545). Any of these will do:",
    "(a) https://www.kaggle.com/datasets/jutrera/stanford-car-dataset-by-classes-folder: download "
    "archive.zip, put it at {root}/archive.zip and run this command again.",
    "(b) car_ims.tgz and cars_annos.mat from an older download: put both into {root} and run this "
    "command again.",
    "(c) https://www.kaggle.com/datasets/jessicali9530/stanford-cars-dataset for cars_train and "
    "cars_test, car_devkit.tgz (github.com/pytorch/vision/files/11644847/car_devkit.tgz) unpacked "
    "as {root}/devkit, and cars_test_annos_withlabels.mat (linked in the issue above) in {root}.",
)


def listing(root: Path, expect: Counts = COUNTS) -> Listing:
    """The images in any of three layouts, labels by the class ids 1-196.

    1. names.csv, anno_train.csv, anno_test.csv and car_data (Kaggle jutrera, which
       pytorch-metric-learning reads).
    2. cars_annos.mat with car_ims (Stanford's first release), in the order of cars_annos.mat.
    3. devkit with cars_train and cars_test (Stanford's second release, which torchvision reads).

    Layouts 1 and 3 list the train images, then the test images, each by file name, so that both
    give the same order.
    """
    for base in folders_down(root, 2) if root.is_dir() else ():
        for read in (_from_csv, _from_single_mat, _from_devkit):
            layout = read(base)
            if layout is not None:
                inside = "" if base == root else relative(base, root) + "/"
                paths = tuple(inside + path for path in layout.paths)
                return checked(replace(layout, paths=paths), root, expect)
    raise Problem(
        f"cars: none of the known layouts lies in {root} (names.csv with car_data; cars_annos.mat "
        "with car_ims; devkit with cars_train and cars_test); see `python -m harness data fetch "
        "cars` for where to get it"
    )


def _listing(paths: list[str], class_ids: list[int], class_names: list[str]) -> Listing:
    """The listing of images whose class ids count from 1."""
    outside = sorted({number for number in class_ids if not 1 <= number <= len(class_names)})
    if outside:
        raise Problem(
            f"cars: class ids {outside[:10]} are outside 1..{len(class_names)}; fetch it again"
        )
    labels = np.array(class_ids, np.int64) - 1
    return Listing(
        name=NAME,
        paths=tuple(paths),
        labels=labels,
        is_test=second_half(labels, len(class_names)),
        class_names=tuple(class_names),
    )


def _from_csv(root: Path) -> Listing | None:
    """Layout 1, or None where it is not in `root`."""
    if not (root / "names.csv").is_file():
        return None
    names = [line.strip() for line in read_lines(root / "names.csv")]
    paths: list[str] = []
    class_ids: list[int] = []
    for part in ("train", "test"):
        file = first_existing(NAME, root, [f"anno_{part}.csv"])
        rows = sorted(row for row in csv.reader(read_lines(file)) if row)
        short = [row[0] for row in rows if len(row) != 6]  # file, four of the box, class
        if short:
            raise Problem(f"cars: {file}: these rows have not 6 columns: {named(short)}")
        numbers = integers((row[-1] for row in rows), file).tolist()
        if any(not 1 <= number <= len(names) for number in numbers):
            raise Problem(f"cars: {file} has class ids outside 1..{len(names)} of names.csv")
        base = relative(
            first_existing(NAME, root, (f"car_data/car_data/{part}", f"car_data/{part}")), root
        )
        folders = [names[number - 1].replace("/", "-") for number in numbers]
        paths += [f"{base}/{folder}/{row[0]}" for folder, row in zip(folders, rows, strict=True)]
        class_ids += numbers
    return _listing(paths, class_ids, names)


def _from_single_mat(root: Path) -> Listing | None:
    """Layout 2, or None where it is not in `root`."""
    if not ((root / "cars_annos.mat").is_file() and (root / "car_ims").is_dir()):
        return None
    tables = _read_mat(root / "cars_annos.mat", "annotations", "class_names")
    paths, class_ids = _columns(root / "cars_annos.mat", tables["annotations"], "relative_im_path")
    return _listing(paths, class_ids, [str(name) for name in np.atleast_1d(tables["class_names"])])


def _from_devkit(root: Path) -> Listing | None:
    """Layout 3, or None where it is not in `root`."""
    devkit = next((root / place for place in DEVKITS if (root / place / TRAIN).is_file()), None)
    if devkit is None or not (root / "cars_train").is_dir():
        return None
    paths: list[str] = []
    class_ids: list[int] = []
    for part, file in {"train": devkit / TRAIN, "test": _labelled(root, devkit)}.items():
        names, numbers = _columns(file, _read_mat(file, "annotations")["annotations"], "fname")
        folder = first_existing(NAME, root, (f"cars_{part}/cars_{part}", f"cars_{part}"))
        for name, number in sorted(zip(names, numbers, strict=True)):
            paths.append(f"{relative(folder, root)}/{name}")
            class_ids.append(number)
    meta = _read_mat(devkit / "cars_meta.mat", "class_names")["class_names"]
    return _listing(paths, class_ids, [str(name) for name in np.atleast_1d(meta)])


def _labelled(root: Path, devkit: Path) -> Path:
    """The labels of the test part; browsers number a second download, as in `... (1).mat`."""
    for place in (root, devkit):
        copies = sorted(place.glob("cars_test_annos_withlabels*.mat"))
        if copies:
            return copies[0]
    return first_existing(NAME, root, ["cars_test_annos_withlabels.mat"])


def _read_mat(path: Path, *keys: str) -> dict[str, Any]:
    """The arrays of a .mat file under these keys."""
    if not path.is_file():
        raise Problem(f"cars: {path} is missing; see `python -m harness data fetch cars`")
    try:
        arrays = loadmat(path, squeeze_me=True)
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise Problem(f"cars: {path} is no readable .mat file ({error}); get it again") from None
    absent = [key for key in keys if key not in arrays]
    if absent:
        raise Problem(f"cars: {path} has no {', '.join(absent)}: it is another file; get it again")
    return {key: arrays[key] for key in keys}


def _columns(path: Path, annotations: Any, file_field: str) -> tuple[list[str], list[int]]:
    """The images' file names and class ids."""
    rows = np.atleast_1d(annotations)
    absent = {"class", file_field} - set(rows.dtype.names or ())
    if absent:
        raise Problem(f"cars: {path} has no {sorted(absent)} for its images; get it with labels")
    return [str(name) for name in rows[file_field]], [int(number) for number in rows["class"]]
