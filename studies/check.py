"""The standing check: every loss by one protocol on a dataset that anyone can build.

python -m harness study --study check --loss warped --dataset emoji

The table holds a loss beside all that have been run. results/reference/check holds the committed
records and says how far they are.

The protocol is Appendix D's (studies/appendix_d.py): 4 folds, 50 trials of Bayesian search, two
phases until both plateau, 10 repeats x 4 folds, 10 Complete runs. On emoji the trunk is
EfficientNet-Lite0 with its ImageNet weights, frozen, on whole images of 224 pixels; a head of 128
dimensions is trained on its 1,280 averaged features. What differs from Appendix D, and why:
- learning rate of the head 1e-5 to 1e-2: on frozen features scores peak near 1e-3, which is the
  upper end of Appendix D's range; below 1e-5 nothing is learned in the epochs that there are;
- learning rate of a loss's own parameters 1e-4 to 1, for the same reason;
- batches of 32 classes x 4 images: a step on 32 rows would mostly be overhead;
- at most 40 + 20 epochs, judged every second one; 8 epochs without a better score are a plateau.

Cost: 3 to 15 s of one core a run for most losses, so 250 runs take 6 to 30 minutes on two cores.
"""

from harness.schema import Study

STUDY = Study(
    name="check",
    losses=(
        "contrastive",
        "triplet",
        "multi_similarity",
        "proxy_anchor",
        "proxy_nca_pp",
        "warped",
        "euclidean_softmax",
        "normalized_softmax",
        "cosface",
        "arcface",
        "proxy_nca",
        "cross_entropy",
        "margin",
        "circle",
        "smooth_ap",
        "recall_at_k",
        "nt_xent",
        "center_contrastive",
        "soft_triple",
        "hist",
        "multi_similarity_miner",
        "npair",
        "lifted_structure",
        "center",
        "sphereface",
        "snr_contrastive",
        "fast_ap",
        "blackbox_ap",
        "roadmap",
        "magface",
        "margin_per_class",
        "d_loss",
        "intra_batch",
        "cbml",
        "contextual",
        "sgsl",
        "nir_proxy_nca",
        "nir_proxy_anchor",
        "magnet",
        "hierarchical_proxy",
        "proxy_gml",
        "nir_soft_triple",
        "pd_loss",
    ),
    datasets=("emoji",),
    trunk="efficientnet_lite0",
    freeze_trunk=True,
    pooling="avg",
    resize=224,
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
    evaluate_batch=32,
)
