"""Every stage of a study in seconds: does it run, not what does it find.

python -m harness study --study smoke --loss warped --dataset glyphs
"""

from harness.schema import Study

STUDY = Study(
    name="smoke",
    losses=("warped",),
    datasets=("glyphs",),
    trunk="convnet",
    weights="none",
    resize=32,
    crop=32,
    train_crop="none",
    flip=0.0,
    classes_per_batch=8,
    images_per_class=4,
    iterations=5,
    lr=(3e-4, 3e-3),
    loss_lr=(1e-3, 1e-1),
    followup_lr_ratio=(0.05, 0.5),
    max_epochs=2,
    followup_max_epochs=1,
    patience=0,
    trials=2,
    startup_trials=1,
    repeats=2,
    complete_epochs_multiple=1,
)
