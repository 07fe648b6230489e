"""Which loss, on top of a frozen foundation model? Only a linear head is trained, in minutes.

python -m harness study --study features --dataset features:FILE --loss contrastive

FILE holds features and labels (harness/data/datasets/features.py says in which formats); `python -m
harness features` makes one of images. On a dataset of images (--dataset emoji) the first run
computes the features of the study's trunk, and all others share them.

Cost: the protocol is Appendix D's, 250 trainings a loss. On 2,325 features of 1,280 numbers an
epoch takes about 0.1 s on one core for most losses, so a run takes 3 to 10 s and a loss 10 to 20
minutes on two cores; soft_triple takes four times as long, nir_* eight times.

It differs from appendix_d in this: the trunk is frozen and sees centre crops alone, without flips;
its feature map is averaged, as is usual for features; a batch holds 32 classes x 4 images, because
a step on 32 images would mostly be overhead (an epoch takes three times as long). Where all runs
end at their most epochs (CAPPED), learning rates near the lower end of their range are the reason.
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
)
