"""Musgrave et al. 2020, A Metric Learning Reality Check (arXiv 2003.08505), by its released code.

python -m harness study --study mlrc --loss contrastive --dataset cub

Read in its code: BN-Inception with frozen BatchNorm, average pooling, one linear layer to 128-d,
halves and folds by its own arithmetic (on Cars two classes are never held out), batches of 32 (8
classes x 4, or 32 x 1 for losses with class weights), epochs of 100 iterations, RMSprop at 1e-6
with weight decay 1e-4 and momentum 0.9, the learning rate of a loss's own parameters searched from
1e-6 to 1, RandomResizedCrop 227 (scale 0.16 to 1), one phase, early stopping on held-out MAP@R.
Departures: its Bayesian search was Ax (5 Sobol points, then GP-EI), ours is TPE after 5 random
trials; its intervals pool the search's winning run, ours do not; Complete runs are added. Its row
"ProxyNCA" is our proxy_nca_pp, whose temperature is searched on a log scale where it searched the
inverse on a linear one. Losses whose ranges are in units of the embedding norm (warped) need a
LayerNorm and cannot run here. Nobody has run this study with this harness yet.
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
