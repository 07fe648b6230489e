"""The whole of appendix_d, small: every stage of a study on glyphs in minutes on a laptop.

python -m harness study --study demo --loss warped euclidean_softmax --dataset glyphs

6 trials, 3 repeats; an epoch is 30 batches of 32 images instead of the whole training part (3,600
images), at most 6 + 2 of them, evaluated every second one. What it shows is real (unseen
characters, nothing chosen on them), but 6 trials search little and an interval over 3 repeats is
wide: it ranks no losses. results/README.md has its table, time and memory.
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
