"""The standing check's second part: its losses on a small network that is trained from scratch.

python -m harness study --study check_glyphs --dataset glyphs

What `check` finds on frozen features may hold for heads on frozen features alone. Here the whole
network is trained, from random weights, on drawn characters. `order` says how far the two agree.

The protocol is Appendix D's (studies/appendix_d.py): 4 folds, Bayesian search, two phases until
both plateau. What differs, and why:
- 10 trials and 5 repeats, so that a loss takes 65 runs in place of 250;
- the network is `strided_convnet`, on grey images of 32 pixels as they are, without flips: a
  mirrored character is another one;
- Adam in place of RMSprop, because it reaches the plateau of random weights in fewer steps;
- learning rates as Adam needs them: 5e-4 to 1e-2, and 1e-3 to 1e-1 of a loss's own parameters;
- batches of 16 classes x 4 images, epochs of 15 batches; at most 60 + 30 epochs, judged every
  second one; 8 epochs without a better score are a plateau.

Cost: the first 16 runs of proxy_anchor took 11 to 16 s of a core each on an AMD EPYC, 8 of them
CAPPED, so 65 runs some 7 minutes a loss on two cores. No loss has been run to its end yet.
"""

from harness.schema import Study

STUDY = Study(
    name="check_glyphs",
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
        "soft_triple",
        "hist",
        "npair",
    ),
    datasets=("glyphs",),
    trunk="strided_convnet",
    weights="none",
    resize=32,
    crop=32,
    train_crop="none",
    flip=0.0,
    classes_per_batch=16,
    images_per_class=4,
    iterations=15,
    optimiser="adam",
    lr=(5e-4, 1e-2),
    loss_lr=(1e-3, 1e-1),
    max_epochs=60,
    followup_max_epochs=30,
    evaluate_every=2,
    patience=7,
    trials=10,
    startup_trials=5,
    repeats=5,
)
