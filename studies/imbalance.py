"""Long-tailed training classes: what they cost, by the kind of loss and the size of the class.

python -m harness study --study imbalance --dataset glyphs

A review of Movshovitz-Attias et al. 2017, No Fuss Distance Metric Learning using Proxies, asks what
nobody's tables show: learned proxies may be biased towards the classes with many images, and proxy
losses should be compared with center loss, which the reviewer expects to be worse. So three proxy
losses, three pair losses and two with centers train side by side on

- a long tail: from 36 images of the largest class down to 3 (Cui et al. 2019, arXiv 1901.05555);
- a balanced set: 13 images of every class, as many in all to 3 %.

Retrieval is measured on the test classes, as always, and within the training classes, by thirds
of them (many, medium, few images) on 12 images of each class that no training sees. Which classes
are large is drawn anew for each repeat, alike for every loss, and a class is in the same third in
both sets. So what the long tail costs is a difference within a loss, paired by repeats. The page
ends with the review's expectations, each judged by a stated rule.

What is chosen here: every loss has its authors' or its library's values, which its file has as
defaults, and all have the same learning rates; nothing is searched. Every image is seen once an
epoch, so that large classes fill more of the batches; a sampler that draws classes evenly would
hide a part of the imbalance.

Cost: on glyphs 16 rows x 4 repeats of some 15 s of one core: 8 minutes on two cores to themselves.
On emoji, whose classes have 6 to 8 images, the tail goes from 5 down to 1 and there are 3 a class.
"""

from harness.schema import Study

LOSSES = (
    "proxy_nca",
    "proxy_anchor",
    "normalized_softmax",
    "contrastive",
    "multi_similarity",
    "triplet",
    "center",
    "center_contrastive",
)


def balanced(images: int) -> dict[str, dict[str, object]]:
    """Each loss on a set with as many images of every class."""
    return {
        f"{loss}_balanced": {"loss": loss, "fields": {"class_images": (images, images)}}
        for loss in LOSSES
    }


PHOTOGRAPHS = {
    "trunk": "resnet50",
    "freeze_trunk": False,
    "pooling": "avg+max",
    "train_crop": "random_resized_crop",
    "flip": 0.5,
    "class_images": (3, 30),
    "seen_class_images": 8,
    "variants": balanced(12),
    "lr": 1e-4,
    "loss_lr": 1e-2,
    "max_epochs": 60,
    "evaluate_every": 60,
}

STUDY = Study(
    name="imbalance",
    losses=(*LOSSES, *balanced(13)),
    variants=balanced(13),
    class_images=(3, 36),
    seen_class_images=12,
    datasets=("glyphs",),
    stages=("complete",),
    diagnostics=("map_at_r_many", "map_at_r_medium", "map_at_r_few"),
    loss_params={
        "proxy_nca": {"scale": 3.0},
        "proxy_anchor": {"margin": 0.1, "alpha": 32.0},
        "normalized_softmax": {"temperature": 0.05},
        "contrastive": {"pos_margin": 0.0, "neg_margin": 1.0},
        "multi_similarity": {"alpha": 2.0, "beta": 50.0, "base": 0.5},
        "triplet": {"margin": 0.05},
        "center": {"lam": 0.008, "center_lr": 0.5},
        "center_contrastive": {"scale": 64.0, "margin": 0.35, "lam": 1.0},
    },
    trunk="efficientnet_lite0",
    freeze_trunk=True,
    pooling="avg",
    complete_dim=128,
    classes_per_batch=8,
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
    repeats=5,
    per_dataset={
        "glyphs": {
            "trunk": "narrow_convnet",
            "weights": "none",
            "freeze_trunk": False,
            "pooling": "avg+max",
            "resize": 32,
            "crop": 32,
            "train_crop": "none",
            "complete_dim": 64,
            "lr": 4e-3,
            "loss_lr": 2e-2,
            "max_epochs": 16,
            "evaluate_every": 16,
            "repeats": 4,
        },
        "emoji": {"class_images": (1, 5), "seen_class_images": 3, "variants": balanced(2)},
        "cub": PHOTOGRAPHS,
        "cars": PHOTOGRAPHS,
    },
)
