"""The standing check's third part: seven losses that train a whole pretrained network.

python -m harness study --study check_finetuned --dataset emoji

`check` trains heads on features that do not move. Here the trunk moves too, on the same images,
classes and folds, so `order` says how far what holds of heads holds of networks. The losses are
those that Table VI of DeMoor and Prevost 2024, arXiv 2408.15656, has on CUB.

The protocol is Appendix D's (studies/appendix_d.py): 4 folds, Bayesian search, two phases, RMSprop,
batches of 8 classes x 4 images. What differs, and why:
- 6 trials and 3 repeats, so that a loss takes 39 runs in place of 250;
- EfficientNet-Lite0 in place of ResNet50, on random crops of 64 of 72 pixels, without flips (a
  mirrored arrow is another emoji): 0.2 s a step on one core;
- BatchNorm frozen, as Musgrave et al. 2020 have it. Not frozen, it takes the statistics of these
  drawings on white, with which the network finds less: on the held-out classes of the first fold
  MAP@R fell from 29 to 12 % by 40 forward passes alone, of 32 images or of 128, without any
  training, and so did it in two epochs at a learning rate of 1e-6;
- learning rates 1e-6 to 2e-5, and 1e-3 to 1 of a loss's own parameters. There, on the same held-out
  classes, contrastive rose from 29 to 43 % and cosface to 34 % in eight epochs (5e-6); at 2.2e-5
  cosface fell to 7 %;
- epochs of 20 batches, at most 16 + 8, judged after every second one; 4 epochs without a better
  score are a plateau. It is a small budget: the caption says how many runs were CAPPED.

Cost: up to 120 s of a core a run on an AMD EPYC, and 39 runs took some 40 minutes a loss on two
cores, with other work beside. Three losses have been run to their end.
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
    freeze_batch_norm=True,
    iterations=20,
    lr=(1e-6, 2e-5),
    loss_lr=(1e-3, 1.0),
    max_epochs=16,
    followup_max_epochs=8,
    evaluate_every=2,
    patience=3,
    trials=6,
    startup_trials=4,
    repeats=3,
)
