"""Labels to class-disjoint index arrays: halves (official, mlrc) and folds (kfold, mlrc).

Sources: DeMoor and Prevost 2024 (arXiv 2408.15656) Appendix D; Musgrave et al. 2020
(arXiv 2003.08505), its released code's fold arithmetic replayed.
"""

from __future__ import annotations

import numpy as np

from harness.schema import Bools, Dataset, Ints, Part, Problem, Split


def test_mask(labels: Ints, is_test: Bools, halves: str) -> Bools:
    """Which images [n] belong to the test classes.

    `official` is the dataset's own division. `mlrc` takes the second half of the sorted classes
    (first half = floor(N / 2) classes), which on SOP is not the official one.
    """
    if halves == "official":
        return is_test
    return np.asarray(labels >= (int(labels.max()) + 1) // 2)


def trainval_part(dataset: Dataset, halves: str) -> Part:
    """The trainval classes alone."""
    return _part(dataset, ~test_mask(dataset.labels, dataset.is_test, halves))


def test_part(dataset: Dataset, halves: str) -> Part:
    """The test classes alone; called by the final evaluation and by nothing before it."""
    return _part(dataset, test_mask(dataset.labels, dataset.is_test, halves))


def _part(dataset: Dataset, mask: Bools) -> Part:
    index = np.flatnonzero(mask)
    labels = np.unique(dataset.labels[index], return_inverse=True)[1].astype(np.int64)
    return Part(dataset.images, index.astype(np.int64), labels)


def fold(labels: Ints, layout: str, folds: int, number: int) -> Split:
    """Fold `number` of the trainval labels [n]: positions that train, positions held out.

    `kfold`: contiguous class blocks of near-equal size (the first n mod folds blocks hold one
    more), each class held out exactly once. `mlrc`: with n classes and N = 2 n, the held-out block
    is int(0.125 N) classes that follow the training block of int(0.375 N) classes (and the
    remainder that rounding leaves) which starts at int(number / folds * n) and wraps round; on
    Cars two classes (24 and 73) are therefore never held out. Its shares 0.375 and 0.125 presuppose
    4 folds.
    """
    n_classes = int(labels.max()) + 1 if len(labels) else 0
    if folds > n_classes:
        raise Problem(
            f"{folds} folds over {n_classes} trainval classes: a fold needs a class of its own; "
            "lower `folds` in the study or take a dataset with more classes"
        )
    held = (
        np.array_split(np.arange(n_classes), folds)[number]
        if layout == "kfold"
        else _mlrc_held_out(n_classes, folds, number)
    )
    mask = np.isin(labels, held)
    return Split(np.flatnonzero(~mask), np.flatnonzero(mask))


def _mlrc_held_out(n_classes: int, folds: int, number: int) -> Ints:
    if folds != 4:
        raise Problem(f"the fold layout `mlrc` is defined for 4 folds, not {folds}; use `kfold`")
    total = 2 * n_classes
    n_train, n_held = int(0.375 * total), int(0.125 * total)
    n_train += n_classes - n_train - n_held
    start = int(number / folds * n_classes)
    return np.asarray((start + n_train + np.arange(n_held)) % n_classes)
