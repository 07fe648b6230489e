"""Labels to class-disjoint index arrays: halves (official, mlrc) and folds (kfold, mlrc).

Sources: DeMoor and Prevost 2024 (arXiv 2408.15656), Appendix D; Musgrave et al. 2020
(arXiv 2003.08505), with the fold arithmetic of its released code.
"""

from __future__ import annotations

import numpy as np

from harness.schema import Bools, Dataset, Ints, Part, Problem, Split


def test_mask(labels: Ints, is_test: Bools, halves: str) -> Bools:
    """Which images [n] belong to the test classes.

    `official` is the dataset's own division. `mlrc` takes the second half of the N sorted classes,
    after the first floor(N / 2). On SOP this is not the official half.
    """
    if halves == "official":
        return is_test
    return np.asarray(labels >= (int(labels.max()) + 1) // 2)


def trainval_part(dataset: Dataset, halves: str) -> Part:
    """The trainval classes alone."""
    return _part(dataset, ~test_mask(dataset.labels, dataset.is_test, halves))


def test_part(dataset: Dataset, halves: str) -> Part:
    """The test classes alone. Only the final evaluation calls this."""
    return _part(dataset, test_mask(dataset.labels, dataset.is_test, halves))


def _part(dataset: Dataset, mask: Bools) -> Part:
    index = np.flatnonzero(mask)
    labels = np.unique(dataset.labels[index], return_inverse=True)[1].astype(np.int64)
    return Part(dataset.images, index.astype(np.int64), labels)


def fold(labels: Ints, layout: str, *, folds: int, number: int) -> Split:
    """Fold `number` of the trainval labels [n]: positions that train, positions held out.

    `kfold`: contiguous blocks of classes of near-equal size; the first n mod folds blocks hold one
    more. Each class is held out exactly once.
    `mlrc`: with n classes and N = 2 n, int(0.375 N) classes train, and so does the remainder that
    rounding leaves. The int(0.125 N) classes after them are held out. The training block starts at
    int(number / folds * n) and wraps round. The shares presuppose 4 folds. On Cars two classes (24
    and 73) are never held out.
    """
    n_classes = int(labels.max()) + 1 if len(labels) else 0
    if folds > n_classes:
        raise Problem(
            f"{folds} folds over {n_classes} trainval classes: each fold needs at least one class; "
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
