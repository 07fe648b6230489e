"""Labels to class-disjoint index arrays: halves (official, mlrc) and folds (kfold, mlrc).

Sources: DeMoor and Prevost 2024 (arXiv 2408.15656), Appendix D; Musgrave et al. 2020
(arXiv 2003.08505), with the fold arithmetic of its released code.
"""

from __future__ import annotations

import numpy as np

from harness.schema import Bools, Dataset, Ints, Part, Problem, Split

FEWEST = 2  # classes of a part that is scored: with one class every neighbour is a right one
WITHOUT_POSITIVES = (
    "has another image of its class in its gallery, so nothing can be scored; give classes more "
    "images, or images other groups"
)


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
    groups = None if dataset.groups is None else dataset.groups[index]
    return Part(dataset.images, index.astype(np.int64), labels, groups)


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
            f"{folds} folds over {n_classes} trainval classes: each fold needs at least {FEWEST} "
            f"classes; {_folds_that_work(n_classes, layout)}"
        )
    held = (
        np.array_split(np.arange(n_classes), folds)[number]
        if layout == "kfold"
        else _mlrc_held_out(n_classes, folds, number)
    )
    mask = np.isin(labels, held)
    return Split(np.flatnonzero(~mask), np.flatnonzero(mask))


def check(dataset: Dataset, halves: str, *, layout: str, folds: int) -> None:
    """Problem where the test half or a fold's held-out part cannot be scored.

    It needs two classes: every neighbour within one class is a right one, and MAP@R would be 1
    whatever the network. And it needs a query with a positive in its gallery.
    """
    in_test = test_mask(dataset.labels, dataset.is_test, halves)
    n_test, n_trainval = (len(np.unique(dataset.labels[mask])) for mask in (in_test, ~in_test))
    if n_test < FEWEST:
        raise Problem(
            f"{dataset.name}: {n_test} test classes ({n_trainval} trainval classes); at least "
            f"{FEWEST} are needed, or retrieval has no wrong neighbours: put more classes into the "
            "test half"
        )
    labels = np.unique(dataset.labels[~in_test], return_inverse=True)[1].astype(np.int64)
    held_out = [
        fold(labels, layout, folds=folds, number=number).held_out for number in range(folds)
    ]
    held = [len(np.unique(labels[positions])) for positions in held_out]
    if min(held) < FEWEST:
        raise Problem(
            f"{dataset.name}: {folds} folds over {n_trainval} trainval classes hold out "
            f"{min(held)} class in a fold; at least {FEWEST} are needed, or MAP@R is 1 whatever "
            f"the network and the search is blind: {_folds_that_work(n_trainval, layout)}"
        )
    test = _part(dataset, in_test)
    is_query, is_gallery = (
        None if mask is None else mask[test.index]
        for mask in (dataset.is_query, dataset.is_gallery)
    )
    if not _has_positives(test, is_query, is_gallery):
        raise Problem(f"{dataset.name}: no query of the test half {WITHOUT_POSITIVES}")
    trainval = trainval_part(dataset, halves)
    for number, positions in enumerate(held_out):
        if not _has_positives(trainval.take(positions)):
            raise Problem(
                f"{dataset.name}: no image that fold {number} holds out {WITHOUT_POSITIVES}"
            )


def _has_positives(
    part: Part, is_query: Bools | None = None, is_gallery: Bools | None = None
) -> bool:
    """Whether a query has a positive in its gallery, as harness/measure/galleries.py has them."""
    everyone = np.ones(len(part), dtype=bool)
    if is_gallery is None:
        is_gallery = everyone if is_query is None else ~is_query
    groups = np.full(len(part), -1) if part.groups is None else part.groups
    apart = np.where(groups < 0, -1 - np.arange(len(part)), groups)  # without a group: its own
    sets = np.unique(np.stack([part.labels, apart]), axis=1, return_inverse=True)[1]
    in_class = np.bincount(part.labels[is_gallery], minlength=part.n_classes)
    in_set = np.bincount(sets[is_gallery], minlength=len(part))
    has_positive = in_class[part.labels] > in_set[sets]
    return bool(has_positive[everyone if is_query is None else is_query].any())


def _folds_that_work(n_classes: int, layout: str) -> str:
    """What to do about folds that hold out too few of the trainval classes."""
    most = n_classes // FEWEST
    if most < 2:
        return f"take a dataset with at least {2 * FEWEST} trainval classes"
    number = "folds = 2" if most == 2 else f"folds = 2 to {most}"
    kfold = " and fold_layout = 'kfold'" if layout != "kfold" else ""
    return f"set {number}{kfold} in a study of your own, or take a dataset with more classes"


def _mlrc_held_out(n_classes: int, folds: int, number: int) -> Ints:
    if folds != 4:
        raise Problem(f"the fold layout `mlrc` is defined for 4 folds, not {folds}; use `kfold`")
    total = 2 * n_classes
    n_train, n_held = int(0.375 * total), int(0.125 * total)
    n_train += n_classes - n_train - n_held
    start = int(number / folds * n_classes)
    return np.asarray((start + n_train + np.arange(n_held)) % n_classes)
