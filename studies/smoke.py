"""Every stage of a study in about a minute, to see that it runs; its scores mean nothing.

python -m harness study --study smoke --loss warped --dataset glyphs

Cost: about a minute for a loss on glyphs. It follows no published protocol. On the photograph
datasets it trains the real trunk on small crops, from random weights. That shows whether the
images, the cache and the network work together, before a study that takes days. On emoji and stamps
it trains EfficientNet-Lite0 from its ImageNet weights, which need no account either.
"""

from harness.schema import Study

PHOTOGRAPHS = {
    "trunk": "resnet50",
    "resize": 64,
    "crop": 48,
    "train_crop": "random_resized_crop",
    "flip": 0.5,
    "classes_per_batch": 4,
    "iterations": 2,
    "max_epochs": 1,
}
PRETRAINED = PHOTOGRAPHS | {"trunk": "efficientnet_lite0", "weights": "imagenet", "folds": 2}

STUDY = Study(
    name="smoke",
    losses=("warped",),
    datasets=("glyphs",),
    trunk="convnet",
    weights="none",
    resize=32,
    crop=32,
    train_crop="none",
    flip=0.0,
    classes_per_batch=8,
    images_per_class=4,
    iterations=20,
    lr=(4e-5, 2e-4),
    loss_lr=(1e-3, 1e-1),
    followup_lr_ratio=(0.05, 0.5),
    max_epochs=3,
    followup_max_epochs=1,
    evaluate_every=3,
    patience=3,
    trials=2,
    startup_trials=1,
    repeats=2,
    complete_epochs_multiple=1,
    per_dataset={
        "cub": PHOTOGRAPHS,
        "cars": PHOTOGRAPHS,
        "sop": PHOTOGRAPHS | {"trunk": "bn_inception"},
        "inshop": PHOTOGRAPHS,
        "emoji": PRETRAINED | {"resize": 32, "crop": 32},  # it has 3,270 test images
        "stamps": PRETRAINED,
    },
)
