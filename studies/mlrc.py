"""Musgrave et al. 2020, A Metric Learning Reality Check (arXiv 2003.08505), by its released code.

python -m harness study --study mlrc --loss contrastive --dataset cub

Cost: a loss on a dataset takes 250 trainings, as in appendix_d, with epochs of 100 batches of 32
images. Nobody has run this study on photographs with this harness yet.

On glyphs it is small, to see its rules at work: 3 trials and 3 repeats a loss, 27 runs of about 2 s
of one core, so 14 losses take 7 minutes on two cores to themselves. The halves, folds, batches,
ranges of the losses' own parameters and categories are the paper's; the network is a small one from
random weights, trained by Adam at 4e-3 in 10 epochs of 20 batches, because RMSprop at 1e-6 does not
move it.

What its code specifies: BN-Inception with frozen BatchNorm, average pooling, one linear layer to
128-d, halves and folds by its own arithmetic (on Cars two classes are never held out), batches of
32 (8 classes x 4, or 32 x 1 for losses with class weights), epochs of 100 iterations, RMSprop at
1e-6 with weight decay 1e-4 and momentum 0.9, the learning rate of a loss's own parameters searched
from 1e-6 to 1, RandomResizedCrop 227 (scale 0.16 to 1), one phase, early stopping on held-out
MAP@R.
Where this study departs from it:
- search: its Bayesian search was Ax (5 Sobol points, then GP-EI); here it is TPE after 5 random
  trials;
- intervals: it pools the search's winning run with the repeats; here that run is left out;
- Complete runs are added (not on glyphs);
- its row "ProxyNCA" is `proxy_nca_pp` here.
What it leaves open: how losses that it does not have are run. They get the batches of their kind,
and the ranges in their own files. Losses whose ranges depend on the embedding norm (warped) need a
LayerNorm and cannot run here. Its configuration files are not published, so two fixed values are
unknown: the nu of the margin losses (0 here, as the authors') and SoftTriple's number of centres
(10 here, as the authors'; the library of its day had no default). That the margin losses took all
triplets follows from its statement that a single row, "Multi Similarity + Miner", has a miner.

Its losses one by one. Ranges are those of its published search plots (results/published has their
best trials), per dataset where they differ there; other datasets get the widest. The library is
pytorch-metric-learning as of early 2020, which it ran.
- contrastive, triplet, multi_similarity, snr_contrastive, cosface: same loss, same ranges.
- multi_similarity_miner: same loss, same ranges; its miner_epsilon is `epsilon`.
- nt_xent: same range. The library held a pair's term below 46, here it can reach 87: that matters
  at temperatures below about 0.04.
- proxy_nca_pp: the range is the same, but its softmax_scale is 1 / temperature, and was searched on
  a linear scale; the temperature is searched on a log scale. Proxies start an eighth as long, which
  makes the same learning rate larger.
- margin, margin_per_class: all triplets, same ranges, no weight decay on beta.
- normalized_softmax: same range. Weights start shorter (U(-1/sqrt(D), 1/sqrt(D)), not N(0, 1)),
  which makes the same learning rate larger.
- arcface: same ranges. The library had no second branch for angles beyond 180 degrees minus the
  margin, so its logit rose again there.
- fast_ap: same range of num_bins; it tried every whole number from 2 to 32 (on SOP from 3) instead
  of searching.
- soft_triple: same ranges. Its reg_weight is half of `tau`, because the library divided by half as
  many pairs of centres: 0 to 1 there is 0 to 2 here. On SOP it did not search reg_weight and does
  not say its value: 0.4 here is the library's default of 0.2.
"""

from typing import Any

from harness.schema import Study

ALL_TRIPLETS = {"sampling": "all"}
LOSS_PARAMS: dict[str, dict[str, Any]] = {
    "margin": ALL_TRIPLETS,
    "margin_per_class": ALL_TRIPLETS,
    "soft_triple": {"centers_per_class": 10},
}
# The loss files have the widest of the ranges that it used, but for tau and for CUB's alpha.
TAU = (0.0, 2.0)
CUB_RANGES = {
    "multi_similarity": {"alpha": (0.001, 100.0)},
    "multi_similarity_miner": {"beta": (0.01, 100.0)},
    "nt_xent": {"temperature": (1e-4, 100.0)},
    "arcface": {"scale": (0.01, 200.0)},
    "soft_triple": {"la": (0.01, 100.0), "tau": TAU},
}
CARS_RANGES = {
    "multi_similarity_miner": {"beta": (0.01, 100.0)},
    "arcface": {"scale": (0.01, 200.0)},
    "soft_triple": {"la": (0.01, 100.0), "gamma": (0.01, 100.0), "tau": TAU},
}
SOP_RANGES = {"soft_triple": {"gamma": (0.01, 100.0)}}
SOP_PARAMS = LOSS_PARAMS | {"soft_triple": {"centers_per_class": 10, "tau": 0.4}}

STUDY = Study(
    name="mlrc",
    protocol="mlrc",
    losses=(
        "contrastive",
        "triplet",
        "nt_xent",
        "proxy_nca_pp",
        "margin",
        "margin_per_class",
        "normalized_softmax",
        "cosface",
        "arcface",
        "fast_ap",
        "snr_contrastive",
        "multi_similarity",
        "multi_similarity_miner",
        "soft_triple",
    ),
    datasets=("cub", "cars", "sop"),
    halves="mlrc",
    fold_layout="mlrc",
    trunk="bn_inception",
    pooling="avg",
    layer_norm=False,
    freeze_batch_norm=True,
    crop=227,
    crop_scale=(0.16, 1.0),
    images_per_class_classification=1,
    iterations=100,
    lr=1e-6,
    max_epochs=1000,
    followup=False,
    followup_max_epochs=0,
    evaluate_every=2,
    patience=9,
    startup_trials=5,
    loss_params=LOSS_PARAMS,
    loss_ranges={"multi_similarity": {"alpha": (0.001, 100.0)}, "soft_triple": {"tau": TAU}},
    complete_epochs_multiple=1,
    recall_at=(1,),
    per_dataset={
        "cub": {"loss_ranges": CUB_RANGES},
        "cars": {"evaluate_every": 5, "patience": 14, "loss_ranges": CARS_RANGES},
        "sop": {
            "evaluate_every": 20,
            "patience": 39,
            "loss_params": SOP_PARAMS,
            "loss_ranges": SOP_RANGES,
        },
        "inshop": {"halves": "official"},
        "glyphs": {
            "trunk": "narrow_convnet",
            "weights": "none",
            "freeze_batch_norm": False,
            "resize": 32,
            "crop": 24,
            "train_crop": "random_crop",
            "flip": 0.0,
            "classes_per_batch": 8,
            "iterations": 20,
            "optimiser": "adam",
            "lr": 4e-3,
            "loss_lr": (1e-3, 1.0),
            "max_epochs": 10,
            "evaluate_every": 2,
            "patience": 10,
            "trials": 3,
            "startup_trials": 3,
            "parallel_trials": 3,
            "repeats": 3,
            "stages": ("search", "repeat", "ensemble"),
        },
    },
)
