"""What alpha, the slopes and the margin of the warped softmax do, one at a time.

python -m harness study --study warp_impact --dataset glyphs

Sweeps of DeMoor and Prevost 2024, arXiv 2408.15656, section IV-D, Figs. 6 to 8. alpha goes from 0
to 1.5 times the norm of the embeddings as they start (the paper: 0 to 95 at norm 64), the slopes k1
and k2 from 1 outwards, the multiplier of the margin from 1 to 5.5. All else stays at the row
`best`, which every sweep shares. Nothing is searched: Complete runs alone, scored once on the test
classes. The page ends with a verdict on each shape that the paper describes, by the tests of
harness/measure/shapes.py; --figure draws the sweeps.

Cost: on glyphs 20 rows x 4 repeats of about 5 s of one core: 7 minutes on one core to itself. On
emoji a head is trained on frozen features, which takes 1 to 2 s a run once they are computed. The
same is done with --dataset features:FILE.

`best` on glyphs is what the search of an earlier demo chose for warped, rounded: learning rates,
temperature, alpha, slopes and margin of its first phase. Elsewhere it is the authors' CUB values,
alpha with the norm. The rows are losses/function_softmax.py with the function `warp`, which equals
losses/warped.py and also takes slopes of 1. Training is short on glyphs (216 batches), and the
follow-up phase is left out.
"""

from typing import Any

from harness.schema import Study

SWEEPS: dict[str, tuple[float, ...]] = {
    "alpha": (0.0, 0.375, 0.625, 0.875, 1.125, 1.5),  # in norms
    "k1": (1.0, 0.8, 0.45, 0.2),
    "k2": (1.0, 1.3, 1.6, 2.0),
    "margin": (1.0, 2.0, 3.0, 4.0, 5.5),
}
GLYPHS = {"temperature": 0.44, "alpha": 2.7, "k1": 0.67, "k2": 1.05, "margin": 4.7}
AUTHORS = {"temperature": 4.525, "alpha": 28.4, "k1": 0.93, "k2": 1.15, "margin": 1.3}


def variants(best: dict[str, float], norm: float) -> dict[str, dict[str, Any]]:
    """`best` and every value of every sweep, for embeddings that start at about that norm."""
    rows = {"best": best}
    for param, values in SWEEPS.items():
        for value in values:
            stated = value * norm if param == "alpha" else value
            rows[f"{param}_{value:g}".replace(".", "_")] = best | {param: stated}
    fixed = {"function": "warp", "scale": norm}
    return {
        name: {"loss": "function_softmax", "params": fixed | params}
        for name, params in rows.items()
    }


PHOTOGRAPHS = {
    "variants": variants(AUTHORS, 64.0),
    "trunk": "resnet50",
    "freeze_trunk": False,
    "pooling": "avg+max",
    "train_crop": "random_resized_crop",
    "flip": 0.5,
    "complete_dim": 512,
    "classes_per_batch": 8,
    "images_per_class": 8,
    "lr": 1e-4,
    "max_epochs": 50,
    "evaluate_every": 50,
}

STUDY = Study(
    name="warp_impact",
    losses=tuple(variants(AUTHORS, 50.0)),
    variants=variants(AUTHORS | {"alpha": 28.4 * 50 / 64}, 50.0),
    datasets=("glyphs",),
    stages=("complete",),
    trunk="efficientnet_lite0",
    freeze_trunk=True,
    pooling="avg",
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
    evaluate_every=20,
    repeats=4,
    per_dataset={
        "glyphs": {
            "variants": variants(GLYPHS, 16.0),
            "trunk": "narrow_convnet",
            "weights": "none",
            "freeze_trunk": False,
            "pooling": "avg+max",
            "resize": 32,
            "crop": 24,
            "complete_dim": 64,
            "classes_per_batch": 8,
            "iterations": 18,
            "lr": 5e-3,
            "loss_lr": 2.5e-2,
            "max_epochs": 12,
            "evaluate_every": 12,
        },
        "cub": PHOTOGRAPHS,
        "cars": PHOTOGRAPHS,
        "sop": PHOTOGRAPHS | {"trunk": "bn_inception", "recall_at": (1, 10, 100, 1000)},
    },
)
