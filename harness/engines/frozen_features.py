"""Features that a study's frozen trunk makes of a dataset, computed once and kept on disk.

They lie in DATA/cache as features-DATASET-TRUNK-KEY.npy, which processes share by memory map. KEY
is a hash of all that shapes them: images, trunk and weights, pooling, crop, precision, the
program's code of training, the kind of device and the CPU threads. A file under its final name is
whole: it ends with the SHA-256 of the rest, which each process compares when it first reads it, and
a file that differs is computed again.
"""

from __future__ import annotations

import functools
import glob
import hashlib
import json
import logging
import math
import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.data import Say, feature_files, lock, room, to_log
from harness.files import replacing
from harness.records import code, provenance
from harness.schema import Dataset, Features, Study
from harness.training import frozen, initial_weights, network

FLOAT_BYTES = 4  # of a number of features
DIGITS = 12  # of a checksum that is quoted
PIECE = 1 << 22  # bytes that are read at once
SHAPING = ("trunk", "pooling", "crop", "precision", "fold_batch_norm", "evaluate_batch")


def of_dataset(dataset: Dataset, study: Study, data_root: Path, device: torch.device) -> Dataset:
    """The dataset with features in place of its images where the study trains a head alone.

    They are computed if they are missing, by one process while others wait. A study that trains
    more, and a dataset that holds features itself, stay as they are.
    """
    if not study.trains_head_alone or isinstance(dataset.images, Features):
        return dataset
    path = data_root / "cache" / f"features-{stem_of(dataset, study, device)}.npy"
    if not _is_whole(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock.alone(path.with_suffix(".lock"), to_log) as is_alone:
            if not _is_whole(path):  # another process may have written it while this one waited
                if is_alone:
                    _remove_half_written(path)
                _write(path, dataset, study, device)
    rows = np.asarray(np.load(path, mmap_mode="r"))
    return replace(dataset, images=Features(rows, origin(study)))


def origin(study: Study) -> str:
    """What makes the features, in words: trunk, weights with their checksum, pooling, crop."""
    if study.weights == "none":
        loaded = "no weights (random)"
    else:
        published = study.weights in initial_weights.PUBLISHED
        name = study.weights if published else Path(study.weights).name
        checksum = initial_weights.checksum(network.trunk_of(study), study)
        loaded = f"{name} (sha256 {checksum[:DIGITS]})"
    precision = "" if study.precision == "fp32" else f", {study.precision}"
    return (
        f"{study.trunk}, {loaded}, {study.pooling} pooling, centre crop {study.crop} of "
        f"{study.resize}{precision}"
    )


def stem_of(dataset: Dataset, study: Study, device: torch.device) -> str:
    """The name of a dataset's features: dataset, trunk, a hash of all that shapes them."""
    shaping = {name: getattr(study, name) for name in SHAPING}
    shaping |= {
        "dataset": dataset.fingerprint,
        "weights": network.weights_of(study),
        "code": code.content_code(folders=("harness/training",)),
        "versions": provenance.package_versions(),
        "device": device.type,
        "threads": torch.get_num_threads() if device.type == "cpu" else 0,
    }
    key = hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()[:16]
    slugs = [re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") for name in (dataset.name, study.trunk)]
    return f"{slugs[0][-60:]}-{slugs[1][-40:]}-{key}"


def _is_whole(path: Path) -> bool:
    """Whether the file is there and as it was written; one that is not is named in the log."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return False
    is_whole = _has_its_checksum(path, state.st_size, state.st_mtime_ns, state.st_ino)
    if not is_whole:
        logging.getLogger("harness").warning("%s is damaged; it is computed again", path)
    return is_whole


@functools.lru_cache(maxsize=8)
def _has_its_checksum(path: Path, size: int, _modified: int, _inode: int) -> bool:
    """Whether a file of a size ends with the checksum of the rest; read once for each version."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        left = size - digest.digest_size
        while left > 0 and (piece := file.read(min(left, PIECE))):
            digest.update(piece)
            left -= len(piece)
        return left == 0 and file.read() == digest.digest()


def _remove_half_written(path: Path) -> None:
    """Remove what a process was writing in place of the file when it was killed."""
    for half_written in path.parent.glob(f".{glob.escape(path.name)}.*"):
        half_written.unlink(missing_ok=True)


def _write(path: Path, dataset: Dataset, study: Study, device: torch.device) -> None:
    """Compute the features and write their file whole or not at all."""
    to_log(f"{dataset.name}: computing the features of {len(dataset.images):,} images")
    shape = (len(dataset.images), network.trunk_of(study).features)
    n_bytes, what = math.prod(shape) * FLOAT_BYTES, f"{dataset.name}: the file of its features"
    room.check(n_bytes, path.parent, what)
    with replacing(path) as temporary:
        with temporary.open("r+b") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            room.take(file, n_bytes, path.parent, what)
        rows: np.memmap[Any, np.dtype[np.float32]] = np.lib.format.open_memmap(temporary, "r+")
        frozen.compute(study, dataset.images, device, to_log, out=rows)
        rows.flush()
        with temporary.open("r+b") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
            file.seek(0, 2)
            file.write(digest)


def write_file(
    path: Path,
    dataset: Dataset,
    study: Study,
    device: torch.device,
    say: Say,
    *,
    augmented: int = 0,
    seed: int = 0,
    image: Sequence[str] | None = None,
) -> None:
    """Write features:FILE of a dataset's images, with those of `augmented` random crops of each.

    The crops are drawn by the seed, as Study's defaults draw them in training. Labels are numbers
    in the dataset's order, so that halves and folds are those of the images.
    """
    n, dim = len(dataset.images), network.trunk_of(study).features
    path.parent.mkdir(parents=True, exist_ok=True)
    n_crop_bytes, what = n * augmented * dim * FLOAT_BYTES, f"{dataset.name}: its file of features"
    room.check(n * dim * FLOAT_BYTES + 2 * n_crop_bytes, path.parent, what)
    arrays: dict[str, Any] = {"features": np.empty((n, dim), np.float32)}
    frozen.compute(study, dataset.images, device, say, out=arrays["features"])
    words = origin(study)
    with tempfile.TemporaryFile(dir=path.parent) as crops:
        if augmented:
            training = Study(name=study.name)  # with the augmentation that studies have by default
            cutting = replace(study, train_crop=training.train_crop, flip=training.flip)
            room.take(crops, n_crop_bytes, path.parent, what)
            arrays["augmented"] = np.memmap(crops, np.float32, "r+", shape=(n, augmented, dim))
            frozen.compute_augmented(
                cutting, dataset.images, device, say, out=arrays["augmented"], seed=seed
            )
            words += f"; {augmented} random crops an image by seed {seed}"
        optional = {
            "is_query": dataset.is_query,
            "is_gallery": dataset.is_gallery,
            "group": dataset.groups,
            "image": None if image is None else np.array(image, np.str_),
        }
        arrays |= {
            "labels": dataset.labels,
            "class_names": np.array(dataset.class_names, np.str_),
            "is_test": dataset.is_test,
            **{name: values for name, values in optional.items() if values is not None},
            "origin": np.array(f"{words}; of {dataset.name} (fingerprint {dataset.fingerprint})"),
        }
        feature_files.write(path, arrays)
