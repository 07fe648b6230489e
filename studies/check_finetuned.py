"""The standing check's third part: seven losses that train a whole pretrained network.

python -m harness study --study check_finetuned --dataset emoji

`check` trains heads on features that do not move. Here the trunk moves too, on the same images,
classes and folds, so `order` says how far what holds of heads holds of networks. The losses are
those that Table VI of DeMoor and Prevost 2024, arXiv 2408.15656, has on CUB.

The protocol is Appendix D's (studies/appendix_d.py): 4 folds, Bayesian search, two phases, batches
of 8 classes x 4 images. What differs, and why:
- 6 trials and 3 repeats, so that a loss takes 39 runs in place of 250;
- EfficientNet-Lite0 in place of ResNet50, on random crops of 64 of 72 pixels, without flips (a
  mirrored arrow is another emoji): 0.2 s a step on one core;
- epochs of 20 batches, at most 10 + 5, judged after each; 3 epochs without a better score are a
  plateau. It is a small budget: the caption says how many runs were CAPPED;
- learning rates 1e-5 to 1e-3, and 1e-4 to 1 of a loss's own parameters.

Cost: the first runs of cosface took 50 s of a core each on an AMD EPYC, so 39 runs some 16 minutes
a loss on two cores. No loss has been run to its end yet.
"""

from harness.schema import Study

STUDY = Study(
    name="check_finetuned",
    losses=(
        "contrastive",
        "cosface",
        "arcface",
        "proxy_anchor",
        "proxy_nca_pp",
        "hist",
        "warped",
    ),
    datasets=("emoji",),
    trunk="efficientnet_lite0",
    pooling="avg",
    resize=72,
    crop=64,
    train_crop="random_crop",
    flip=0.0,
    iterations=20,
    lr=(1e-5, 1e-3),
    loss_lr=(1e-4, 1.0),
    max_epochs=10,
    followup_max_epochs=5,
    evaluate_every=1,
    patience=2,
    trials=6,
    startup_trials=4,
    repeats=3,
)
