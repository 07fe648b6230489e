"""Which loss, on top of a frozen foundation model? Only a linear head is trained, in minutes.

python -m harness study --study features --dataset features:FILE --loss contrastive

FILE holds features and labels (harness/data/datasets/features.py says in which formats); `python -m
harness features` makes one of images. On a dataset of images (--dataset emoji) the first run
computes the features of the study's trunk, and all others share them.

Cost: the protocol is Appendix D's, 250 trainings a loss. On 2,325 features of 1,280 numbers an
epoch takes 0.1 to 0.2 s of one core for most losses, so a run takes 5 to 12 s and a loss 10 to 25
minutes on two cores; soft_triple takes four times as long, nir_* eight times.

It differs from appendix_d in this, as `check` does and for the same reasons: the trunk is frozen
and sees centre crops alone, without flips; its feature map is averaged; the head's learning rate is
searched from 1e-5 to 1e-2 (on frozen features scores peak near 1e-3, the upper end of Appendix D's
range) and that of a loss's own parameters from 1e-4 to 1; a batch holds 32 classes x 4 images; at
most 40 + 20 epochs, judged every second one.
"""

from harness.schema import Study

STUDY = Study(
    name="features",
    losses=("contrastive", "multi_similarity", "proxy_anchor", "warped"),
    datasets=("emoji",),
    trunk="efficientnet_lite0",
    weights="imagenet",
    freeze_trunk=True,
    pooling="avg",
    train_crop="centre_crop",
    flip=0.0,
    classes_per_batch=32,
    images_per_class=4,
    lr=(1e-5, 1e-2),
    loss_lr=(1e-4, 1.0),
    max_epochs=40,
    followup_max_epochs=20,
    evaluate_every=2,
    patience=7,
)
