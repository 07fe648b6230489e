"""folder:PATH, your own images: one folder per class, or train/CLASS and test/CLASS.

The classes are the folders of PATH in the natural order of their names (2 before 10); a class's
images lie anywhere within its folder, linked folders included. Folders whose names look the same
(accents encoded in two ways, blanks around them) are one class. Three ways to say the halves:

- train/CLASS/images and test/CLASS/images (val joins train, or is the test half where test is
  missing); beside them no other folder may hold images;
- split.csv in PATH, or beside the class folders, with one row per class under the header
  `class,split`: `train` or `test`;
- otherwise the second half of the classes, in their order, is the test half. Where names follow
  themes (animals first, money last) the halves would differ in kind: `--shuffle-classes SEED` puts
  the classes in an order drawn by the seed first. It is not the default, so that a folder keeps the
  halves that its records were made with; the halves are said by `data verify` and `study`.

Where PATH holds a single folder, as archives do, the classes (or train and test) may lie in that
one or in the single folder within it. With `--skip-bad` links that lead nowhere are left out too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.data import halves, split_file
from harness.data.listing import Listing, checked, named
from harness.data.walk import Remains, entries, files_within
from harness.files import meant_path
from harness.schema import Bools, Problem

COUNTS = None  # known only once the folder is read
WHERE = "your own: one folder per class, or train/CLASS and test/CLASS, optionally split.csv"
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".webp")
SPLIT = "split.csv"  # in any case
WRAPPINGS = 2  # folders around the classes that are looked through


@dataclass
class Tree:
    """The class folders below a root: each class's images, its half where folders say it.

    `split` is the split.csv that says the halves, if there is one.
    """

    images: dict[str, list[str]]
    half_of: dict[str, str] | None
    split: Path | None
    notes: list[str]


def listing(root: Path, *, shuffle: int | None = None, skip_bad: bool = False) -> Listing:
    """The images of every class folder of `root`, class after class; `shuffle` seeds their order.

    Files and folders that are no data are left out, and the listing's notes say so. With `skip_bad`
    links that lead nowhere are listed, to be left out with the images that cannot be decoded.
    """
    if not root.is_dir():
        raise Problem(
            f"folder: {root} is no folder;{meant_path(root)} give the folder that holds one per "
            "class"
        )
    tree = _tree(root)
    classes = halves.in_order(tree.images, shuffle)
    if shuffle is None and classes != sorted(classes):
        tree.notes.append("classes are in natural order (2 before 10)")
    sizes = [len(tree.images[name]) for name in classes]
    in_test, origin = _halves(tree, classes)
    tree.notes.append(halves.line(classes, in_test, origin))
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), sizes)
    unchecked = Listing(
        name=f"folder:{root}",
        paths=tuple(path for name in classes for path in tree.images[name]),
        labels=labels,
        is_test=in_test[labels],
        class_names=tuple(classes),
        notes=tuple(tree.notes),
    )
    return checked(unchecked, root, None, allow_missing=skip_bad)


def _around(root: Path) -> list[Path]:
    """`root` and the folders in it down to the one that holds the classes: WRAPPINGS at most.

    A folder is gone into where it is the only one, and where that leads to several.
    """
    around = [root]
    while len(folders := entries(around[-1])[0]) == 1 and len(around) <= WRAPPINGS:
        around.append(around[-1] / folders[0])
    return around if len(folders) > 1 else [root]


def _split_file(files: list[Path], base: Path, half_folders: list[str]) -> Path | None:
    """The SPLIT among the files of the root and of the folders around the classes in `base`.

    Problem where there are several, or one beside folders that are halves themselves.
    """
    paths = [path for path in files if path.name.casefold() == SPLIT]
    if len(paths) > 1:
        raise Problem(f"folder: {named([str(path) for path in paths])} say halves: keep one")
    if paths and half_folders:
        raise Problem(
            f"folder: {base} holds {named(half_folders)} and {paths[0]} says halves too: keep one"
        )
    return paths[0] if paths else None


def _tree(root: Path) -> Tree:
    """The classes of a root, of its train and test folders, or of the one folder around them."""
    remains = Remains()
    around = _around(root)
    base = around[-1]
    listed = {place: entries(place, remains) for place in around}
    folders = listed[base][0]
    loose = [place / name for place, (_, files) in listed.items() for name in files]
    notes = [f"the classes lie in {base}"] if base != root else []
    half_of_folder = _half_folders(base, folders)
    split = _split_file(loose, base, list(half_of_folder or ()))
    images: dict[str, list[str]] = {}
    half_of: dict[str, str] = {}
    spelling: dict[str, str] = {}  # of a class, by what it is known by
    alike: list[str] = []
    others = [path.name for path in loose if path.name.casefold() != SPLIT]
    empty = [name for name in folders if half_of_folder and name not in half_of_folder]
    for half_folder in half_of_folder or [""]:
        place = base / half_folder
        names, files = entries(place, remains) if half_folder else (folders, [])
        others += [f"{half_folder}/{name}" for name in files]
        for folder_name in names:
            inside = f"{(place / folder_name).relative_to(root).as_posix()}/"
            within = files_within(place / folder_name, remains, [*around, place])
            paths = sorted(inside + path for path in within)
            chosen = [path for path in paths if _is_image(path)]
            others += [path for path in paths if not _is_image(path)]
            if not chosen:
                empty.append(inside[:-1])
                continue
            name = spelling.setdefault(halves.class_key(folder_name), folder_name)
            if name != folder_name:
                alike.append(inside[:-1])
            half = (half_of_folder or {}).get(half_folder, "")
            if half_of.setdefault(name, half) != half:
                raise Problem(
                    f"folder: the class {name!r} lies in the train and in the test half of {base}: "
                    "retrieval is tested on classes that no training saw; join the halves to one "
                    "folder per class, and the classes are divided"
                )
            images[name] = images.get(name, []) + chosen
    if len(images) < 2:
        raise Problem(
            f"folder: {root} holds {len(images)} class folders with images; at least 2 are needed; "
            f"other files: {named(others) or 'none'}; images end in {' '.join(EXTENSIONS)}"
        )
    notes += remains.notes()
    if alike:
        notes.append(
            f"{len(alike):,} folders join a class of a name that looks the same (accents encoded "
            f"otherwise, blanks around it): {named(alike)}"
        )
    if others:
        notes.append(
            f"{len(others):,} files are left out, outside a class or no images: {named(others)}"
        )
    if empty:
        notes.append(f"{len(empty):,} folders hold no images and are no classes: {named(empty)}")
    return Tree(images, half_of if half_of_folder else None, split, notes)


def _half_folders(base: Path, folders: list[str]) -> dict[str, str] | None:
    """Each folder that is a half with its half; None where the folders are classes.

    Beside a train and a test folder that hold class folders no other one may hold images.
    """
    words = [name for name in folders if name.casefold() in halves.WORDS]
    others = [name for name in folders if name not in words]
    half_of = halves.of_words(words)
    bare = [name for name in words if not entries(base / name)[0]]
    if not half_of or (others and len(bare) == len(words)):
        return None
    if bare:
        raise Problem(
            f"folder: {named(bare)} in {base} looks like a half of the split and holds no class "
            "folders; give PATH/train/CLASS and PATH/test/CLASS, or PATH/CLASS with a split.csv"
        )
    full = [name for name in others if any(map(_is_image, files_within(base / name, Remains())))]
    if full:
        raise Problem(
            f"folder: {base} holds the halves {named(words)} and beside them {named(full)}, with "
            "images of neither half: move these into class folders of a half, or away"
        )
    return half_of


def _is_image(path: str) -> bool:
    return path.lower().endswith(EXTENSIONS)


def _halves(tree: Tree, classes: list[str]) -> tuple[Bools, str]:
    """Marks [classes] those of the test half, and where that is said."""
    if tree.half_of is not None:
        half_of, origin = tree.half_of, "by its folders"
    elif tree.split is not None:
        half_of, origin = split_file.read(tree.split, classes), f"by {tree.split.name}"
    else:
        return halves.second_of(classes), "the second half of the classes in their order"
    return np.array([half_of[name] == "test" for name in classes]), origin
