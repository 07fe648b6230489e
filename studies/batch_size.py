"""How much D-Loss, PD-Loss and two controls depend on the size of a batch.

python -m harness study --study batch_size --dataset glyphs

Silva et al. 2025, arXiv 2508.17082, Figs. 2 to 5. Rows: D-Loss; PD-Loss as published, without its
logarithm, and with proxies that start at class means; Proxy-Anchor and contrastive as controls;
each with batches of 32, 64, 256 and 496 images (62 classes x 8: a fold of glyphs has no 125 classes
for 500). Every row sees the same number of images in every epoch, so a large batch means few steps.
The page has R@1 on test classes, verification accuracy on pairs of test images (LFW's ten folds)
and seconds an epoch; --figure draws held-out R@1 over the epochs.

Nothing is searched: controls have their authors' values, and all rows one learning rate, whatever
the batch, as nothing in the paper's text says otherwise. Two fold models a repeat.

Cost: on glyphs 24 rows x 3 repeats x 2 models of 8 to 10 s of one core: 10 minutes on two cores to
itself (an estimate: not run when this was written). Seconds are wall time: run it alone.
"""

from typing import Any

from harness.schema import Study

BATCHES = {32: (8, 4), 64: (16, 4), 256: (64, 4), 496: (62, 8)}  # images -> classes, images of each
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "d_loss": ("d_loss", {}),
    "pd_loss": ("pd_loss_forms", {"logarithm": True, "start": "random"}),
    "pd_loss_no_logarithm": ("pd_loss_forms", {"logarithm": False, "start": "random"}),
    "pd_loss_class_means": ("pd_loss_forms", {"logarithm": True, "start": "class_means"}),
    "proxy_anchor": ("proxy_anchor", {"margin": 0.1, "alpha": 32.0}),
    "contrastive": ("contrastive", {"pos_margin": 0.0, "neg_margin": 1.0}),
}


def variants(images_per_epoch: int) -> dict[str, dict[str, Any]]:
    """Every form with every batch, at about that many images in an epoch."""
    return {
        f"{form}_{size}": {
            "loss": loss,
            "params": params,
            "fields": {
                "classes_per_batch": classes,
                "images_per_class": images,
                "iterations": round(images_per_epoch / size),
            },
        }
        for form, (loss, params) in FORMS.items()
        for size, (classes, images) in BATCHES.items()
    }


STUDY = Study(
    name="batch_size",
    losses=tuple(variants(1984)),
    variants=variants(5952),
    datasets=("glyphs",),
    stages=("repeat",),
    curve=("precision_at_1",),
    diagnostics=("verification_accuracy",),
    folds=2,
    trunk="resnet18",
    dim=256,
    complete_dim=256,
    optimiser="adam",
    lr=1e-4,
    loss_lr=1e-2,
    followup=False,
    followup_max_epochs=0,
    max_epochs=50,
    patience=50,
    evaluate_every=5,
    repeats=3,
    per_dataset={
        "glyphs": {
            "variants": variants(1984),
            "trunk": "narrow_convnet",
            "weights": "none",
            "resize": 32,
            "crop": 24,
            "train_crop": "centre_crop",
            "flip": 0.0,
            "dim": 64,
            "lr": 5e-3,
            "loss_lr": 2.5e-2,
            "max_epochs": 8,
            "patience": 8,
            "evaluate_every": 2,
        },
        "emoji": {
            "variants": variants(1984),
            "trunk": "efficientnet_lite0",
            "freeze_trunk": True,
            "pooling": "avg",
            "train_crop": "centre_crop",
            "flip": 0.0,
            "dim": 128,
            "lr": 1e-3,
            "max_epochs": 20,
            "patience": 20,
            "evaluate_every": 4,
        },
    },
)
