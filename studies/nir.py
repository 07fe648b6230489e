"""Proxy losses with and without non-isotropy regularisation, in pairs that share their seeds.

python -m harness study --study nir --dataset glyphs

Roth, Vinyals and Akata 2022, arXiv 2203.08547: ProxyNCA, Proxy-Anchor and SoftTriple, each beside
its form with NIR. The page compares each pair: retrieval, uniformity, feature variety, density
ratio, spread of the classes' sizes, and the epochs to a level of held-out R@1. It ends with the
paper's findings, each judged by a stated rule.

Nothing is searched: every loss has its authors' values, which its file has as defaults, and the
learning rates are the study's. Two fold models a repeat give the curves, and a Complete run the
numbers on test classes. So a difference between the two of a pair is one at these values: with
other learning rates it may be another one.

Cost: on glyphs 6 losses x 3 repeats x 3 runs of 5 to 15 s of one core: 8 minutes on one core to
itself, most of it in the flows. On emoji a head is trained on frozen features; the same is done
with --dataset features:FILE.
"""

from typing import Any

from harness.schema import Study

PROXY_NCA: dict[str, Any] = {"scale": 3.0}
PROXY_ANCHOR: dict[str, Any] = {"margin": 0.1, "alpha": 32.0}
SOFT_TRIPLE: dict[str, Any] = {
    "la": 20.0,
    "gamma": 0.1,
    "tau": 0.2,
    "margin": 0.01,
    "centers_per_class": 10,
}
NIR: dict[str, Any] = {"w_align": 0.0075, "flow_lr_factor": 0.0125}
PHOTOGRAPHS = {
    "trunk": "resnet50",
    "freeze_trunk": False,
    "pooling": "avg+max",
    "train_crop": "random_resized_crop",
    "flip": 0.5,
    "dim": 512,
    "complete_dim": 512,
    "classes_per_batch": 28,
    "lr": 1e-5,
    "loss_lr": 4e-2,
    "max_epochs": 100,
    "patience": 100,
    "evaluate_every": 2,
}

STUDY = Study(
    name="nir",
    losses=(
        "proxy_nca",
        "nir_proxy_nca",
        "proxy_anchor",
        "nir_proxy_anchor",
        "soft_triple",
        "nir_soft_triple",
    ),
    loss_params={
        "proxy_nca": PROXY_NCA,
        "nir_proxy_nca": PROXY_NCA | NIR,
        "proxy_anchor": PROXY_ANCHOR,
        "nir_proxy_anchor": PROXY_ANCHOR | NIR,
        "soft_triple": SOFT_TRIPLE,
        "nir_soft_triple": SOFT_TRIPLE | NIR,
    },
    datasets=("glyphs",),
    stages=("repeat", "complete"),
    curve=("precision_at_1",),
    diagnostics=("uniformity", "spectral_decay", "density_ratio", "class_size_spread"),
    folds=2,
    trunk="efficientnet_lite0",
    freeze_trunk=True,
    pooling="avg",
    dim=128,
    complete_dim=128,
    classes_per_batch=32,
    images_per_class=4,
    train_crop="centre_crop",
    flip=0.0,
    optimiser="adam",
    lr=1e-3,
    loss_lr=1e-2,
    followup=False,
    followup_max_epochs=0,
    max_epochs=20,
    patience=20,
    evaluate_every=1,
    complete_epochs_multiple=1,
    repeats=5,
    per_dataset={
        "glyphs": {
            "trunk": "narrow_convnet",
            "weights": "none",
            "freeze_trunk": False,
            "pooling": "avg+max",
            "resize": 32,
            "crop": 24,
            "dim": 64,
            "complete_dim": 64,
            "classes_per_batch": 8,
            "iterations": 18,
            "lr": 5e-3,
            "loss_lr": 2.5e-2,
            "max_epochs": 12,
            "patience": 12,
            "evaluate_every": 2,
            "repeats": 3,
        },
        "cub": PHOTOGRAPHS,
        "cars": PHOTOGRAPHS,
        "sop": PHOTOGRAPHS | {"recall_at": (1, 10, 100, 1000)},
    },
)
