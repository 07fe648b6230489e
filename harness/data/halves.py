"""The order of a user's classes, which halves they are in, and the line that says so."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from harness.data.walk import natural
from harness.schema import Bools, Ints, Problem

TRAIN, VAL = ("train", "training", "trainval"), ("val", "valid", "validation")
TEST = ("test", "testing")
WORDS = frozenset({*TRAIN, *VAL, *TEST})
SHOWN = 6  # classes of a half that a line names before it only counts the rest


def class_key(name: str) -> str:
    """What a class is known by: names that look the same are one class.

    They may differ in how accents are encoded (NFC, NFD) and in blanks around them.
    """
    return unicodedata.normalize("NFC", name.strip())


def one_spelling(names: Iterable[str]) -> list[str]:
    """The names of classes, those that look the same in the first of their spellings."""
    first: dict[str, str] = {}
    return [first.setdefault(class_key(name), name) for name in names]


def in_order(names: Iterable[str], shuffle: int | None) -> list[str]:
    """Classes in the natural order of their names (2 before 10), or in one drawn by a seed."""
    classes = sorted(names, key=lambda name: (natural(name), name))
    if shuffle is not None:
        classes.sort(key=lambda name: _drawn(shuffle, name))
    return classes


def second_of(classes: Sequence[str]) -> Bools:
    """Marks [classes] the second half in their order, which is the test half by default."""
    return np.arange(len(classes)) >= len(classes) // 2


def of_words(words: Iterable[str]) -> dict[str, str]:
    """Each word of a split with its half, `train` or `test`; empty where the words are no halves.

    The words are TRAIN, VAL and TEST in any case. Validation joins train, or is the test half where
    test is missing.
    """
    kinds = {word: word.casefold() for word in words}
    test = TEST if any(kind in TEST for kind in kinds.values()) else VAL
    has_both = any(kind in TRAIN for kind in kinds.values()) and any(
        kind in test for kind in kinds.values()
    )
    if not has_both or not set(kinds.values()) <= WORDS:
        return {}
    return {word: "test" if kind in test else "train" for word, kind in kinds.items()}


def line(classes: Sequence[str], in_test: Bools, origin: str) -> str:
    """Which classes are in which half, and where that is from."""
    shown = []
    for half, mark in (("trainval", False), ("test", True)):
        names = [name for name, test in zip(classes, in_test.tolist(), strict=True) if test == mark]
        few = names if len(names) <= SHOWN else [*names[: SHOWN - 1], "...", names[-1]]
        shown.append(f"{half} {', '.join(few) or 'none'} ({len(names):,} classes)")
    return f"halves: {'; '.join(shown)}; the test half is {origin}"


def classes_in_test(n_classes: int, labels: Ints, is_test: Bools) -> Bools:
    """Which classes [n_classes] have images in the test half; `labels` and `is_test` are [n]."""
    in_test = np.zeros(n_classes, np.bool_)
    in_test[labels[is_test]] = True
    return in_test


def check_classes(name: str, in_test: Bools) -> None:
    """Problem where a half has fewer than two classes; in_test [classes] says the half of each."""
    for half, mask in (("trainval", ~in_test), ("test", in_test)):
        if mask.sum() < 2:
            raise Problem(
                f"{name}: {int(mask.sum())} of {len(in_test)} classes in the {half} half; each "
                "half needs two or more: add classes, or change what says the halves"
            )


def check_pairs(name: str, labels: Ints, is_test: Bools) -> list[str]:
    """A line on classes [n] of one image, if there are any; Problem where a half has no others."""
    for half, mask in (("trainval", ~is_test), ("test", is_test)):
        if np.bincount(labels[mask]).max(initial=0) < 2:
            raise Problem(
                f"{name}: no class of the {half} half holds two images; retrieval needs two of a "
                "class: add images, or rows"
            )
    n_single = int((np.bincount(labels) == 1).sum())
    if not n_single:
        return []
    return [f"classes of one image, which stays in the gallery and is not queried: {n_single:,}"]


def _drawn(seed: int, name: str) -> bytes:
    """A class's place in the order of the seed: other classes do not move it."""
    return hashlib.sha256(
        f"{seed} {unicodedata.normalize('NFC', name)}".encode(errors="surrogateescape")
    ).digest()
