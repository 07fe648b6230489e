"""All of appendix_d, but small: every stage of a study on glyphs in minutes on a laptop.

python -m harness study --study demo --loss warped euclidean_softmax --dataset glyphs

Cost: about 5 minutes on 2 CPU cores; results/README.md has its table, time and memory. There are 6
trials and 3 repeats. An epoch is 30 batches of 32 images instead of the 3,600 images of the
training part. A run has at most 6 + 2 epochs and is evaluated after every second one.

The scores are real: the characters are unseen and nothing is chosen on them. But the study ranks no
losses: 6 trials search little, and an interval over 3 repeats is wide. What the paper leaves open
is chosen as in appendix_d, except for the values below.
"""

from harness.schema import Study

STUDY = Study(
    name="demo",
    losses=("warped", "euclidean_softmax"),
    datasets=("glyphs",),
    trunk="convnet",
    weights="none",
    resize=32,
    crop=32,
    train_crop="none",
    flip=0.0,
    classes_per_batch=8,
    images_per_class=4,
    iterations=30,
    lr=(4e-5, 2e-4),
    loss_lr=(3e-3, 1e-1),
    followup_lr_ratio=(0.05, 0.5),
    max_epochs=6,
    followup_max_epochs=2,
    evaluate_every=2,
    patience=2,
    trials=6,
    startup_trials=4,
    parallel_trials=2,
    repeats=3,
    complete_epochs_multiple=2,
)
