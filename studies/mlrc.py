"""Musgrave et al. 2020, A Metric Learning Reality Check (arXiv 2003.08505), by its released code.

python -m harness study --study mlrc --loss contrastive --dataset cub

Cost: a loss on a dataset takes 250 trainings, as in appendix_d, with epochs of 100 batches of 32
images. Nobody has run this study with this harness yet.

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
- Complete runs are added;
- its row "ProxyNCA" is `proxy_nca_pp` here. The temperature is searched on a log scale; the code
  searched its inverse on a linear one.
What it leaves open: how losses that it does not have are run. They get the batches of their kind,
and the ranges in their own files. Losses whose ranges depend on the embedding norm (warped) need a
LayerNorm and cannot run here.
"""

from harness.schema import Study

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
    complete_epochs_multiple=1,
    recall_at=(1,),
    per_dataset={
        "cars": {"evaluate_every": 5, "patience": 14},
        "sop": {"evaluate_every": 20, "patience": 39},
        "inshop": {"halves": "official"},
        "glyphs": {
            "trunk": "convnet",
            "weights": "none",
            "freeze_batch_norm": False,
            "resize": 32,
            "crop": 32,
            "train_crop": "none",
            "flip": 0.0,
            "lr": 1e-4,
            "max_epochs": 60,
        },
    },
)
