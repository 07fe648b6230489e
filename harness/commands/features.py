"""`features`: compute the features of a dataset's images once, to train heads on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import options as shared
from harness.commands import unused

if TYPE_CHECKING:
    from harness.data.named_options import Reading
    from harness.schema import Study

HELP = "compute what a frozen trunk makes of images, once, to train heads on it"
EPILOG = """\
The file has centre crops of every image; --augmented N adds N random crops, of which training draws
one at random. It keeps the dataset's classes, halves, queries and groups.

A FILE of your own is an .npz with the arrays features [n, F] and labels [n], optionally is_test,
is_query, group and image [n]; harness/data/datasets/features.py has the other formats.

python -m harness study --study features --dataset features:FILE trains heads on it. The same study
on a dataset of images computes the features of its trunk itself, once.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add = parser.add_argument
    add("--dataset", required=True, metavar="NAME", help="a dataset of images")
    add("--trunk", required=True, metavar="NAME", help="what makes the features")
    add(
        "--weights",
        default="imagenet",
        metavar="FILE",
        help="imagenet, pretrained, none, or a file of weights (default: %(default)s)",
    )
    add(
        "--pooling",
        default="avg",
        choices=("avg", "max", "avg+max", "trunk"),
        help="of feature maps; trunk: as a library's trunk does by itself (default: %(default)s)",
    )
    for name, pixels, what in (("resize", 256, "the images' shorter side"), ("crop", 224, "crops")):
        add(
            f"--{name}",
            type=shared.count,
            default=pixels,
            metavar="PIXELS",
            help=f"{what} (default: %(default)s)",
        )
    add(
        "--precision",
        default="fp32",
        choices=("fp32", "tf32", "bf16"),
        help="of the trunk (default: %(default)s)",
    )
    add(
        "--augmented",
        type=shared.count,
        default=0,
        metavar="N",
        help="also the features of N random crops of each image, for training (default: none)",
    )
    add("--seed", type=shared.seed, default=0, help="of the random crops (default: %(default)s)")
    add(
        "--out",
        type=shared.folder_path,
        metavar="FILE",
        help="a new .npz file (default: in DATA/features, by dataset, trunk and settings)",
    )
    shared.add_device(parser)
    shared.add_reading(parser)
    shared.add_data(parser)


def run(options: argparse.Namespace) -> None:
    """Compute the features and write the file, unless it is there."""
    import torch

    from harness.data import datasets, feature_files
    from harness.engines import frozen_features
    from harness.engines.memory import keep_freed_memory
    from harness.schema import Problem
    from harness.training import network, precision
    from harness.training.computable import computable

    if not options.augmented:
        unused.refuse(options, add_options, {"--seed": "draws the crops of --augmented; give both"})
    if options.out is not None and (options.out.suffix != ".npz" or options.out.exists()):
        raise Problem(f"--out {options.out}: the name of a new file that ends in .npz is needed")
    reading = shared.reading(options.dataset, options)
    if reading.kind == "features":
        raise Problem(f"{reading} holds features already; give a dataset of images")
    root = options.data.resolve()
    feature_files.check_can_be_written(options.out or root / "features" / "any.npz")
    keep_freed_memory()
    device = torch.device(shared.device_named(options.device))
    study, lines = computable(_study(options), [reading.name], device)
    study = study.for_dataset(reading.name)
    print("\n".join(lines), end="\n" * len(lines))
    precision.allow_tf32(study, device)
    if line := network.check(study):  # what is wrong is said before images are decoded
        print(line)
    dataset = datasets.load(str(reading), root, options.resize, print)
    path = options.out
    if path is None:
        crops = f"-{options.augmented}-crops-{options.seed}" if options.augmented else ""
        stem = frozen_features.stem_of(dataset, study, device)
        path = root / "features" / f"{stem}{crops}.npz"
    if not path.exists():
        frozen_features.write_file(
            path,
            dataset,
            study,
            device,
            print,
            augmented=options.augmented,
            seed=options.seed,
            image=_paths(reading, root, len(dataset.images)),
        )
    _report(path)


def _study(options: argparse.Namespace) -> Study:
    """A study whose frozen trunk makes the features."""
    from harness.schema import Study

    return Study(
        name="features",
        trunk=options.trunk,
        weights=options.weights,
        pooling=options.pooling,
        resize=options.resize,
        crop=options.crop,
        precision=options.precision,
        freeze_trunk=True,
        train_crop="centre_crop",
        flip=0.0,
    )


def _paths(reading: Reading, root: Path, n: int) -> tuple[str, ...] | None:
    """The images' paths as the dataset lists them; None where not all of them are listed."""
    from harness.data import datasets

    if datasets.is_drawn(reading):
        return None
    paths = datasets.listed(reading, root)[0].paths
    return paths if len(paths) == n else None


def _report(path: Path) -> None:
    """Read the file as a study does, and say what it holds and what to do with it."""
    from harness.data import datasets
    from harness.schema import Features

    dataset = datasets.load(f"features:{path}", path.parent, 0, lambda _line: None)
    features = dataset.images
    assert isinstance(features, Features)
    crops = "" if features.augmented is None else f", {features.augmented.shape[1]} random crops"
    print(
        f"{path}: {len(features):,} images, {features.dim:,} features{crops}, "
        f"{len(dataset.class_names):,} classes, fingerprint {dataset.fingerprint}"
    )
    print(f"origin: {features.origin}")
    print(f"python -m harness study --study features --dataset features:{path}")
