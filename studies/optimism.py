"""What choosing on the test classes is worth: a pool of configurations, trained once, chosen twice.

python -m harness study --study optimism --dataset glyphs

A pool of 100 random configurations a loss. Each trains the 4 fold models once, all for the same
epochs, with no early stopping. After every evaluated epoch its models are scored on the held-out
classes of their fold and on the test classes. So a choice by held-out scores and one by test scores
are between the same models, and differ in nothing but what they look at. The table chooses from any
k of the pool in both ways, on one half of the test classes, and scores the choice on the other half
(harness/measure/optimism.py). This is the only study that scores test classes during training; its
records say so in their stage, and no other table reads them.

Cost: on glyphs 400 trainings a loss, of 1.5 to 1.9 s on one CPU core: 10 to 13 minutes a loss with
a core to itself. results/reference/optimism_glyphs.md has what came of it. On emoji, where heads
are trained on the features that the study `check` computes, a training takes about 2 s.

What is chosen here:
- trials are drawn at random, so that any k of the pool are a random search of k;
- both choices go by MAP@R, as the mean over the 4 fold models;
- one phase with fixed learning rates, for the epochs to be the same everywhere;
- on emoji: the network, batches and ranges of `check`, 20 epochs, all test images;
- on glyphs: crops of 24 x 24 pixels, 8 images of each held-out and test class, and 5 epochs of 8
  batches, evaluated after each, because a pool of five losses is 2,000 trainings. The networks are
  far from trained to their end: the study compares ways to choose, not losses;
- the losses and the range of learning rates on glyphs were settled after a look at some sixty short
  trainings, test scores included: losses that hardly learned in so few batches were left out. Both
  choices share them, so they are no part of the difference.
"""

from harness.schema import Study

STUDY = Study(
    name="optimism",
    protocol="optimism",
    losses=("contrastive", "multi_similarity", "triplet", "margin", "proxy_nca_pp"),
    datasets=("glyphs",),
    classes_per_batch=8,
    images_per_class=4,
    max_epochs=40,
    followup=False,
    followup_max_epochs=0,
    evaluate_every=4,
    patience=40,
    trials=100,
    startup_trials=100,
    parallel_trials=10,
    per_dataset={
        "glyphs": {
            "trunk": "convnet",
            "weights": "none",
            "resize": 32,
            "crop": 24,
            "train_crop": "random_crop",
            "flip": 0.0,
            "dim": 64,
            "iterations": 8,
            "lr": (5e-5, 1e-3),
            "loss_lr": (3e-3, 3e-1),
            "max_epochs": 5,
            "evaluate_every": 1,
            "patience": 5,
            "pool_images_per_class": 8,
        },
        "emoji": {
            "trunk": "efficientnet_lite0",
            "freeze_trunk": True,
            "pooling": "avg",
            "resize": 224,
            "train_crop": "centre_crop",
            "flip": 0.0,
            "classes_per_batch": 32,
            "lr": (1e-5, 1e-2),
            "loss_lr": (1e-4, 1.0),
            "max_epochs": 20,
            "patience": 20,
            "evaluate_batch": 32,
        },
    },
)
